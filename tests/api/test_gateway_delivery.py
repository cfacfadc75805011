"""A shipper that delivers through the gateway, on real servers: whatever is killed or revoked, all of it arrives."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.servers import ApiServer
from tests.shipper.world import World, by_producer, written_by
from tests.shipper.writing import TENANT, Trainer
from tests.waiting import until

from matih_api.auth import editing
from matih_api.auth.principal import Role
from matih_api.auth.token_file import change
from matih_tracking.shipper import state
from matih_tracking.spool import SpoolSettings, open_spool, spool_path
from matih_tracking.target import target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_api.auth.token_records import TokensFile
    from matih_local.system import LocalSystem

ROOT = Path(__file__).parents[2]
ROUNDS = 3
"""Kills of a long test; the one that always runs has one: an API takes seconds of CPU to start."""
FEW = {"MATIH_API_EVENTS_PER_SECOND": "10", "MATIH_API_EVENTS_BURST": "10"}


class GatewayWorld(World):
    """A world whose shippers know the API only; the API (`matih api`, with tokens) knows Kafka, and no MLflow.

    Attributes:
        token: the one that the API knows.
    """

    def __init__(self, brokers: str, topic: str, folder: Path, **settings: str) -> None:
        """`settings` are more environment variables of the API."""
        super().__init__(brokers, topic, folder)
        self.tokens, self.token_file = folder / "tokens.json", folder / "token"
        self.hold(self.grant())
        self.api = ApiServer(folder, {**self._api_environment(), **settings})
        self.url = self.api.url
        self.spool = open_spool(spool_path(target(self.environment).spool_key, SpoolSettings(base=self.base)))

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

    def _api_environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.brokers,
            "MATIH_EVENTS_TOPIC": self.topic,
            "MATIH_WORKER_GROUP": f"group-{self.topic}",
            "MATIH_API_TRACKING_URI": "http://127.0.0.1:9",
            "MATIH_API_TOKENS_FILE": str(self.tokens),
            "MATIH_HOME": str(self.folder / "home"),
        }

    def grant(self, role: Role = Role.WRITER) -> str:
        """A new token; those before it are revoked."""
        now = datetime.now(timezone.utc)

        def edit(file: TokensFile) -> tuple[TokensFile, str]:
            file = editing.with_tenant(file.model_copy(update={"tokens": {}}), TENANT, now)[0]
            file, made = editing.with_token(file, "shipper", {TENANT: role}, now, None)
            return file, made.token

        self.token = change(self.tokens, edit)
        return self.token

    def hold(self, token: str) -> None:
        """What shippers send from now on."""
        self.token_file.write_text(token)

    def refusals(self) -> float:
        """How often the API has refused a quota since it was started."""
        found = text_string_to_metric_families(httpx.get(f"{self.url}/metrics", trust_env=False, timeout=30).text)
        samples = [sample for family in found for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == "matih_api_quota_refusals_total")

    def said(self) -> state.ShipperState:
        told = state.read(self.spool)
        assert told is not None
        return told

    def close(self) -> None:
        self.api.close()
        super().close()


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[GatewayWorld]:
    world = GatewayWorld(kafka, events_topic, tmp_path)
    world.api.start()  # shippers have to wait for it
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


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_the_api_is_killed_again_and_again(world: GatewayWorld, seed: int) -> None:
    pick = random.Random(seed)
    with Training(world) as training:
        world.start_shipper()
        for _ in range(ROUNDS if seed else 1):
            training.some_more(pick.randint(1, 2000))
            world.api.kill()
            world.api.start()
        training.some_more(1)
    training.arrived()


@pytest.mark.soak
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_tenant_over_its_quota_is_told_to_wait_and_loses_nothing(
    kafka: str, events_topic: str, tmp_path: Path, killed: bool
) -> None:
    world = GatewayWorld(kafka, events_topic, tmp_path, **FEW)
    try:
        world.api.start()
        with Training(world) as training:
            world.start_shipper()
            until(lambda: world.api.is_ready() and world.refusals() > 1, "the gateway has answered with 429")
            if killed:
                world.api.kill()
                world.api.start()
        training.arrived()
        assert world.said().state == "delivering"
    finally:
        world.close()


@pytest.mark.soak
def test_shipper_and_api_are_killed_in_turn(world: GatewayWorld) -> None:
    pick = random.Random(7)
    with Training(world) as training:
        for _ in range(2):
            shipper = world.start_shipper()
            training.some_more(pick.randint(1, 2000))
            shipper.kill()
            shipper.wait()
            world.api.kill()
            world.api.start()
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


@pytest.mark.soak
def test_the_token_is_revoked_and_another_one_given(world: GatewayWorld) -> None:
    with Training(world) as training:
        world.start_shipper()
        training.some_more(500)
        another = world.grant()
        until(lambda: "401" in (world.said().error or ""), "the shipper says why nothing goes")
        assert "MATIH_API_TOKEN_FILE" in (world.said().error or "")
        world.hold(another)
        training.some_more(500)
        world.hold(world.grant(Role.READER))
        until(lambda: "403" in (world.said().error or ""), "the shipper says why nothing goes")
        world.hold(world.grant())
        training.some_more(500)
    training.arrived()
    assert world.said().state == "delivering"


TRAIN = """
from matih_tracking import ExperimentTracker
with ExperimentTracker().start_run("exp") as run:
    for step in range(200):
        run.log_metric("loss", 1 / (step + 1), step=step)
"""


@pytest.mark.soak
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

    before = world.token
    another = world.grant()
    left = world.matih("run", "--wait", "1", "--", sys.executable, "-c", TRAIN, MATIH_EXIT_TIMEOUT="1")
    assert left.returncode == 0
    until(lambda: "MATIH_API_TOKEN_FILE" in (world.said().error or ""), "its shipper says what is wrong")
    assert before not in left.stderr + (world.said().error or "")
    assert "401" in json.loads(world.matih("status", "--json").stdout)["broker"]["error"]
    os.kill(world.said().pid, signal.SIGKILL)
    world.hold(another)
    synced = world.matih("sync", "--json")
    assert synced.returncode == 0, (synced.stdout, synced.stderr)
    assert json.loads(synced.stdout)["delivered"] >= 202
    assert len({event.payload.run_id for event in world.events() if event.kind == "RunCreated"}) == 2  # type: ignore[union-attr]


@pytest.mark.soak
def test_a_forgotten_tenant_is_never_put_right_in_silence(world: GatewayWorld) -> None:
    done = world.matih("run", "--wait", "0", "--", sys.executable, "-c", TRAIN, MATIH_TENANT="", MATIH_EXIT_TIMEOUT="0")
    assert done.returncode == 0
    (spool,) = (file.parent for file in until(lambda: list(world.base.rglob("shipper.json")), "its shipper is there"))
    until(lambda: "set MATIH_TENANT=acme" in (((told := state.read(spool)) and told.error) or ""), "the remedy is told")
    assert world.events() == []
    os.kill(state.read(spool).pid, signal.SIGKILL)  # type: ignore[union-attr]
