"""Takes the payload out of records, with a certificate in the log: their hashes stay, and it verifies as before.

First all files are looked through, and what is to go is known; then each file that holds some of it is written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from matih_schemas.identity import ADMIN
from matih_workers.audit import container
from matih_workers.audit import record as record_bytes
from matih_workers.audit.compaction import remove_covered
from matih_workers.audit.entries import encode
from matih_workers.audit.erasure import certificates
from matih_workers.audit.errors import Damaged
from matih_workers.audit.reading import current_files, read_file, records_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.audit.log import LogWriter
    from matih_workers.audit.partition import RecordFile
    from matih_workers.audit.policies import Hold, Policies
    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.audit.storage import Storage

Why = str
"""Why a record goes, as its certificate says."""
_Places = dict[tuple[Why, str], list[tuple[int, bytes]]]
"""By why they go and whose they are, the offsets of records, and the digests of what stands there now."""


class Subject(NamedTuple):
    """Whose records: a run's, or all of a tenant's; by the records' keys, `tenant/run`."""

    run_id: str | None
    tenant: str | None

    def owns(self, tenant: str, run_id: str) -> bool:
        """Whether a record with this key is the subject's."""
        return self.run_id in (None, run_id) and self.tenant in (None, tenant)


Choice = Callable[[str, str, int], str | None]
"""Why a record goes, by its tenant, run and the time of its receipt (ms since the epoch); None if it stays."""


def of_subject(subject: Subject, reason: str) -> Choice:
    """Chooses the records of a run or a tenant."""
    return lambda tenant, run_id, _received: reason if subject.owns(tenant, run_id) else None


def expired(policies: Policies, now_ms: int) -> Choice:
    """Chooses the records that are older than the retention of their tenant."""

    def chosen(tenant: str, _run_id: str, received: int) -> Why | None:
        days = policies.expired(tenant, received, now_ms)
        return None if days is None else f"retention of {days} days"

    return chosen


@dataclass
class Plan:
    """What is to go.

    What admins did stays, whoever's it is: their events are what an auditor asks for, and hold no run's data.

    Attributes:
        files: how many records of each go.
        held: how many would go but for each hold.
        tenants: whose they are.
    """

    policies: Policies
    choice: Choice
    files: dict[RecordFile, int] = field(default_factory=dict)
    held: dict[Hold, int] = field(default_factory=dict)
    tenants: set[str] = field(default_factory=set)

    @property
    def records(self) -> int:
        """How many go."""
        return sum(self.files.values())

    @property
    def kept(self) -> int:
        """How many stay since they are under hold."""
        return sum(self.held.values())

    def look(self, file: RecordFile, record: ArchivedRecord) -> None:
        """Takes account of a record."""
        tenant, run_id = _key(record)
        if self._chosen(record) is None:
            return
        hold = self.policies.holding(tenant, run_id)
        if hold is not None:
            self.held[hold] = self.held.get(hold, 0) + 1
        else:
            self.files[file] = self.files.get(file, 0) + 1
            self.tenants.add(tenant)

    def why(self, record: ArchivedRecord) -> Why | None:
        """Why the record goes; None if it stays."""
        return None if self.policies.holding(*_key(record)) is not None else self._chosen(record)

    def _chosen(self, record: ArchivedRecord) -> Why | None:
        tenant, run_id = _key(record)
        return None if record.erased is not None or run_id == ADMIN else self.choice(tenant, run_id, record.timestamp)


def planned(storage: Storage, writer: LogWriter, policies: Policies, choice: Choice) -> Plan:
    """Looks through all records that count, and changes nothing.

    Args:
        storage: the archive.
        writer: of its log.
        policies: what is held there.
        choice: which records are to go.

    Raises:
        Damaged: a file can't be read.
    """
    plan = Plan(policies, choice)
    for file in current_files(storage):
        if file.last < writer.state.ends.get(file.partition, 0):
            for record in read_file(storage, file):
                plan.look(file, record)
    return plan


def erase(storage: Storage, writer: LogWriter, plan: Plan, actor: str, time_ms: int, run_id: str | None = None) -> None:
    """Erases what is planned. Killed in between, it is done by planning and doing it again.

    The certificate comes first: a payload that is still there beside it verifies, one that is gone without it does not.

    Args:
        storage: the archive.
        writer: of its log.
        plan: what goes.
        actor: who does it.
        time_ms: when, in ms since the epoch.
        run_id: the run that was named, if all that goes is of one.

    Raises:
        Damaged: a file can't be read.
        Busy: somebody else has written to the archive.
    """
    remove_covered(storage)
    for file in plan.files:
        data = storage.read(file.path)
        if data is None:
            raise Damaged(f"{file.path}: there is no such file any more")
        whole, places = _without(records_in(data, file), plan)
        statements = [
            encode(statement)
            for (why, tenant), some in places.items()
            for statement in certificates(file.partition, some, actor, why, time_ms, tenant, run_id)
        ]
        writer.commit(statements)
        topic = container.topic_in(data)
        storage.write({file.path: container.encode_file(file.partition, topic, whole)})


def _without(records: Iterable[ArchivedRecord], plan: Plan) -> tuple[list[bytes], _Places]:
    """The records' bytes without what is to go; and what that is."""
    whole: list[bytes] = []
    places: _Places = {}
    for record in records:
        why = plan.why(record)
        encoded = record_bytes.encode(record if why is None else record_bytes.erase(record))
        whole.append(encoded)
        if why is not None:
            now = record_bytes.digest_of(encoded)
            places.setdefault((why, _key(record)[0]), []).append((record.offset, now))
    return whole, places


def _key(record: ArchivedRecord) -> tuple[str, str]:
    tenant, _, run_id = (record.key or b"").decode("utf-8", "replace").partition("/")
    return tenant, run_id
