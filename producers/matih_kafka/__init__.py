"""How everything of ours speaks to Kafka: connection settings, the idempotent publisher, topic administration."""
