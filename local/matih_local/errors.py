"""What can go wrong with the one-machine system; each message says to which part, and what to do next."""

from __future__ import annotations

from matih_schemas.errors import MatihError


class LocalError(MatihError):
    """The one-machine system could not do what was asked."""


class JarsMissing(LocalError):
    """Kafka's jars are not in the cache and could not be fetched, or what came was not what the lock names."""


class HomeInUse(LocalError):
    """Another process runs this MATIH_HOME."""


class PartFailed(LocalError):
    """A part did not start, or not in time."""
