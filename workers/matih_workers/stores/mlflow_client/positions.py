"""The partitions' positions through MLflow's API: tags of its first experiment, written right behind the data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from matih_workers.positions import Position, advanced
from matih_workers.stores.labels import ACTIVE, position_key, position_keys
from matih_workers.stores.mlflow_client.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.positions import Source, Spans
    from matih_workers.stores.mlflow_client.connection import Connection

logger = logging.getLogger(__name__)
FIRST_EXPERIMENT: Final = "0"


class Positions:
    """Remembers the positions between two batches: `forget` when another worker may have moved them."""

    def __init__(self) -> None:
        self._known: dict[str, Position] | None = None
        self._told = False

    def forget(self) -> None:
        """Reads them again at the next batch."""
        self._known = None

    def read(self, connection: Connection, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
        """The positions of these partitions as they are now, as far as there are any.

        Raises:
            StoreUnavailable: MLflow does not answer.
        """
        keys = {position_key(source, number): number for number in partitions}
        self._known = self._read(connection)
        return {keys[key]: position for key, position in (self._known or {}).items() if key in keys}

    def advance(self, connection: Connection, spans: Spans) -> dict[int, Position]:
        """Moves the positions of the spans' partitions on; returns them. None where MLflow has no place for them.

        Raises:
            StoreUnavailable: MLflow does not answer.
        """
        keys = position_keys(spans)
        if spans.source is None or not keys:
            return {}
        known = None if self._may_be_mended(keys) else self._known
        known = known if known is not None else self._read(connection)
        if known is None:
            return {}
        found: dict[int, Position] = {}
        for key, span in keys.items():
            before = known.get(key)
            found[span.partition] = known[key] = after = advanced(before, spans.source, span, spans.at_ms)
            if after != before:
                connection.set_experiment_tag(FIRST_EXPERIMENT, key, after.text())
        self._known = known
        return found

    def _may_be_mended(self, keys: Iterable[str]) -> bool:
        """Whether something is missing there, which `matih replay --missing` may have brought since it was read."""
        known = self._known or {}
        return any(known[key].gaps or known[key].anew for key in keys if key in known)

    def _read(self, connection: Connection) -> dict[str, Position] | None:
        """All positions; None, and told once, if MLflow's first experiment is deleted: its API takes no tags of it."""
        try:
            first = connection.experiment(FIRST_EXPERIMENT)
        except NotFound:
            first = None
        if first is not None and first.lifecycle_stage == ACTIVE:
            return {key: position for key, text in first.tags.items() if (position := Position.parse(text)) is not None}
        if not self._told:
            self._told = True
            logger.warning("MLflow's experiment 0 is deleted: a database restored from a backup will not be noticed")
        return None
