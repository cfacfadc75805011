"""Reading runs and experiments: one `RunReader`, over MLflow's tables or over its public API."""
