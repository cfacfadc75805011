"""TLS and SASL on a real broker: topics, publisher, the whole worker; what is wrong is said, secrets are not."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest
from tests.kafka.secure_broker import PASSWORD, SecureBroker
from tests.waiting import until
from tests.workers.journals import Entry, Producer
from tests.workers.pipe import Pipe
from tests.workers.views import SqlBench

from matih_kafka.admin import check_topics, create_topics
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_local import mlflow_schema
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAYS = [
    ("MTLS", None),
    ("SASLTLS", "SCRAM-SHA-512"),
    pytest.param("SASLTLS", "SCRAM-SHA-256", marks=pytest.mark.soak),
    pytest.param("SASLTLS", "PLAIN", marks=pytest.mark.soak),
    pytest.param("SASL", "SCRAM-SHA-512", marks=pytest.mark.soak),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[SecureBroker]:
    assert kafka  # its jars are there by then
    broker = SecureBroker(tmp_path_factory.mktemp("secure"))
    broker.start()
    yield broker
    broker.stop()


def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return kafka_settings()


@pytest.mark.parametrize(("listener", "mechanism"), WAYS)
def test_every_way_in_works_for_topics_publisher_and_worker(
    broker: SecureBroker,
    listener: str,
    mechanism: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = f"secure.{secrets.token_hex(4)}.events.v1"
    environment = broker.environment(listener, mechanism)
    found = settings({**environment, "MATIH_EVENTS_TOPIC": topic}, monkeypatch)
    asyncio.run(create_topics(found, catalogue(topic)))
    assert asyncio.run(check_topics(found, catalogue(topic))) == []

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(broker.inside, topic, uri, tmp_path)
    pipe.settings = found
    who = Producer(tenant="acme", experiment="secure")
    pipe.publish([who.created(), who.log(Entry({"a": 1.0})), who.ended()])
    pipe.start(**environment)
    try:
        pipe.settled()
        seen = SqlBench(uri).view(who.run_id)
        assert seen is not None
        assert (seen.status, len(seen.points)) == ("FINISHED", 1)
        assert pipe.end() == 0
        assert PASSWORD not in pipe.log()
    finally:
        pipe.close()


WRONG = {
    "password": ("SASLTLS", "SCRAM-SHA-512", {"KAFKA_SASL_PASSWORD": "wr0ng-s3cret"}, "KAFKA_SASL_PASSWORD"),
    "plain password": ("SASLTLS", "PLAIN", {"KAFKA_SASL_PASSWORD": "wr0ng-s3cret"}, "KAFKA_SASL_PASSWORD"),
    "user": ("SASLTLS", "SCRAM-SHA-512", {"KAFKA_SASL_USERNAME": "eve"}, "KAFKA_SASL_USERNAME"),
    "authority": ("SASLTLS", "PLAIN", {"KAFKA_SSL_CAFILE": "{folder}/stranger.pem"}, "certificate verify failed"),
    "no certificate": ("MTLS", None, {"KAFKA_SSL_CERTFILE": "", "KAFKA_SSL_KEYFILE": ""}, "KAFKA_SSL_CERTFILE"),
    "foreign certificate": (
        *("MTLS", None),
        {"KAFKA_SSL_CERTFILE": "{folder}/foreign.crt", "KAFKA_SSL_KEYFILE": "{folder}/foreign.key"},
        "KAFKA_SSL_CERTFILE",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line_without_the_password(
    broker: SecureBroker, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, mechanism, changed, said = WRONG[case]
    given = {name: value.format(folder=broker.folder) for name, value in changed.items()}
    found = settings(broker.environment(listener, mechanism, **given), monkeypatch)
    topic = catalogue("secure.none.events.v1")[0]
    with pytest.raises(BrokerUnavailable) as of_admin:
        asyncio.run(check_topics(found, [topic]))
    with pytest.raises(BrokerUnavailable) as of_publisher:
        asyncio.run(connected(found, topic))
    for raised in (of_admin, of_publisher):
        line = str(raised.value)
        assert said in line
        assert "\n" not in line
        assert "wr0ng" not in line
        assert PASSWORD not in line


async def connected(found: KafkaSettings, topic: object) -> None:
    publisher = KafkaPublisher(found, topic, request_timeout=5.0)  # type: ignore[arg-type]
    try:
        await publisher.connect()
    finally:
        await publisher.close()


def test_a_worker_with_a_wrong_password_waits_says_so_and_works_when_the_file_is_mended(
    broker: SecureBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"secure.{secrets.token_hex(4)}.events.v1"
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    pipe = Pipe(broker.inside, topic, uri, tmp_path)
    asyncio.run(create_topics(pipe.settings, catalogue(topic)))
    who = Producer(tenant="acme", experiment="secure")
    pipe.publish([who.created()])
    password = tmp_path / "password"
    password.write_text("wr0ng-s3cret")
    pipe.start(**broker.environment("SASLTLS", "SCRAM-SHA-512", KAFKA_SASL_PASSWORD_FILE=str(password)))
    try:
        until(lambda: "KAFKA_SASL_PASSWORD" in str((pipe.page("/readyz") or {}).get("problems")), "/readyz says why")
        assert (pipe.page("/healthz") or {})["status"] == "alive"
        password.write_text(PASSWORD)
        pipe.settled()
        assert "wr0ng" not in pipe.log()
        assert PASSWORD not in pipe.log()
    finally:
        pipe.close()
