"""Read your writes: what is on the events topic and not in MLflow yet, as far as it decides about answers."""
