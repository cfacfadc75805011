"""The contract between producers and workers: events, codec, identity, topics, limits."""
