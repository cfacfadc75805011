"""The shipper's small parts: pace, heartbeats, outages, the alarm, the first entry's file, the state file."""

from __future__ import annotations

import asyncio
import json
import logging
from itertools import pairwise

import pytest

from matih_schemas.identity import event_id
from matih_tracking.journal import origin
from matih_tracking.shipper import state
from matih_tracking.shipper.alarm import Alarm
from matih_tracking.shipper.heart import Heart
from matih_tracking.shipper.outage import Outage
from matih_tracking.shipper.pace import LATEST, SOONEST, Pace, window
from matih_tracking.shipper.sources import Source


def source(producer, run="r", tenant="t", owner=False):
    return Source(run, producer, tenant, attempt=1, owner=owner)


def test_a_busy_journal_is_looked_at_soon_and_a_quiet_one_ever_more_seldom():
    pace, now, pauses = Pace(), 100.0, []
    pace.found(now, more=True)
    assert pace.at == now
    pace.found(now, more=False)
    assert pace.at == now + SOONEST
    for _ in range(100):
        pace.quiet(now)
        pauses.append(pace.at - now)
        now = pace.at
    assert pauses[0] == pytest.approx(SOONEST)
    assert all(after > before - 0.05 for before, after in pairwise(pauses))
    assert LATEST <= pauses[-1] <= LATEST + 0.05
    pace.hurry()
    assert pace.at == 0.0


def test_more_open_journals_wait_longer_for_company_up_to_a_bound():
    waits = [window(count) for count in (0, 1, 50, 512, 10_000)]
    assert waits == sorted(waits)
    assert waits[1] <= 0.05
    assert waits[-1] <= 0.5


def test_one_heartbeat_per_run_and_minute_from_its_owner():
    heart = Heart()
    alive = [source("p2"), source("p1", owner=True), source("p3"), source("q", run="s"), source("p4", tenant="u")]
    beats = heart.beats(alive, 600_001)
    assert [(b.tenant_id, b.payload.run_id, b.payload.producer_id) for b in beats] == [
        ("t", "r", "p1"),
        ("t", "s", "q"),
        ("u", "r", "p4"),
    ]
    assert heart.beats(alive, 659_999) == []
    (later,) = heart.beats([source("p1", owner=True)], 660_000)
    assert later.occurred_at == 660_000
    assert later.event_id == event_id("r", "p1", 11, "Heartbeat")


def test_an_outage_is_said_once_and_its_end_too(caplog):
    caplog.set_level(logging.INFO)
    outage = Outage()
    outage.over(0.0)
    for second in range(100):
        outage.lost(f"reason {second}", float(second))
    assert outage.reason == "reason 99"
    outage.over(100.0)
    outage.over(101.0)
    assert outage.reason is None
    assert outage.last_error == "reason 99"
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "reason 0" in lines[0]
    assert "after 100 s" in lines[1]


def test_a_long_outage_is_said_again_now_and_then(caplog):
    outage = Outage()
    for second in range(0, 3600, 5):
        outage.lost("down", float(second))
    assert len(caplog.records) == 6


def test_the_alarm_ends_the_sleep_and_is_not_missed():
    async def scenario():
        alarm = Alarm()
        asyncio.get_running_loop().call_later(0.01, alarm.ring)
        await asyncio.wait_for(alarm.sleep(60), 10)
        alarm.ring()
        await asyncio.wait_for(alarm.sleep(60), 10)
        alarm.ring()
        alarm.clear()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(alarm.sleep(60), 0.05)
        await asyncio.wait_for(alarm.sleep(0.01), 10)

    asyncio.run(scenario())


def test_the_first_entry_is_kept_whole_or_not_at_all(tmp_path):
    assert origin.load(tmp_path) is None
    origin.store(tmp_path, b"first")
    assert origin.load(tmp_path) == b"first"
    file = tmp_path / origin.ORIGIN_FILE
    for damaged in (b"", b"abc", file.read_bytes()[:-1], b"x" + file.read_bytes()[1:]):
        file.write_bytes(damaged)
        assert origin.load(tmp_path) in (None, b"")


def test_the_state_file_is_read_back_also_with_words_of_another_release(tmp_path):
    assert state.read(tmp_path) is None
    told = state.ShipperState(1, 2, "log", "b:1", "t", entries=7, unreadable={"a": "b"})
    state.write(tmp_path, told)
    assert state.read(tmp_path) == told
    file = tmp_path / state.STATE_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "newer": 1}))
    assert state.read(tmp_path) == told
    for damaged in ("", "[]", "{}", "null"):
        file.write_text(damaged)
        assert state.read(tmp_path) is None
