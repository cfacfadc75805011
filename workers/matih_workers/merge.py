"""What a run's changes come to, given what is known of the run: pure, and the same for every store.

The rules that make any redelivery harmless stand here: metrics and params are always applied (they are idempotent by
themselves); a tag is set if its producer's number is above the mark, and only filled in if it is not; the first value
of a param wins; a status holds if its order is greater. A replay that fills (see filled.py) brings a run that was there
before metrics, params and tags that are missing, and nothing else: no status, no name, no marks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.limits import TAG_VALUE_MAX
from matih_schemas.status import StatusOrder
from matih_workers.filled import Filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matih_workers.changes import Creation, Logged, Metric, RunChange, StatusChange

CONFLICTS_MAX: Final = 50
RUN_NAME: Final = "mlflow.runName"
_KEPT_VALUE_MAX: Final = 64


@dataclass
class KnownRun:
    """What the store has of a run, as far as it decides about what comes.

    Attributes:
        marks: the highest applied number by producer.
        params: values by key; long ones as a digest (see `remembered`).
        tag_keys: the keys of all its tags.
        status: the order of its status, None if no status was applied yet.
        conflicts: params that were logged with two values.
        name: the run's name.
        filled: what a replay has made or filled.
    """

    marks: dict[str, int] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tag_keys: set[str] = field(default_factory=set)
    status: StatusOrder | None = None
    conflicts: set[str] = field(default_factory=set)
    name: str = ""
    filled: Filled = field(default_factory=Filled)

    @classmethod
    def of(cls, stored_tags: Mapping[str, str], params: Mapping[str, str]) -> KnownRun:
        """What a run's stored tags and params say."""
        return cls(
            marks=tags.marks(dict(stored_tags)),
            params={key: remembered(value) for key, value in params.items()},
            tag_keys=set(stored_tags),
            status=StatusOrder.parse(stored_tags.get(tags.STATUS, "")),
            conflicts=set(filter(None, stored_tags.get(tags.PARAM_CONFLICTS, "").split(","))),
            name=stored_tags.get(RUN_NAME, ""),
            filled=Filled.of(stored_tags),
        )


@dataclass
class RunWrites:
    """What has to be written to one run, in this order: params, metrics, tags; then the status; the marks last.

    Attributes:
        status: None if it stays.
        conflicts: the value of the tag for params in conflict, None if it stays.
        again: some of the metrics have numbers at or below the mark: they were probably written before.
        filled: the value of the tag that says what a replay has filled, None if it stays.
    """

    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: StatusChange | None = None
    marks: dict[str, int] = field(default_factory=dict)
    conflicts: str | None = None
    again: bool = False
    filled: str | None = None

    def __bool__(self) -> bool:
        return bool(self.metrics or self.params or self.tags or self.status or self.marks or self.conflicts)

    def last_tags(self) -> dict[str, str]:
        """The tags that say that everything else is written, so they are written last."""
        last = {tags.applied(producer): str(mark) for producer, mark in self.marks.items()}
        if self.conflicts is not None:
            last[tags.PARAM_CONFLICTS] = self.conflicts
        if self.filled is not None:
            last[tags.FILLED] = self.filled
        if self.status is not None:
            last[tags.STATUS] = self.status.order.text()
        return last


def remembered(value: str) -> str:
    """The value, or a digest of a long one: enough to tell whether a param comes again with the same value."""
    if len(value) <= _KEPT_VALUE_MAX:
        return value
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest() + "~digest"


def merge(known: KnownRun, changes: Iterable[RunChange]) -> RunWrites:
    """What the changes come to, in their order.

    `known` is brought up to date as if it were written: forget it if the writing fails.
    """
    merger = _Merger(known)
    for change in changes:
        merger.begin(change.fill)
        if change.creation is not None:
            merger.create(change.creation)
        for logged in change.logged:
            merger.log(logged)
        if change.status is not None:
            merger.set_status(change.status)
    return merger.finish()


