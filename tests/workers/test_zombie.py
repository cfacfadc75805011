"""Workers that are stopped in a write and woken when their partitions are another's; connections cut in a COPY."""

from __future__ import annotations

import random
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from tests.waiting import until
from tests.workers.dumps import dump
from tests.workers.journals import START, Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.test_loop import compare, trained
from tests.workers.views import SqlBench

from matih_workers.operations import operations
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = [0.2, 0.4, 0.7]


@pytest.mark.soak
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_woken_after_its_partitions_moved_changes_nothing(
    kafka: str, events_topic: str, postgres_uri: str, tmp_path: Path, moment: float
) -> None:
    (tmp_path / "heir").mkdir()
    zombie = Pipe(kafka, events_topic, postgres_uri, tmp_path)
    heir = Pipe(kafka, events_topic, postgres_uri, tmp_path / "heir")
    producers, events = trained(runs=6, events=30, points=2000)
    cut = len(events) - len(producers)
    zombie.publish(events[:cut])
    try:
        zombie.start(MATIH_STORE_TIMEOUT="5")
        until(lambda: zombie.status().get("metrics", 0) >= moment * 6 * 30 * 2000, "the worker is at work", pause=0.01)
        assert zombie.process is not None
        zombie.process.send_signal(signal.SIGSTOP)
        heir.start(MATIH_STORE_TIMEOUT="5")
        until(lambda: len(heir.status().get("partitions", [])) == 12, "all partitions are the heir's")
        zombie.publish(events[cut:])
        until(
            lambda: heir.status().get("metrics", 0) > 0 or "locked" in heir.log(), "the heir works, or waits for locks"
        )
        zombie.process.send_signal(signal.SIGCONT)
        zombie.settled(180)
        assert heir.end() == 0
        zombie.end()
    finally:
        zombie.close()
        heir.close()
    compare(zombie, producers)
    before = rows(postgres_uri, producers)
    try:
        zombie.publish(events)
        zombie.start()
        zombie.settled(180)
        assert zombie.end() == 0
    finally:
        zombie.close()
    assert rows(postgres_uri, producers) == before
    assert zombie.dead_letters() == []


def rows(uri: str, producers: list[Producer]) -> dict[str, list[Any]]:
    """All of these runs in MLflow's tables: with the SQL store their ids are MLflow's."""
    return dump(uri, {who.run_id for who in producers})


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak), pytest.param(2, marks=pytest.mark.soak)])
def test_a_connection_cut_in_the_middle_of_a_copy(postgres_uri: str, seed: int) -> None:
    bench = SqlBench(postgres_uri)
    who = Producer(tenant="acme", experiment=f"copy-{secrets.token_hex(4)}")
    entries = [
        Entry({"a": float(step), "b": random.random()}, {}, {"last": str(step)}, step, START) for step in range(40_000)
    ]
    changes = [operations(event) for event in (who.created(), who.log(*entries), who.ended())]
    cutter = Cutter(postgres_uri, after=random.Random(seed).randrange(1, 6))
    cutter.start()
    with pytest.raises(StoreUnavailable):
        bench.store.apply(changes)  # type: ignore[arg-type]
    cutter.join()
    assert cutter.cut
    assert bench.store.apply(changes) == {}  # type: ignore[arg-type]
    before = rows(postgres_uri, [who])
    bench.store.forget()
    assert bench.store.apply(changes) == {}  # type: ignore[arg-type]
    assert rows(postgres_uri, [who]) == before
    seen = bench.view(who.run_id)
    assert seen is not None
    assert seen.points == {(key, repr(value), START, e.step) for e in entries for key, value in e.metrics.items()}
    assert (seen.status, seen.tags["last"]) == ("FINISHED", "39999")
    bench.store.close()


class Cutter(threading.Thread):
    """Ends the connection of a store that copies, when it was seen to so many times."""

    def __init__(self, uri: str, after: int) -> None:
        super().__init__(daemon=True)
        self._uri = uri
        self._after = after
        self.cut = False

    def run(self) -> None:
        engine = sa.create_engine(self._uri, isolation_level="AUTOCOMMIT")
        copying = sa.text(
            "SELECT pid FROM pg_stat_activity "
            "WHERE application_name = 'matih' AND state = 'active' AND query ILIKE 'COPY%'"
        )
        deadline, seen = time.monotonic() + 60, 0
        with engine.connect() as connection:
            while not self.cut and time.monotonic() < deadline:
                pids = list(connection.execute(copying).scalars())
                seen += bool(pids)
                if pids and seen >= self._after:
                    connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pids[-1]})
                    self.cut = True
        engine.dispose()


def test_a_read_only_database_is_an_outage_until_it_is_writable(postgres_uri: str) -> None:
    bench = SqlBench(postgres_uri)
    who = Producer(tenant="acme", experiment=f"readonly-{secrets.token_hex(4)}")
    engine = sa.create_engine(postgres_uri, isolation_level="AUTOCOMMIT")
    name = sa.make_url(postgres_uri).database
    with engine.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
        try:
            with pytest.raises(StoreUnavailable, match="read-only"):
                bench.store.apply([operations(who.created())])  # type: ignore[list-item]
            with pytest.raises(StoreUnavailable, match="read-only"):
                bench.store.probe()
        finally:
            connection.execute(sa.text("SET default_transaction_read_only = off"))
            connection.execute(sa.text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
    engine.dispose()
    until(lambda: applied(bench, who), "the store takes the run")
    assert bench.view(who.run_id) is not None
    bench.store.close()


def applied(bench: SqlBench, who: Producer) -> bool:
    try:
        return bench.store.apply([operations(who.created())]) == {}  # type: ignore[list-item]
    except StoreUnavailable:
        return False
