"""The shipper on a real broker: what was written is what arrives, entry by entry, both ways."""

from __future__ import annotations

import random
import shutil
import signal
import threading
from pathlib import Path
from zlib import crc32

import pytest
from tests.shipper.unpacking import said
from tests.shipper.world import by_producer, ends, written_by
from tests.shipper.writing import START_MS, TENANT, Trainer
from tests.waiting import until

from matih_schemas.events import Heartbeat, RunCreated, RunEnded
from matih_schemas.identity import experiment_id
from matih_tracking.journal import entries, listing
from matih_tracking.journal.ownership import LOCK_FILE
from matih_tracking.journal.writer import JournalWriter
from matih_tracking.shipper import state

ROOT = Path(__file__).parents[2]


def finish(world):
    until(world.is_empty, "everything is delivered and removed")
    return world.events()


def test_what_was_written_arrives_once_and_in_order_and_the_journals_go(world):
    trainers = [Trainer(world.spool, first_segment_bytes=4096) for _ in range(3)]
    trainers += [Trainer(world.spool, trainers[0].run_id, owner=False, rank=rank) for rank in (1, 2)]
    for trainer in trainers:
        trainer.log(50)
    world.start_shipper()
    for trainer in trainers:
        trainer.log(400)
        trainer.end()
    events = finish(world)
    assert by_producer(events) == written_by(*trainers)
    assert len({event.event_id for event in events}) == len(events)
    assert {event.tenant_id for event in events} == {TENANT}
    assert {event.host for event in events} == {"h1"}
    told = state.read(world.spool)
    assert (told.entries, told.removed, told.skipped) == (sum(len(t.said) for t in trainers), 5, 0)


def test_begin_comes_before_logs_and_end_after_them_on_one_partition(world):
    trainers = [Trainer(world.spool)]
    trainers += [Trainer(world.spool, trainers[0].run_id, owner=False, rank=rank) for rank in range(1, 4)]
    world.start_shipper()
    for trainer in trainers:
        trainer.log(100)
        trainer.end()
    arrived = {}
    for event in finish(world):
        payload = event.payload
        if isinstance(payload, RunCreated | RunEnded):
            arrived.setdefault(payload.producer_id, []).append(
                (event.kind, payload.attempt, payload.owner, payload.rank)
            )
    assert arrived == {
        t.producer_id: [(kind, START_MS, t is trainers[0], rank or None) for kind in ("RunCreated", "RunEnded")]
        for rank, t in enumerate(trainers)
    }


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 6))])
def test_killed_again_and_again_nothing_is_lost_and_first_copies_are_in_order(world, seed):
    pick = random.Random(seed)
    trainers = [Trainer(world.spool, first_segment_bytes=8192) for _ in range(3)]
    stop = threading.Event()

    def train(trainer):
        while not stop.wait(0.01):
            trainer.log(20, seed)
        trainer.end()

    threads = [threading.Thread(target=train, args=[trainer]) for trainer in trainers]
    for thread in threads:
        thread.start()
    for _ in range(3):
        shipper = world.start_shipper()
        goal = sum(map(world.acked, trainers)) + pick.randint(1, 3000)
        until(lambda goal=goal: sum(map(world.acked, trainers)) >= goal, "some entries are acknowledged", pause=0.001)
        shipper.kill()
        shipper.wait()
    stop.set()
    for thread in threads:
        thread.join()
    world.start_shipper()
    assert by_producer(finish(world)) == written_by(*trainers)


@pytest.mark.soak
def test_broker_killed_and_started_again(world, local_system):
    trainers = [Trainer(world.spool) for _ in range(3)]
    world.start_shipper()
    for trainer in trainers:
        trainer.log(300)
    until(lambda: sum(map(world.acked, trainers)) > 500, "some are acknowledged")
    local_system.kill("kafka")
    try:
        for trainer in trainers:
            trainer.log(3000)
        until(lambda: state.read(world.spool).state == "waiting", "the shipper says that it waits")
        assert "127.0.0.1" in state.read(world.spool).error or "not answered" in state.read(world.spool).error
    finally:
        local_system.start("kafka")
    for trainer in trainers:
        trainer.log(100)
        trainer.end()
    assert by_producer(finish(world)) == written_by(*trainers)
    assert state.read(world.spool).state == "delivering"


