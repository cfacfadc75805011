"""Events back to entries: the other direction, for tests that compare what went in and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_schemas.events import EntryGroup, RunCreated, RunEnded, RunLogged, TrackingEvent
from matih_tracking.journal import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

Numbered = tuple[str, int, Any]
"""(producer id, number, what the entry says)."""


def said(entry: entries.Entry) -> Any:
    """What an entry says, in a form that can be compared with what an event says."""
    if isinstance(entry, entries.Metrics):
        context = (entry.model_id, entry.dataset_name, entry.dataset_digest)
        return ("logged", entry.time, entry.step, list(entry.metrics.items()), [], [], context)
    if isinstance(entry, entries.Params):
        return ("logged", entry.time, 0, [], list(entry.params.items()), [], (None, None, None))
    if isinstance(entry, entries.Tags):
        return ("logged", entry.time, 0, [], [], list(entry.tags.items()), (None, None, None))
    if isinstance(entry, entries.Created):
        return ("created", entry.time, entry.run_name, entry.tags, entry.owner, entry.rank)
    if isinstance(entry, entries.Ended):
        return ("ended", entry.time, entry.status, entry.reason, False)
    return ("experiment", entry.time, entry.experiment_id, entry.name, entry.tags)


def unpack(event: TrackingEvent) -> Iterator[Numbered]:
    """The entries that an event holds."""
    payload = event.payload
    if isinstance(payload, RunCreated):
        body = ("created", event.occurred_at, payload.run_name, payload.tags, payload.owner, payload.rank)
        yield payload.producer_id, payload.sequence, body
    elif isinstance(payload, RunEnded):
        body = ("ended", payload.end_time, payload.status, payload.reason, payload.inferred)
        yield payload.producer_id, payload.sequence, body
    elif isinstance(payload, RunLogged):
        for group in payload.groups:
            yield from unpack_group(group)


def unpack_group(group: EntryGroup) -> Iterator[Numbered]:
    values = iter(group.value)
    for index, shape in enumerate(group.shape):
        metrics = [(key, next(values)) for key in group.shapes[shape]]
        params = [(pair.key, pair.value) for pair in group.params if pair.entry == index]
        tags = [(pair.key, pair.value) for pair in group.tags if pair.entry == index]
        contexts = [(c.model_id, c.dataset_name, c.dataset_digest) for c in group.contexts if c.entry == index]
        context = contexts[0] if contexts else (None, None, None)
        body = ("logged", group.time[index], group.step[index], metrics, params, tags, context)
        yield group.producer_id, group.first_sequence + index, body