def is_applied(known: KnownRun, change: RunChange) -> bool:
    """Whether the marks and the status say that everything in the change is in the store already."""
    ends = [(logged.producer_id, logged.last_sequence) for logged in change.logged]
    if change.creation is not None:
        ends.append((change.creation.producer_id, change.creation.sequence))
    status = change.status
    newer = status is not None and (known.status is None or status.order > known.status)
    return not newer and all(known.marks.get(producer, -1) >= last for producer, last in ends)


class _Merger:
    def __init__(self, known: KnownRun) -> None:
        self._known = known
        self._writes = RunWrites()
        self._seen: dict[Metric, None] = {}
        self._conflicts_before = frozenset(known.conflicts)
        self._fill: str | None = None
        self._filled_any = False

    def begin(self, fill: str | None) -> None:
        """What follows comes by this replay; a run that it made itself it builds in the usual way."""
        self._fill = None if fill is None or self._known.filled.is_own(fill) else fill

    def create(self, creation: Creation) -> None:
        new = creation.owner and self._is_new(creation.producer_id, creation.sequence)
        for key, value in creation.tags.items():
            self._tag(key, value, overwrite=new)
        if new and not self._fill and creation.run_name and creation.run_name != self._known.name:
            self._writes.tags[RUN_NAME] = creation.run_name
            self._known.name = creation.run_name
        self._mark(creation.producer_id, creation.sequence)

    def log(self, logged: Logged) -> None:
        self._writes.again |= logged.first_sequence <= self._known.marks.get(logged.producer_id, -1)
        # A dict keeps the order and drops what comes twice.
        self._seen.update(dict.fromkeys(logged.metrics))
        for key, value in logged.params:
            self._param(key, value)
        for tag in logged.tags:
            self._tag(tag.key, tag.value, overwrite=self._is_new(logged.producer_id, tag.sequence))
        self._mark(logged.producer_id, logged.last_sequence)

    def set_status(self, status: StatusChange) -> None:
        if self._fill or (self._known.status is not None and status.order <= self._known.status):
            return
        self._known.status = status.order
        self._writes.status = status
        if status.reason or tags.END_REASON in self._known.tag_keys:
            self._tag(tags.END_REASON, status.reason, overwrite=True)

    def finish(self) -> RunWrites:
        self._writes.metrics = list(self._seen)
        if self._known.conflicts != self._conflicts_before:
            self._writes.conflicts = _conflicts_text(self._known.conflicts)
        return self._writes

    def _is_new(self, producer_id: str, sequence: int) -> bool:
        if self._fill:
            return self._known.filled.is_new(self._fill, producer_id, sequence)
        return sequence > self._known.marks.get(producer_id, -1)

    def _mark(self, producer_id: str, sequence: int) -> None:
        if self._fill:
            self._note(producer_id, sequence)
        elif self._is_new(producer_id, sequence):
            self._known.marks[producer_id] = self._writes.marks[producer_id] = sequence

    def _tag(self, key: str, value: str, *, overwrite: bool) -> None:
        # Filled in although its number is not above the mark: it may have been missing when a later one was applied.
        missing = key not in self._known.tag_keys
        if self._fill and not missing:
            overwrite = overwrite and self._known.filled.holds(self._fill, key)
        if not (overwrite or missing):
            return
        self._writes.tags[key] = value
        self._known.tag_keys.add(key)
        if self._fill:
            self._known.filled.add(self._fill, key)
            self._filled_any = True

    def _note(self, producer_id: str, sequence: int) -> None:
        """Notes what of these entries was filled."""
        if self._filled_any:
            self._known.filled.mark(producer_id, sequence)
            self._writes.filled = self._known.filled.text()
            self._filled_any = False

    def _param(self, key: str, value: str) -> None:
        first = self._known.params.get(key)
        if first is None:
            self._known.params[key] = remembered(value)
            self._writes.params[key] = value
        elif first != remembered(value) and not self._fill:
            self._known.conflicts.add(key)


def _conflicts_text(conflicts: set[str]) -> str:
    """The keys, sorted, at most 50, as many as a tag holds."""
    text = ",".join(sorted(conflicts)[:CONFLICTS_MAX])
    return text if len(text) <= TAG_VALUE_MAX else text[:TAG_VALUE_MAX].rpartition(",")[0]
