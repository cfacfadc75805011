"""The one-machine system: Kafka, PostgreSQL, MLflow's server and the worker as child processes; the demo."""
