"""What a replay that fills has written to a run or an experiment: pure.

A fill touches nothing that exists. But of a tag that was missing it brings one value after the other, and the last has
to stand in the end; and a run that it made itself it builds as if it came for the first time. So what it has made or
filled is noted with the data, in the tag `matih.filled`: also a replay that was killed and goes on knows it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.limits import TAG_VALUE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

_MADE: Final = "*"


@dataclass
class Filled:
    """The note of one replay. Of what a tag's value has no room for, the first value that came stays.

    Attributes:
        replay: its id; empty for none.
        made: it has made the whole, so nothing of it is anybody else's.
        keys: digests of the tags that it has filled.
        marks: the highest number of a producer's entries whose tags it has filled, by a digest of its id.
    """

    replay: str = ""
    made: bool = False
    keys: set[str] = field(default_factory=set)
    marks: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Filled:
        """The note among stored tags."""
        replay, _, rest = stored.get(tags.FILLED, "").partition(":")
        if rest == _MADE:
            return cls(replay, made=True)
        pairs = [part.partition("=") for part in rest.split(",") if part]
        marks = {producer: int(mark) for producer, equals, mark in pairs if equals and mark.lstrip("-").isdecimal()}
        return cls(replay, keys={key for key, equals, _ in pairs if not equals}, marks=marks)

    def text(self, room: int = TAG_VALUE_MAX) -> str:
        """The form in which it is stored, in so many characters."""
        parts = [f"{producer}={mark}" for producer, mark in sorted(self.marks.items())]
        text = f"{self.replay}:{_MADE if self.made else ','.join([*sorted(self.keys), *parts])}"
        return text if len(text) <= room else text[:room].rpartition(",")[0]

    def is_own(self, replay: str) -> bool:
        """Whether this replay made the whole."""
        return self.made and self.replay == replay

    def holds(self, replay: str, key: str) -> bool:
        """Whether this replay has filled the tag, so that a newer value may replace that."""
        return self.replay == replay and _digest(key) in self.keys

    def is_new(self, replay: str, producer_id: str, sequence: int) -> bool:
        """Whether this replay has not filled a tag by this entry, or a later one, of its producer."""
        return self.replay != replay or sequence > self.marks.get(_digest(producer_id), -1)

    def add(self, replay: str, key: str) -> None:
        """Notes that this replay has filled the tag. What another one has noted is over."""
        if self.replay != replay:
            self.replay, self.made, self.keys, self.marks = replay, False, set(), {}
        self.keys.add(_digest(key))

    def mark(self, producer_id: str, sequence: int) -> None:
        """Notes that tags were filled by this entry of a producer."""
        name = _digest(producer_id)
        self.marks[name] = max(sequence, self.marks.get(name, sequence))


def made_by(replay: str | None) -> dict[str, str]:
    """The tag of what a replay makes; none for what comes in the usual way."""
    return {tags.FILLED: Filled(replay, made=True).text()} if replay else {}


def _digest(key: str) -> str:
    return f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')):08x}"