def test_starts_with_the_broker_down_and_the_topic_missing(world):
    trainer = Trainer(world.spool)
    trainer.log(10)
    trainer.end()
    command = ("-m", "matih_tracking.shipper", "--idle", "0.1")
    shipper = world.start(*command, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9", MATIH_EVENTS_TOPIC="no")
    # Another Kafka has another spool: this one is not touched.
    assert shipper.wait(60) == 0
    command = ("-m", "matih_tracking.shipper", "--spool", str(world.spool), "--forever", "--any-target")
    shipper = world.start(*command, MATIH_EVENTS_TOPIC="no")
    told = until(lambda: (it := state.read(world.spool)) and it.error and it, "the shipper says what is missing")
    assert "matih topics create" in told.error
    assert told.state == "waiting"
    shipper.terminate()
    assert shipper.wait(20) == 0
    assert not world.is_empty()


def test_of_two_shippers_one_wins(world):
    Trainer(world.spool).log(1)
    first = world.start_shipper("--forever")
    second = world.start("-m", "matih_tracking.shipper")
    assert second.wait(60) == 0
    assert f"another shipper (pid {first.pid})" in second.stderr.read()
    assert first.poll() is None


def test_sigterm_drains_and_sigint_is_left_to_the_training(world):
    trainer = Trainer(world.spool)
    shipper = world.start_shipper("--forever")
    shipper.send_signal(signal.SIGINT)
    trainer.log(2000)
    shipper.terminate()
    assert shipper.wait(30) == 0
    assert world.acked(trainer) == len(trainer.said)
    assert by_producer(world.events()) == written_by(trainer)
    assert not state.is_running(world.spool)


def test_goes_away_when_idle(world):
    shipper = world.start_shipper("--idle", "0.1")
    assert shipper.wait(30) == 0
    assert not state.is_running(world.spool)


COMES_IN_THAT_MOMENT = """
import sys
from matih_tracking.shipper import service, __main__
from matih_tracking.journal import listing
from tests.shipper.writing import Trainer

release, made = service.Service._release, []

def release_late(self):
    if not made:
        made.append(Trainer(self._spool))
        made[0].end()
    release(self)

service.Service._release = release_late
sys.exit(__main__.main())
"""


def test_what_comes_between_its_last_look_and_its_going_is_not_forgotten(world):
    """The tracker's rule is: first the journal, then the look at the lock. It saw a shipper, so this one must stay."""
    shipper = world.start("-c", COMES_IN_THAT_MOMENT, "--idle", "0.1", PYTHONPATH=str(ROOT))
    assert shipper.wait(30) == 0, shipper.stderr.read()
    assert world.is_empty()
    assert [event.kind for event in world.events()] == ["RunCreated", "RunEnded"]


def test_a_dead_writers_run_has_failed_when_it_was_last_heard_of(world):
    dead, rank, ended = Trainer(world.spool), Trainer(world.spool, owner=False, rank=7), Trainer(world.spool)
    for trainer in (dead, rank, ended):
        trainer.log(20)
    dead.vanish()
    rank.vanish()
    ended.end("KILLED")
    world.start_shipper()
    found = ends(finish(world))
    for trainer, owner, number in ((dead, True, None), (rank, False, 7)):
        (end,) = found[trainer.producer_id]
        assert (end.status, end.inferred, end.owner, end.rank) == ("FAILED", True, owner, number)
        assert end.sequence == len(trainer.said)
        assert end.end_time == trainer.said[-1].time
        assert end.attempt == START_MS
    (end,) = found[ended.producer_id]
    assert (end.status, end.inferred) == ("KILLED", False)


def test_a_death_is_the_same_event_whoever_finds_it_also_when_all_but_the_end_was_delivered(world):
    dead = Trainer(world.spool, first_segment_bytes=4096, max_segment_bytes=4096)
    dead.log(1000)
    shipper = world.start_shipper()
    until(lambda: world.acked(dead) == len(dead.said), "all is acknowledged")
    until(lambda: len(list(dead.journal.path.glob("*.seg"))) < 4, "what is delivered is deleted")
    shipper.kill()
    shipper.wait()
    dead.vanish()
    world.start_shipper()
    events = finish(world)
    (end,) = ends(events)[dead.producer_id]
    assert (end.sequence, end.end_time) == (len(dead.said), dead.said[-1].time)
    assert by_producer([e for e in events if not isinstance(e.payload, RunEnded)]) == written_by(dead)


def test_a_living_writer_is_never_dead(world):
    quiet = Trainer(world.spool)
    world.start_shipper()
    until(lambda: world.acked(quiet) == 1, "it is acknowledged")
    other = Trainer(world.spool)
    other.vanish()
    until(lambda: not other.journal.path.exists(), "a dead one's is removed")
    assert ends(world.events()).keys() == {other.producer_id}
    assert quiet.journal.path.exists()


def test_an_open_run_has_a_heartbeat(world):
    trainer = Trainer(world.spool)
    rank = Trainer(world.spool, trainer.run_id, owner=False, rank=1)
    world.start_shipper()

    def beats():
        return [event.payload for event in world.events() if isinstance(event.payload, Heartbeat)]

    until(beats, "a heartbeat", pause=0.5)
    assert {(beat.run_id, beat.producer_id) for beat in beats()} == {(trainer.run_id, trainer.producer_id)}
    rank.end()
    trainer.end()


def test_an_entry_that_nobody_can_read_is_skipped_and_told_and_the_others_go_on(world):
    trainer = Trainer(world.spool)
    trainer.log(10)
    for _ in range(2):
        trainer.journal.append(b"\x93\x63of a newer release")
    trainer.said += [None, None]
    trainer.log(10)
    trainer.end()
    shipper = world.start_shipper()
    expected = {
        trainer.producer_id: [
            (number, what) for number, what in enumerate_said(trainer) if trainer.said[number] is not None
        ]
    }
    assert by_producer(finish(world)) == expected
    assert state.read(world.spool).skipped == 2
    shipper.terminate()
    assert shipper.communicate()[1].count("skipped") == 1


def enumerate_said(trainer):
    return [(number, said(entry) if entry is not None else None) for number, entry in enumerate(trainer.said)]


def test_an_experiment_without_a_run(world):
    journal = JournalWriter.create(world.spool, "0" * 32)
    for name in ("one", "two"):
        journal.append(entries.encode(entries.Experiment(START_MS, TENANT, experiment_id(TENANT, name), name)))
    journal.close()
    world.start_shipper()
    found = [event.payload.name for event in finish(world) if event.kind == "ExperimentCreated"]
    assert sorted(found) == ["one", "two"]


def test_journals_that_it_does_not_understand_are_left_untouched(world):
    good, damaged, newer, foreign = (Trainer(world.spool, first_segment_bytes=4096) for _ in range(4))
    for trainer in (good, damaged, newer, foreign):
        trainer.log(200)
        trainer.end()
    segments = sorted(damaged.journal.path.glob("*.seg"))
    segments[1].unlink()
    change_header(newer, slice(8, 10), (99).to_bytes(2, "little"))
    change_header(foreign, slice(16, 24), b"\1" * 8)
    before = {trainer: contents(trainer.journal.path) for trainer in (damaged, newer, foreign)}
    world.start_shipper("--forever")
    until(lambda: not good.journal.path.exists(), "the good one is delivered")
    told = until(lambda: len((it := state.read(world.spool)).unreadable) == 3 and it, "three are told of")
    assert told.unreadable.keys() == {str(t.journal.path) for t in (damaged, newer, foreign)}
    for trainer in (newer, foreign):
        assert contents(trainer.journal.path) == before[trainer]
    assert sorted(damaged.journal.path.glob("*.seg")) == [segments[0], *segments[2:]]
    report = world.matih("sync", "--json", "--timeout", "5")
    assert report.returncode == 1
    assert str(newer.journal.path) in report.stdout


def change_header(trainer, place, value):
    """Changes all segments' headers, checksum included."""
    for segment in trainer.journal.path.glob("*.seg"):
        data = bytearray(segment.read_bytes())
        data[place] = value
        data[124:128] = crc32(data[:124]).to_bytes(4, "little")
        segment.write_bytes(data)


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != LOCK_FILE}


def test_a_deleted_spool_ends_the_shipper(world):
    shipper = world.start_shipper("--forever")
    shutil.rmtree(world.spool)
    assert shipper.wait(30) == 0
    assert listing.journals(world.spool) == []


def test_a_spool_deleted_after_its_first_segment_was_delivered_is_carried_on(world):
    """The first entry says whose all others are: it has to come back too."""
    trainer = Trainer(world.spool, first_segment_bytes=4096, max_segment_bytes=8192)
    trainer.log(500)
    shipper = world.start_shipper("--forever")
    until(lambda: world.acked(trainer) == len(trainer.said), "all is delivered")
    until(lambda: not (trainer.journal.path / f"{0:020d}.seg").exists(), "the first segment is deleted")
    shutil.rmtree(world.spool)
    assert shipper.wait(30) == 0
    assert trainer.journal.check().recreated
    trainer.log(500)
    world.start_shipper()
    trainer.end()
    events = finish(world)
    assert by_producer(events) == written_by(trainer)
    assert ends(events)[trainer.producer_id][0].attempt == START_MS
