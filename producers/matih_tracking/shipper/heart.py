"""A heartbeat per open run and minute: when the host itself dies, the runs that fall silent are found by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_tracking.shipper.events import HEARTBEAT_MS, heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_schemas.events import TrackingEvent
    from matih_tracking.shipper.sources import Source


class Heart:
    """Knows which runs have had this minute's heartbeat."""

    def __init__(self) -> None:
        self._beaten: dict[tuple[str, str], int] = {}

    def beats(self, alive: Iterable[Source], now_ms: int) -> list[TrackingEvent]:
        """The heartbeats that are due, one per run, from its owner if that is here.

        Args:
            alive: the producers with a run whose process lives.
            now_ms: ms since the epoch.
        """
        runs: dict[tuple[str, str], Source] = {}
        for source in alive:
            key = (source.tenant_id, source.run_id)
            if key not in runs or source.owner:
                runs[key] = source
        beat = now_ms // HEARTBEAT_MS
        due = [source for key, source in runs.items() if self._beaten.get(key) != beat]
        self._beaten = dict.fromkeys(runs, beat)
        return [heartbeat(source, now_ms) for source in due]
