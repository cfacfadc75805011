"""The pure parts of a replay: ranges, order, selection, rate, gaps and the comparison of two MLflows."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workers.journals import START, Entry, Producer, experiment_event

from matih_console.errors import WrongUse
from matih_kafka.rate import Rate
from matih_schemas import codec, events, identity, tags
from matih_workers.positions import Position, Source
from matih_workers.records import Received
from matih_workers.replay import cli
from matih_workers.replay.comparison import (
    DIFFERENCE,
    EDITED,
    OLD_ONLY,
    ExperimentSeen,
    RunSeen,
    compare_experiments,
    compare_runs,
)
from matih_workers.replay.gaps import missing
from matih_workers.replay.order import Batch, merged
from matih_workers.replay.ranges import common, text, united, without
from matih_workers.replay.selection import Chooser, Selection
from matih_workers.replay.source import Joined
from matih_workers.replay.survey import Survey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matih_schemas.events import TrackingEvent

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: range(pair[0], sum(pair))))
TOPIC = Source("cluster", "topic", "events")


def members(ranges: Sequence[range]) -> set[int]:
    return {offset for one in ranges for offset in one}


@given(RANGES, RANGES)
def test_ranges_are_sets(some: list[range], others: list[range]) -> None:
    assert members(united(some)) == members(some)
    assert members(common(some, others)) == members(some) & members(others)
    assert members(without(some, others)) == members(some) - members(others)
    for found in (united(some), common(some, others), without(some, others)):
        assert all(one.stop < two.start for one, two in itertools.pairwise(found))
        assert all(found)


def test_ranges_for_people() -> None:
    assert text((range(2, 6), range(9, 10))) == "2 to 5, 9"


class Stored:
    """A source that has these offsets, and says whose they are in each record's key."""

    def __init__(self, name: bytes, held: dict[int, tuple[range, ...]], topic: Source = TOPIC) -> None:
        self.topic, self._name, self._held = topic, name, held

    async def held(self) -> dict[int, tuple[range, ...]]:
        return self._held

    def records(self, wanted: Mapping[int, tuple[range, ...]]) -> dict[int, AsyncIterator[Sequence[Received]]]:
        return {number: self._part(number, some) for number, some in wanted.items()}

    async def _part(self, number: int, wanted: tuple[range, ...]) -> AsyncIterator[Sequence[Received]]:
        offsets = sorted(members(wanted))
        assert set(offsets) <= members(self._held.get(number, ()))
        for first in range(0, len(offsets), 3):
            yield [Received("events", number, offset, self._name, b"") for offset in offsets[first : first + 3]]


@given(RANGES, RANGES)
def test_two_sources_joined_give_each_offset_once_and_in_order(first: list[range], second: list[range]) -> None:
    async def read() -> list[Received]:
        joined = Joined(Stored(b"archive", {0: united(first)}), Stored(b"topic", {0: united(second), 1: ()}))
        held = await joined.held()
        assert members(held[0]) == members(first) | members(second)
        return [record async for some in joined.records(held)[0] for record in some]

    found = asyncio.run(read())
    assert [record.offset for record in found] == sorted(members(first) | members(second))
    assert all((record.key == b"archive") == (record.offset in members(first)) for record in found)


def test_two_topics_are_not_joined() -> None:
    with pytest.raises(ValueError, match="not the same topic"):
        Joined(Stored(b"", {}), Stored(b"", {}, TOPIC._replace(topic_id="other")))


@given(st.lists(st.lists(st.integers(0, 50), max_size=8).map(sorted), max_size=4))
def test_partitions_are_merged_by_time_each_in_its_order(times: list[list[int]]) -> None:
    async def part(number: int) -> AsyncIterator[Sequence[Received]]:
        yield []
        for offset, time in enumerate(times[number]):
            yield [Received("events", number, offset, None, None, (), time)]

    async def read() -> list[Received]:
        return [record async for record in merged({number: part(number) for number in range(len(times))})]

    found = asyncio.run(read())
    assert [record.timestamp_ms for record in found] == sorted(time for some in times for time in some)
    for number, some in enumerate(times):
        assert [one.offset for one in found if one.partition == number] == list(range(len(some)))


def record(event: TrackingEvent, offset: int = 0, partition: int = 0, received: int = START) -> Received:
    headers = tuple(codec.headers(event))
    return Received("events", partition, offset, codec.event_key(event), codec.encode(event), headers, received)


