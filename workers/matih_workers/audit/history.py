"""What became of one run, event by event: who, what, when, from where, and what was there before. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from matih_schemas.admin_details import LISTS
from matih_schemas.events import AdminAction, RunCreated, RunDeleted, RunEnded, RunLogged, RunRestored

if TYPE_CHECKING:
    from matih_schemas.events import EntryGroup
    from matih_workers.audit.events import ArchivedEvent


@dataclass(frozen=True)
class Change:
    """One value that an event gives.

    Attributes:
        of: param, tag, status, deleted, or metrics (then `value` tells how many of which keys and steps); of an admin's
            event action, reason or detail.
        previous: what the archive had for it before; None if nothing.
    """

    of: str
    key: str
    value: str
    previous: str | None = None


@dataclass(frozen=True)
class Step:
    """One event of a run. Times are ms since the epoch: by the producer's clock, and when Kafka received it.

    Attributes:
        dead_letter: the event, or what became of it, as the topic of dead letters has it; empty for an event.
        applied: whether a worker has taken it, None if nobody knows.
        applied_after, applied_by: between these two moments; None if it was not, or nobody knows.
    """

    place: str
    kind: str
    occurred_at: int | None
    received_at: int | None
    actor: str | None
    claimed_user: str | None
    host: str
    sdk_version: str
    event_id: str
    changes: tuple[Change, ...] = ()
    unreadable: str = ""
    dead_letter: str = ""
    applied: bool | None = None
    applied_after: int | None = None
    applied_by: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass
class History:
    """A run's values so far; takes its events in their order."""

    values: dict[tuple[str, str], str] = field(default_factory=dict)

    def step(self, one: ArchivedEvent) -> Step:
        """What the next event did; a dead letter did nothing."""
        event = one.event
        if event is None:
            told = (one.unreadable, one.dead_letter)
            return Step(one.place, "", None, one.received_at, None, None, "", "", "", (), *told)
        return Step(
            one.place,
            event.kind,
            event.occurred_at,
            one.received_at,
            event.actor,
            event.claimed_user,
            event.host,
            event.sdk_version,
            event.event_id,
            () if one.dead_letter else tuple(self._changes(event.payload)),
            dead_letter=one.dead_letter,
        )

    def _changes(self, payload: Any) -> list[Change]:
        if isinstance(payload, RunCreated):
            named = [("tag", key, value) for key, value in payload.tags.items()]
            return [self._set(*one) for one in [("status", "status", "RUNNING"), *named]]
        if isinstance(payload, RunEnded):
            of = "status" if payload.owner else f"rank {payload.rank}"
            return [self._set(of, "status", payload.status)]
        if isinstance(payload, (RunDeleted, RunRestored)):
            return [self._set("deleted", "deleted", str(isinstance(payload, RunDeleted)).lower())]
        if isinstance(payload, RunLogged):
            return [change for group in payload.groups for change in self._logged(group)]
        if isinstance(payload, AdminAction):
            return _done(payload)
        return []

    def _logged(self, group: EntryGroup) -> list[Change]:
        changes = [self._set("param", pair.key, pair.value) for pair in group.params]
        changes += [self._set("tag", pair.key, pair.value) for pair in group.tags]
        if group.value:
            keys = sorted({key for shape in group.shapes for key in shape})
            told = f"{len(group.value)} points of steps {min(group.step)} to {max(group.step)}"
            changes.append(Change("metrics", ", ".join(keys), told))
        return changes

    def _set(self, of: str, key: str, value: str) -> Change:
        """What is given, beside what was there. A param keeps its first value, and so does its `previous`."""
        previous = self.values.get((of, key))
        if of != "param" or previous is None:
            self.values[of, key] = value
        return Change(of, key, value, previous)


def _done(payload: AdminAction) -> list[Change]:
    """What an admin was about to do, without the lists of what it was done to."""
    details = [Change("detail", key, value) for key, value in sorted(payload.details.items()) if key not in LISTS]
    return [Change("action", payload.action, payload.target), Change("reason", "reason", payload.reason), *details]
