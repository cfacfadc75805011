"""Records that were taken from Kafka when the flow stopped, as in a rebalance, come again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.workers.test_loop import compare, trained

if TYPE_CHECKING:
    from tests.workers.pipe import Pipe


@pytest.mark.parametrize("failing", [pytest.param({}, marks=pytest.mark.soak), {"FAILING_SEEKS": "1"}])
def test_what_is_dropped_when_the_flow_stops_comes_again(pipe: Pipe, failing: dict[str, str]) -> None:
    """Of partitions whose offset was never committed too: a seek to what is committed leaves these where they are."""
    producers, events = trained(runs=20, events=3, points=20)
    pipe.start(module="tests.workers.halting", **failing)
    part = len(events) // 4
    for number in range(0, len(events), part):
        pipe.publish(events[number : number + part])
        pipe.settled()
    assert len(re.findall("dropped [1-9]", pipe.log())) >= 3
    assert pipe.dead_letters() == []
    compare(pipe, producers)
