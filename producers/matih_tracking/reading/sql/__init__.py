"""The reader on MLflow's own tables in PostgreSQL or SQLite."""

from matih_tracking.reading.sql.reader import SqlReader

__all__ = ["SqlReader"]
