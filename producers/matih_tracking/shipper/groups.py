"""Entries of one producer into the columns of an event's group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_schemas.events import EntryGroup, MetricContext, Pair
from matih_tracking.journal.entries import Metrics, Params, Tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Logged = Metrics | Params | Tags
"""What stands in a group; other entries are events of their own."""

_NO_CONTEXT = (None, None, None)


class GroupBuilder:
    """Appends consecutive entries to a group. Every metric of every run passes here: few calls, few look-ups.

    Attributes:
        group: the columns so far.
        next_number: the number of the entry that may follow.
    """

    __slots__ = ("_shapes", "group", "next_number")

    def __init__(self, producer_id: str, first: int) -> None:
        self.group = EntryGroup(producer_id, first)
        self.next_number = first
        self._shapes: dict[tuple[str, ...], int] = {}

    def add(self, entry: Logged) -> None:
        """Appends the entry with the next number."""
        self.next_number += 1
        if isinstance(entry, Metrics):
            context = (entry.model_id, entry.dataset_name, entry.dataset_digest)
            if context != _NO_CONTEXT:
                self.group.contexts.append(MetricContext(len(self.group.shape), *context))
            self._add_row(entry.metrics, entry.time, entry.step)
            self.group.value.extend(entry.metrics.values())
        elif isinstance(entry, Params):
            self._add_pairs(self.group.params, entry.params, entry.time)
        else:
            self._add_pairs(self.group.tags, entry.tags, entry.time)

    def _add_pairs(self, column: list[Pair], pairs: Mapping[str, str], time: int) -> None:
        index = len(self.group.shape)
        column.extend(Pair(index, key, value) for key, value in pairs.items())
        self._add_row((), time, 0)

    def _add_row(self, keys: Iterable[str], time: int, step: int) -> None:
        group, names = self.group, tuple(keys)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = len(self._shapes)
            group.shapes.append(list(names))
        group.shape.append(shape)
        group.time.append(time)
        group.step.append(step)