def test_a_batch_has_no_holes_and_no_experiment_behind_a_run() -> None:
    who = Producer()
    made = experiment_event("default", events.ExperimentDeleted("e"))
    batch = Batch(3)
    for offset, event in enumerate((made, who.created())):
        assert batch.takes(record(event, offset))
        batch.add(record(event, offset))
    assert not batch.takes(record(made, 2))
    assert not batch.takes(record(who.ended(), 3))
    assert batch.takes(record(who.ended(), 9, partition=1))
    batch.add(record(who.ended(), 2))
    assert not batch.takes(record(who.ended(), 3))


def test_a_selection_chooses() -> None:
    mine, other = Producer(tenant="acme", experiment="mine"), Producer(tenant="acme", experiment="other")
    foreign = Producer(tenant="evil", experiment="mine")
    stream = [record(event) for who in (mine, other, foreign) for event in (who.created(), who.log(Entry({"a": 1.0})))]
    renamed = identity.experiment_id("acme", "mine")
    stream.append(record(experiment_event("acme", events.ExperimentUpdated(renamed, name="new"))))

    def chosen(**given: object) -> list[int]:
        chooser = Chooser(Selection(**given))  # type: ignore[arg-type]
        return [index for index, one in enumerate(stream) if chooser.wants(one)]

    assert chosen() == list(range(7))
    assert chosen(tenants=frozenset({"acme"})) == [0, 1, 2, 3, 6]
    assert chosen(runs=frozenset({other.run_id})) == [2, 3]
    assert chosen(experiments=frozenset({"mine"})) == [0, 1, 4, 5, 6]
    assert chosen(experiments=frozenset({renamed})) == [0, 1, 6]
    assert chosen(kinds=frozenset({"RunCreated"}), tenants=frozenset({"evil"})) == [4]
    assert chosen(since=START + 1) == chosen(until=START) == []
    assert chosen(since=START, until=START + 1) == list(range(7))
    assert Selection(tenants=frozenset("ab")).text() == Selection(tenants=frozenset("ba")).text()
    assert Selection(tenants=frozenset("a")).text() != Selection(runs=frozenset("a")).text()
    later = [record(mine.ended(), received=START + 9), record(other.ended(), received=START + 9)]
    chooser = Chooser(Selection(experiments=frozenset({"mine"}), since=START + 1))
    assert [chooser.wants(one) for one in [*stream, *later]] == [False] * 7 + [True, False], "made before the time"
    chooser = Chooser(Selection(experiments=frozenset({"new"})))
    assert [index for index, one in enumerate([*stream, stream[0], stream[1]]) if chooser.wants(one)] == [6, 7, 8]
    again = Chooser(Selection(experiments=frozenset({"mine"})))
    again.learn(stream[0])
    assert again.wants(stream[1])


def test_the_survey_counts() -> None:
    who, survey = Producer(tenant="acme"), Survey()
    for one in (record(who.created()), record(who.log(Entry({"a": 1.0, "b": 2.0})), received=START + 5)):
        survey.count(one)
    survey.count(Received("events", 0, 2, b"acme/x", b"garbage", (), START + 1))
    report = survey.as_json()
    assert report["by_kind"] == {"RunCreated": 1, "RunLogged": 1, "(unreadable)": 1}
    assert (report["by_tenant"], report["runs"], report["metrics"]) == ({"acme": 3}, 1, 2)
    assert (report["received_first"], report["received_last"]) == (
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:20.005Z",
    )


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 2)), max_size=30), st.floats(1, 500))
def test_the_rate_is_kept(turns: list[tuple[int, float]], rate: float) -> None:
    limit, now, began = Rate(rate), 100.0, []
    for events_, pause in turns:
        now += limit.wait(events_, now)
        began.append((now, events_))
        now += pause
    for first in range(len(began)):
        for last in range(first + 1, len(began)):
            many = sum(number for _, number in began[first:last])
            assert many <= rate * (began[last][0] - began[first][0]) * (1 + 1e-9) + 1e-6
    assert Rate(None).wait(10, 0.0) == 0.0
    assert (Rate(None).together(256), Rate(100).together(256), Rate(1).together(256)) == (256, 10, 1)


