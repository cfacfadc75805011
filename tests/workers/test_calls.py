"""Everything to be written is in the calls, once and in order, and each call is one that MLflow takes whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workers.journals import START

from matih_schemas.status import StatusOrder
from matih_workers.changes import Metric, StatusChange
from matih_workers.merge import RunWrites
from matih_workers.stores.calls import CHARACTERS_MAX, LogBatch, first_calls, last_calls, without_stored_nans

ENDED = StatusChange(StatusOrder(1, 2, 3, "id"), "FINISHED", START)
PAIRS = st.integers(0, 250).map(lambda count: {f"k{number}": "v" for number in range(count)})
WRITES = st.builds(
    RunWrites,
    metrics=st.integers(0, 3100).map(lambda count: [Metric("a", 1.0, START, step) for step in range(count)]),
    params=PAIRS,
    tags=PAIRS,
    status=st.sampled_from([None, ENDED]),
    marks=st.integers(1, 130).map(lambda count: {f"p{number}": number for number in range(count)}),
)


@given(WRITES)
@settings(max_examples=60, deadline=None)
def test_calls_hold_everything_within_mlflows_limits(writes: RunWrites) -> None:
    first, last = first_calls(writes), last_calls(writes)
    for call in (*first, *last):
        assert 0 < len(call.metrics) + len(call.params) + len(call.tags) <= 1000
        assert max(len(call.params), len(call.tags)) <= 100
    assert [metric for call in first for metric in call.metrics] == writes.metrics
    assert [pair for call in first for pair in call.params] == list(writes.params.items())
    tags = [pair for call in (*first, *last) for pair in call.tags]
    assert tags == [*writes.tags.items(), *writes.last_tags().items()], "the marks come last"
    assert not any(call.metrics or call.params for call in last)
    assert bool(last) == (writes.status is not None)
    if writes.status:
        assert not {key for call in first for key, _ in call.tags} & writes.last_tags().keys()


def test_999_points_and_a_mark_are_one_call() -> None:
    writes = RunWrites([Metric("a", 1.0, START, step) for step in range(999)], marks={"p": 1})
    assert len(first_calls(writes)) == 1


def test_long_values_are_cut_by_their_length_too() -> None:
    calls = first_calls(RunWrites(params={f"k{number}": "v" * 6000 for number in range(100)}))
    assert len(calls) == 2
    assert all(sum(len(value) for _, value in call.params) <= CHARACTERS_MAX for call in calls)


def test_what_an_old_server_has_of_nans_is_not_sent_again() -> None:
    nan = float("nan")
    stored = [Metric("loss", nan, 1, 1), Metric("loss", 0.5, 2, 2)]
    sent = [
        Metric("loss", nan, 1, 1),
        Metric("loss", nan, 2, 2),
        Metric("loss", nan, 2, 2),
        Metric("loss", 0.5, 2, 2),
        Metric("acc", 1.0, 1, 1),
    ]
    left = without_stored_nans(LogBatch(metrics=sent), lambda key: [point for point in stored if point.key == key])
    assert left is not None
    assert [repr(point) for point in left.metrics] == [repr(sent[1]), repr(sent[3]), repr(sent[4])]
    assert without_stored_nans(LogBatch(metrics=sent[3:]), lambda key: stored) is None
    assert without_stored_nans(LogBatch(metrics=sent[1:2]), lambda key: []) is None
