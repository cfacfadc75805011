"""A real worker with one tenant's backlog: another tenant's run on another partition does not wait until it is done."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.waiting import until
from tests.workers.journals import START, Entry, Producer
from tests.workers.test_loop import compare
from tests.workers.views import MlflowBench

from matih_schemas import codec
from matih_schemas.identity import partition_of

if TYPE_CHECKING:
    from tests.workers.pipe import Pipe

    from matih_schemas.events import TrackingEvent

EVENTS, POINTS = 150, 1_000


def place(who: Producer, pipe: Pipe) -> int:
    return partition_of(codec.event_key(who.created()), pipe.partitions)


def flood(who: Producer) -> list[TrackingEvent]:
    parts = (
        [Entry({f"m{i}": float(step) for i in range(10)}, step=step) for step in range(first, first + POINTS // 10)]
        for first in range(0, EVENTS * POINTS // 10, POINTS // 10)
    )
    return [who.created(), *(who.log(*entries) for entries in parts), who.log(Entry(tags={"last": "1"})), who.ended()]


def test_a_run_beside_another_tenants_backlog_is_done_before_it(pipe: Pipe) -> None:
    loud = Producer(tenant="loud", experiment=f"loud-{secrets.token_hex(4)}")
    quiet = next(
        who
        for _ in range(100)
        if place(who := Producer(tenant="quiet", experiment=f"quiet-{secrets.token_hex(4)}"), pipe) != place(loud, pipe)
    )
    pipe.publish(flood(loud))
    pipe.start()
    until(lambda: pipe.status().get("events", 0) > 0, "the flood's first batch")
    log = quiet.log(Entry({"a": 1.0}, time=START), Entry(tags={"last": "1"}))
    pipe.publish([quiet.created(), log, quiet.ended()])
    bench = MlflowBench(pipe.store_uri)
    until(lambda: (seen := bench.view(quiet.run_id)) is not None and seen.status == "FINISHED", "the quiet run's end")
    left = pipe.published - pipe.status()["events"]
    assert left > EVENTS // 4, "it waited for most of the flood"
    pipe.settled(120)
    compare(pipe, [loud, quiet])
