"""The shipper: a process of its own that carries a spool's journals to Kafka."""
