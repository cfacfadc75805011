"""Which reader a tracking URI calls for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_tracking.reading.errors import NotReadable

if TYPE_CHECKING:
    from matih_tracking.reading.protocol import RunReader

_DATABASES: Final = ("postgresql", "postgres", "sqlite")
_LIBRARIES: Final = ("sqlalchemy", "psycopg")


def open_reader(tracking_uri: str, timeout: float = 5.0) -> RunReader:
    """The reader for a tracking URI: over MLflow's tables for a database's, else over MLflow's REST API.

    Nothing is connected yet, so this does not fail because something is down.

    Args:
        tracking_uri: `postgresql://...`, `sqlite:///...`, or the address of MLflow's server.
        timeout: seconds for one call of the reader.

    Raises:
        NotReadable: a library is missing, or nothing can be read at such an address.
    """
    scheme = tracking_uri.partition(":")[0].partition("+")[0].lower()
    if scheme in _DATABASES:
        return _sql_reader(tracking_uri, timeout)
    from matih_tracking.reading.rest import RestReader  # type: ignore[import-not-found, unused-ignore]

    reader: RunReader = RestReader(tracking_uri, timeout)
    return reader


def _sql_reader(tracking_uri: str, timeout: float) -> RunReader:
    try:
        from matih_tracking.reading.sql import SqlReader
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise NotReadable(
            f"reading MLflow's database directly needs {error.name}: pip install 'matih-tracking[reads]'"
        ) from error
    return SqlReader(tracking_uri, timeout)