def test_what_is_missing() -> None:
    positions = {
        0: Position("topic", 10, ((2, 4), (6, 8))),
        1: Position("topic", 5),
        2: Position("old", 7, ((1, 2),)),
        4: Position("topic", 3),
    }
    held = {0: (range(3, 12),), 1: (range(9),), 2: (range(4),), 3: (range(5, 6),), 4: ()}
    found = missing(positions, {0: 10, 1: 8, 2: 3, 3: 6}, held, "topic")
    assert found.there == {0: (range(3, 4), range(6, 8)), 1: (range(5, 8),), 2: (range(3),), 3: (range(5, 6),)}
    assert found.lost == {0: (range(2, 3),), 3: (range(5),)}
    assert {number: (one.topic_id, one.gaps, one.end) for number, one in found.former.items()} == {
        2: ("old", (range(1, 2),), 7)
    }
    assert not missing({1: Position("topic", 9)}, {1: 8}, {1: (range(9),)}, "topic")


RUN = RunSeen(
    experiment="e",
    name="baseline",
    status="FINISHED",
    start_time=1,
    end_time=2,
    deleted=False,
    params={"p": "1"},
    tags={"t": "1", "matih.applied.a": "5", tags.STATUS: "1,2,3,x", "matih.run.r": "1", tags.FILLED: "x:*"},
    latest={"loss": "0.5"},
    points={("loss", "0.5", 1, 1)},
)


def causes(old: RunSeen, new: RunSeen) -> dict[str, str]:
    return {finding.what: finding.cause for finding in compare_runs("run", old, new)}


def test_equal_runs_have_no_findings() -> None:
    assert causes(RUN, replace(RUN, tags={**RUN.tags, tags.FILLED: "y:*", "matih.run.other": "1"})) == {}
    assert causes(replace(RUN, name="bold-fish-12"), replace(RUN, name="run-0123abcd")) == {}


def test_what_people_edited_is_told_from_what_is_missing() -> None:
    edited = replace(RUN, name="mine", status="FAILED", end_time=9, tags={**RUN.tags, "t": "2", "u": "3"}, deleted=True)
    assert causes(edited, RUN) == {
        **dict.fromkeys(("name", "status", "end_time", "deleted", "tag t"), EDITED),
        "tag u": OLD_ONLY,
    }
    behind = replace(edited, tags={**edited.tags, "matih.applied.a": "4", tags.STATUS: "1,0,1,x"}, points=set())
    assert causes(behind, RUN) == {
        **dict.fromkeys(("name", "status", "end_time", "tag t", "entries of producer a", "metric loss"), DIFFERENCE),
        "tag u": OLD_ONLY,
        "deleted": EDITED,
    }
    assert causes(replace(RUN, params={}, latest={"loss": "9"}), RUN) == dict.fromkeys(
        ("param p", "latest loss"), DIFFERENCE
    )
    assert causes(replace(RUN, points={*RUN.points, ("x", "1.0", 1, 1)}), RUN) == {"metric x": OLD_ONLY}


MADE = ExperimentSeen("acme/e", deleted=False, tags={"t": "1", "matih.experiment.x": "1"})


def judged(old: ExperimentSeen | None, new: ExperimentSeen | None, said: ExperimentSeen | None) -> dict[str, str]:
    return {finding.what: finding.cause for finding in compare_experiments("experiment", old, new, said)}


def test_of_an_experiment_the_events_tell() -> None:
    other = ExperimentSeen("acme/f", deleted=True, tags={"t": "2", "u": "3"})
    names = ("name", "deleted", "tag t", "tag u")
    assert judged(MADE, replace(MADE, tags={"t": "1"}), MADE) == {}
    assert judged(other, MADE, MADE) == dict.fromkeys(names, EDITED)
    assert judged(other, MADE, None) == dict.fromkeys(names, EDITED), "nobody knows better"
    assert judged(MADE, other, MADE) == dict.fromkeys(names, DIFFERENCE)
    assert judged(other, MADE, other) == dict.fromkeys(names, DIFFERENCE)
    assert judged(replace(MADE, tags={}), MADE, MADE) == {"tag t": EDITED}
    assert judged(MADE, None, MADE) == judged(None, MADE, MADE) == judged(None, MADE, None) == {"the whole": DIFFERENCE}
    assert judged(MADE, None, None) == {"the whole": EDITED}


@pytest.mark.parametrize(
    "given",
    [
        {"full": True, "missing": True},
        {"missing": True, "run": ["a"]},
        {"give_up": True},
        {"verify": True},
        {"verify": True, "against": "x", "run": ["a"]},
        {"verify": True, "against": "x", "missing": True},
        {"full": True, "verify": True},
        {"full": True, "against": "x"},
        {"kind": ["Nothing"]},
        {"since": "yesterday"},
    ],
)
def test_wrong_use_is_told_before_anything_is_done(given: dict[str, object]) -> None:
    with pytest.raises(WrongUse):
        cli.replay(**given)  # type: ignore[arg-type]
