"""A shipper that delivers through the gateway, on real servers: whatever is killed or revoked, all of it arrives."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.shipper.world import World, by_producer, written_by
from tests.shipper.writing import TENANT, Trainer
from tests.waiting import until

from matih_tracking.shipper import state
from matih_tracking.spool import SpoolSettings, open_spool, spool_path
from matih_tracking.target import target

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from matih_local.system import LocalSystem

ROOT = Path(__file__).parents[2]
TOKEN = "a-t0ken-for-acme"
ROUNDS = 3


class GatewayWorld(World):
    """A world whose shippers know the API only; the API knows Kafka. Two API processes behind one another's port."""

    def __init__(self, brokers: str, topic: str, folder: Path) -> None:
        super().__init__(brokers, topic, folder)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens, self.token_file = folder / "tokens.json", folder / "token"
        self.token_file.write_text(TOKEN)
        self.grant()
        self.spool = open_spool(spool_path(target(self.environment).spool_key, SpoolSettings(base=self.base)))
        self.api: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")},
            "MATIH_API_URL": self.url,
            "MATIH_API_TOKEN_FILE": str(self.token_file),
            "MATIH_TENANT": TENANT,
            "MATIH_SPOOL_DIR": str(self.base),
            "PYTHONPATH": str(ROOT),
        }

    def grant(self, role: str = "WRITER", token: str = TOKEN) -> None:
        whole = self.tokens.with_suffix(".new")
        whole.write_text(json.dumps({token: ["shipper", {TENANT: role}]}))
        whole.replace(self.tokens)

    def start_api(self) -> None:
        """Returns at once: shippers have to wait for it."""
        self.api = self.start(
            *("-m", "tests.api.gateway_app", str(self.port), str(self.tokens)),
            KAFKA_BOOTSTRAP_SERVERS=self.brokers,
            MATIH_EVENTS_TOPIC=self.topic,
        )

    def kill_api(self) -> None:
        assert self.api is not None
        self.api.kill()
        self.api.wait()

    def said(self) -> state.ShipperState:
        told = state.read(self.spool)
        assert told is not None
        return told


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[GatewayWorld]:
    world = GatewayWorld(kafka, events_topic, tmp_path)
    world.start_api()
    yield world
    world.close()


class Training:
    """Trainers that log until the end of the block, then end."""

    def __init__(self, world: World, count: int = 3) -> None:
        self.world = world
        self.trainers = [Trainer(world.spool, first_segment_bytes=8192) for _ in range(count)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._train, args=[trainer]) for trainer in self.trainers]

    def _train(self, trainer: Trainer) -> None:
        while not self._stop.wait(0.02):
            trainer.log(20)
        trainer.end()

    def acked(self) -> int:
        return sum(map(self.world.acked, self.trainers))

    def some_more(self, entries: int) -> None:
        goal = self.acked() + entries
        until(lambda: self.acked() >= goal, f"{entries} more entries are acknowledged", pause=0.002)

    def __enter__(self) -> Training:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def arrived(self) -> None:
        """All of it, once in effect, in order; every event says who sent it."""
        until(self.world.is_empty, "everything is delivered and removed")
        events = self.world.events()
        assert by_producer(events) == written_by(*self.trainers)
        assert {event.actor for event in events} == {"shipper"}


def test_all_arrives_and_everybody_says_where_it_goes(world: GatewayWorld) -> None:
    with Training(world) as training:
        world.start_shipper()
        training.some_more(500)
    training.arrived()
    assert len({event.event_id for event in world.events()}) == len(world.events()), "nothing is sent twice"
    told = world.said()
    assert (told.brokers, told.topic, told.state) == (world.url, "", "delivering")
    assert told.entries == sum(len(trainer.said) for trainer in training.trainers)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 6))])
def test_the_api_is_killed_again_and_again(world: GatewayWorld, seed: int) -> None:
    pick = random.Random(seed)
    with Training(world) as training:
        world.start_shipper()
        for _ in range(ROUNDS):
            training.some_more(pick.randint(1, 2000))
            world.kill_api()
            world.start_api()
        training.some_more(1)
    training.arrived()


