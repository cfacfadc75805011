"""How long records are kept, and which must be kept whatever else is asked: statements in the log. Pure.

    retention  {tenant, days (null: for ever), reason, actor, time}
    hold       {id, tenant, run, reason, actor, time}
    release    {id, reason, actor, time}

What came last holds. A record of a tenant of whom no retention is stated is kept for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_workers.audit.entries import Statement, statements
from matih_workers.audit.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable

RETENTION: Final = "retention"
HOLD: Final = "hold"
RELEASE: Final = "release"
DAY_MS: Final = 86_400_000


class Retention(NamedTuple):
    """For how many days the records of a tenant are kept, from when Kafka received them."""

    days: int
    reason: str
    actor: str
    time: int


class Hold(NamedTuple):
    """What is kept until the hold is released: a run's records, or all of a tenant's."""

    id: str
    tenant: str | None
    run: str | None
    reason: str
    actor: str
    time: int

    def __str__(self) -> str:
        subject = " of ".join(filter(None, (self.run and f"run {self.run}", self.tenant and f"tenant {self.tenant}")))
        return f"hold {self.id} on {subject} ({self.reason})"

    def covers(self, tenant: str, run: str) -> bool:
        """Whether it holds a record with this key."""
        return self.tenant in (None, tenant) and self.run in (None, run)


@dataclass
class Policies:
    """What is in force, by the statements that were taken.

    Attributes:
        retentions: by tenant.
        holds: by id.
    """

    retentions: dict[str, Retention] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)

    def take(self, statement: Statement) -> None:
        """Takes the log's next statement; one of another type says nothing here."""
        body = statement.body
        if statement.type == RETENTION:
            self.retentions.pop(body["tenant"], None)
            if body["days"] is not None:
                told = (int(body["days"]), body["reason"], body["actor"], int(body["time"]))
                self.retentions[body["tenant"]] = Retention(*told)
        elif statement.type == HOLD:
            self.holds[body["id"]] = Hold(**{name: body[name] for name in Hold._fields})
        elif statement.type == RELEASE:
            self.holds.pop(body["id"], None)

    def holding(self, tenant: str, run: str) -> Hold | None:
        """The first hold on a record with this key; None if there is none."""
        return next((one for one in self.holds.values() if one.covers(tenant, run)), None)

    def expired(self, tenant: str, received_at: int, now: int) -> int | None:
        """The days of the tenant's retention if the record is older than that; None if it is not, or none is stated."""
        retention = self.retentions.get(tenant)
        return retention.days if retention and received_at < now - retention.days * DAY_MS else None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "retentions": {tenant: one._asdict() for tenant, one in sorted(self.retentions.items())},
            "holds": [one._asdict() for one in self.holds.values()],
        }


def retention(tenant: str, days: int | None, reason: str, actor: str, time_ms: int) -> Statement:
    """That a tenant's records are kept for so many days, or for ever (None)."""
    return Statement(RETENTION, {"tenant": tenant, "days": days, "reason": reason, "actor": actor, "time": time_ms})


def hold(one: Hold) -> Statement:
    """That it holds from now on."""
    return Statement(HOLD, one._asdict())


def release(hold_id: str, reason: str, actor: str, time_ms: int) -> Statement:
    """That a hold holds no longer."""
    return Statement(RELEASE, {"id": hold_id, "reason": reason, "actor": actor, "time": time_ms})


def policies_of(entries: Iterable[bytes]) -> Policies:
    """What is in force behind all these entries of a log.

    Raises:
        Damaged: a statement can't be read: better to erase nothing than what is under a hold that nobody understands.
    """
    found = Policies()
    for _, said in statements(entries):
        _take(found, said)
    return found


def _take(found: Policies, said: Statement) -> None:
    try:
        found.take(said)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"a {said.type} in the log can't be read ({error!r}): upgrade this release") from error
