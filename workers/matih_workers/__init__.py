"""The ingest: Faust workers that apply events to MLflow."""
