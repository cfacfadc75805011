"""Where the events end up: the contract of a store, and the stores."""
