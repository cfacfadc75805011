"""Each component works with exactly the ACLs that the guide lists, and says what is wrong without each one of them."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from tests.kafka.acls import GUIDE, Acl, change, listed
from tests.kafka.secure_broker import SecureBroker
from tests.waiting import until
from tests.workers.pipe import Pipe
from tests.workers.test_reaper import beat, producer, status

from matih_kafka.admin import check_topics, create_topics
from matih_kafka.admin_actions import Deed, record
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.groups import group as look_at_group
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.progress import committed, group_progress
from matih_kafka.publisher import Record
from matih_kafka.reading import topic_reader
from matih_kafka.settings import KafkaSettings
from matih_local import mlflow_schema
from matih_schemas.topics import catalogue
from matih_workers.audit.consuming import topics_consumer
from matih_workers.dead_letters.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPONENTS = list(dict.fromkeys(re.findall(r"^\| ([\w ]+) \| (?:Topic|Group) ", GUIDE.read_text(), re.MULTILINE)))
BY_HAND = {"dlq purge", "replay", "replay missing", "audit erase", "tenants"}
IN_PROCESS = [component for component in COMPONENTS if component not in {"worker", "reaper"}]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[SecureBroker]:
    assert kafka  # its jars are there by then
    broker = SecureBroker(tmp_path_factory.mktemp("acls"), users=tuple(map(user_of, COMPONENTS)))
    broker.start()
    yield broker
    broker.stop()


def user_of(component: str) -> str:
    return component.replace(" ", "-")


class Deployment:
    """A topic with a record in it and in its dead letters, and the settings of the component's user."""

    def __init__(self, broker: SecureBroker, component: str) -> None:
        self.topic = f"acl.{secrets.token_hex(4)}.events.v1"
        self.group = f"group-{self.topic}"
        self.user = user_of(component)
        self.acls = listed(component, self.topic, self.group)
        self.inside = KafkaSettings(bootstrap_servers=broker.inside, MATIH_EVENTS_TOPIC=self.topic)
        environment = broker.environment("SASL", "PLAIN", KAFKA_SASL_USERNAME=self.user)
        named = {name.removeprefix("KAFKA_").lower(): value for name, value in environment.items()}
        self.settings = KafkaSettings(**named, MATIH_EVENTS_TOPIC=self.topic)
        self.environment = environment

    def give(self, *acls: Acl) -> None:
        asyncio.run(change(self.inside, self.user, list(acls), []))

    def take(self, *acls: Acl) -> None:
        asyncio.run(change(self.inside, self.user, [], list(acls)))

    def make(self) -> None:
        asyncio.run(create_topics(self.inside, catalogue(self.topic)))
        for number in (0, 1):
            asyncio.run(publish(self.inside, number))


async def publish(settings: KafkaSettings, which: int = 0) -> None:
    publisher = KafkaPublisher(settings, catalogue(settings.events_topic)[which], request_timeout=5.0)
    try:
        await publisher.connect()
        await publisher.send(Record(b"t/1", b"garbage"))
    finally:
        await publisher.close()


async def read(settings: KafkaSettings) -> None:
    async with topic_reader(settings) as reader:
        assert [record async for record in reader.scan(settings.events_topic)]


async def publish_and_read(settings: KafkaSettings) -> None:
    await publish(settings)
    await read(settings)


async def look_at_letters(settings: KafkaSettings) -> Any:
    return (await Desk(settings).register()).open()


async def admin_action(settings: KafkaSettings) -> None:
    await record(settings, Deed("test", "nothing", "to see whether it may"))


async def redrive(settings: KafkaSettings) -> None:
    await admin_action(settings)
    outcomes = await Desk(settings).redrive(await look_at_letters(settings))
    assert not outcomes.refused, outcomes


async def purge(settings: KafkaSettings) -> None:
    await admin_action(settings)
    await Desk(settings).purge(await look_at_letters(settings))


async def check(settings: KafkaSettings) -> None:
    assert await check_topics(settings, catalogue(settings.events_topic)) == []


async def create(settings: KafkaSettings) -> None:
    await create_topics(settings, catalogue(settings.events_topic))


async def doctor(settings: KafkaSettings) -> None:
    await look_at_group(settings, f"group-{settings.events_topic}", settings.events_topic)


async def replay(settings: KafkaSettings) -> None:
    await admin_action(settings)
    await read(settings)
    async with group_progress(settings, "matih-replay-ID", settings.events_topic) as progress:
        await progress.save({0: 0})


async def replay_missing(settings: KafkaSettings) -> None:
    await admin_action(settings)
    await committed(settings, f"group-{settings.events_topic}", settings.events_topic)
    await read(settings)


async def audit(settings: KafkaSettings) -> None:
    async with topics_consumer(settings, "matih-audit") as consumer:
        bounds = await consumer.bounds()
        consumer.begin({where: first for where, (first, _) in bounds.items()})
        seen: set[str] = set()
        while len(seen) < len(consumer.topics):
            seen |= {where.topic_id for where in await asyncio.wait_for(consumer.next(), 10)}
        await consumer._consumer.commit()  # the archiver goes on without it, and says so


ACTIONS = {
    "shipper": publish,
    "API": publish_and_read,
    "dlq list": look_at_letters,
    "dlq redrive": redrive,
    "dlq purge": purge,
    "topics create": create,
    "topics check": check,
    "doctor": doctor,
    "replay": replay,
    "replay missing": replay_missing,
    "audit": audit,
    "audit erase": admin_action,
    "tenants": admin_action,
}


@pytest.mark.parametrize(
    "component",
    # What operators do by hand takes a minute together: one of it stands for the rest in the short tests.
    [pytest.param(one, marks=pytest.mark.soak) if one in BY_HAND else one for one in IN_PROCESS],
)
def test_exactly_these_rights(broker: SecureBroker, component: str) -> None:
    deployment = Deployment(broker, component)
    assert deployment.acls
    if component != "topics create":
        deployment.make()
    act = ACTIONS[component]
    for index in range(len(deployment.acls)):
        missing = deployment.acls[index]
        others = [acl for acl in deployment.acls if acl != missing]
        deployment.give(*others)
        with pytest.raises(BrokerUnavailable, match=r"(?i)authoriz.*kafka-acls\.md"):
            asyncio.run(asyncio.wait_for(act(deployment.settings), 40))
        deployment.take(*others)
        if component == "topics create":
            deployment = Deployment(broker, component)
    deployment.give(*deployment.acls)
    asyncio.run(act(deployment.settings))


def test_a_worker_and_its_reaper_say_what_is_missing_one_after_the_other(broker: SecureBroker, tmp_path: Path) -> None:
    deployment = Deployment(broker, "worker")
    deployment.make()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(broker.inside, deployment.topic, uri, tmp_path)
    pipe.start(**deployment.environment, MATIH_REAPER_SILENCE="1")
    try:
        for acl in deployment.acls:
            until(lambda: "uthoriz" in str((pipe.page("/readyz") or {}).get("problems")), f"/readyz, without {acl}")
            deployment.give(acl)
        pipe.published = 1
        pipe.settled()
        until(lambda: "the reaper waits" in pipe.log(), "the reaper says that it may not")
        deployment.give(*listed("reaper", deployment.topic, deployment.group))
        pipe.settings = deployment.inside
        who = producer()
        pipe.publish([who.created(), beat(who)])
        until(lambda: status(pipe, who) == "FAILED", "the reaper has ended the silent run")
    finally:
        pipe.close()