@pytest.mark.soak
def test_shipper_and_api_are_killed_in_turn(world: GatewayWorld) -> None:
    pick = random.Random(7)
    with Training(world) as training:
        for _ in range(2):
            shipper = world.start_shipper()
            training.some_more(pick.randint(1, 2000))
            shipper.kill()
            shipper.wait()
            world.kill_api()
            world.start_api()
        world.start_shipper()
    training.arrived()


@pytest.mark.soak
def test_kafka_is_killed_behind_it(world: GatewayWorld, local_system: LocalSystem) -> None:
    with Training(world) as training:
        world.start_shipper()
        training.some_more(500)
        local_system.kill("kafka")
        try:
            until(lambda: world.said().state == "waiting", "the shipper says that it waits")
            until(lambda: "503" in (world.said().error or ""), "and what the gateway says")
        finally:
            local_system.start("kafka")
        training.some_more(500)
    training.arrived()
    assert world.said().state == "delivering"


def test_the_token_is_revoked_and_another_one_given(world: GatewayWorld) -> None:
    with Training(world) as training:
        world.start_shipper()
        training.some_more(500)
        world.grant(token="another")
        until(lambda: "401" in (world.said().error or ""), "the shipper says why nothing goes")
        assert "MATIH_API_TOKEN_FILE" in (world.said().error or "")
        world.token_file.write_text("another")
        training.some_more(500)
        world.grant("READER", "another")
        until(lambda: "403" in (world.said().error or ""), "the shipper says why nothing goes")
        world.grant("WRITER", "another")
        training.some_more(500)
    training.arrived()
    assert world.said().state == "delivering"


TRAIN = """
from matih_tracking import ExperimentTracker
with ExperimentTracker().start_run("exp") as run:
    for step in range(200):
        run.log_metric("loss", 1 / (step + 1), step=step)
"""


def test_run_sync_status_and_doctor_name_the_gateway(world: GatewayWorld) -> None:
    done = world.matih("run", "--wait", "30", "--", sys.executable, "-c", TRAIN, MATIH_EXIT_TIMEOUT="20")
    assert done.returncode == 0, done.stderr
    assert f" -> {world.url}\n" in done.stderr
    assert f"delivered to {world.url}" in done.stderr
    status = json.loads(world.matih("status", "--json").stdout)
    assert status["broker"] == {
        "kind": "gateway",
        "address": world.url,
        "topic": None,
        "reachable": True,
        "error": None,
    }
    assert f"gateway  {world.url}: reachable" in world.matih("status").stdout
    checks = json.loads(world.matih("doctor", "--json").stdout)["checks"]
    assert checks["event gateway"]["state"] == "ok"
    assert not {"Kafka", "topics"} & set(checks)

    world.grant(token="another")
    left = world.matih("run", "--wait", "1", "--", sys.executable, "-c", TRAIN, MATIH_EXIT_TIMEOUT="1")
    assert left.returncode == 0
    until(lambda: "MATIH_API_TOKEN_FILE" in (world.said().error or ""), "its shipper says what is wrong")
    assert TOKEN not in left.stderr + (world.said().error or "")
    assert "401" in json.loads(world.matih("status", "--json").stdout)["broker"]["error"]
    os.kill(world.said().pid, signal.SIGKILL)
    world.grant()
    synced = world.matih("sync", "--json")
    assert synced.returncode == 0, (synced.stdout, synced.stderr)
    assert json.loads(synced.stdout)["delivered"] >= 202
    assert len({event.payload.run_id for event in world.events() if event.kind == "RunCreated"}) == 2  # type: ignore[union-attr]


def test_a_forgotten_tenant_is_never_put_right_in_silence(world: GatewayWorld) -> None:
    done = world.matih("run", "--wait", "0", "--", sys.executable, "-c", TRAIN, MATIH_TENANT="", MATIH_EXIT_TIMEOUT="0")
    assert done.returncode == 0
    (spool,) = (file.parent for file in until(lambda: list(world.base.rglob("shipper.json")), "its shipper is there"))
    until(lambda: "set MATIH_TENANT=acme" in (((told := state.read(spool)) and told.error) or ""), "the remedy is told")
    assert world.events() == []
    os.kill(state.read(spool).pid, signal.SIGKILL)  # type: ignore[union-attr]
