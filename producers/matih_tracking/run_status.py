"""Which run it is, and how it stands in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matih_schemas.events import Status
    from matih_tracking.settings import Mode


@dataclass(frozen=True)
class RunStatus:
    """How a run stands in this process.

    Attributes:
        run_id: 32 hexadecimal characters.
        state: RUNNING, or how it ended here.
        mode: MATIH_MODE.
        owner: this process decides how the run ends.
        entries: log calls kept so far (large ones are several entries).
        on_kafka: how many of them Kafka has acknowledged.
        dropped: what was lost, by kind; `changed`: what was mended, by kind (the table in docs/guides/bad-input.md).
        journal: where the entries lie, None where there is no journal.
    """

    run_id: str
    state: Literal["RUNNING"] | Status
    mode: Mode
    owner: bool
    entries: int
    on_kafka: int
    dropped: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    journal: str | None = None


class RunIdentity(NamedTuple):
    """Which run it is, and whether the process that started it decides how it ends."""

    run_id: str
    experiment_id: str
    name: str
    owner: bool
