"""The API and its gateway on a topic with Confluent's framing, and before a registry that is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.servers import ApiServer
from tests.waiting import until
from tests.workers.journals import Entry, Producer

from matih_kafka.registry.schema_ids import SchemaIds, subject_of
from matih_kafka.registry.settings import registry_settings
from matih_local import mlflow_schema
from matih_local.health import answers
from matih_schemas import codec
from matih_schemas.event_batch import CONTENT_TYPE, PATH, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.registry.topic import ConfluentTopic


@pytest.fixture
def start(confluent: ConfluentTopic, tmp_path: Path) -> Iterator[Callable[[], ApiServer]]:
    """Starts an API on the topic; no worker runs, so that all that it shows is what it has read there."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    settings = {
        **confluent.environment(),
        "MATIH_WORKER_GROUP": f"group-{confluent.name}",
        "MATIH_API_TRACKING_URI": uri,
        "MATIH_HOME": str(tmp_path / "home"),
    }
    made: list[ApiServer] = []

    def begin() -> ApiServer:
        made.append(ApiServer(tmp_path, settings))
        made[-1].start()
        return made[-1]

    yield begin
    for api in made:
        api.close()


def create(api: ApiServer, name: str) -> Any:
    return api.client.post("/api/v1/experiments", json={"name": name})


def test_writes_are_framed_and_read_back_and_a_batch_of_the_gateways_is_framed_anew(
    confluent: ConfluentTopic, start: Callable[[], ApiServer]
) -> None:
    api = start()
    api.ready()
    made = create(api, "framed")
    assert made.status_code in (201, 202), made.text
    assert api.client.get(f"/api/v1/experiments/{made.json()['id']}").json()["name"] == "framed"
    who = Producer(experiment="gateway")
    batch = [who.created(), who.log(Entry({"loss": 0.5})), who.ended()]
    body = pack([codec.encode(event) for event in batch])
    assert api.client.post(PATH, content=body, headers={"Content-Type": CONTENT_TYPE}).status_code == 200
    theirs = Producer(experiment="theirs")
    confluent.publish([theirs.created()], headers=False)
    for run_id in (who.run_id, theirs.run_id):
        until(
            lambda run_id=run_id: api.client.get(f"/api/v1/experiments/runs/{run_id}").status_code == 200, "it is seen"
        )
    records = asyncio.run(confluent.records())
    assert {record.value[:1] for record in records} == {codec.CONFLUENT}
    assert {event.event_id for event in batch} < {event.event_id for event in confluent.events()}


@pytest.mark.soak
def test_an_api_that_has_never_been_told_the_id_takes_nothing_until_the_registry_answers(
    confluent: ConfluentTopic, start: Callable[[], ApiServer]
) -> None:
    confluent.door.shut()
    api = start()
    until(lambda: answers(f"{api.url}/healthz"), "it has started")
    refused = create(api, "refused")
    assert refused.status_code == 503
    assert confluent.registry in refused.text
    confluent.door.open()
    until(api.is_ready, "it takes writes")
    assert create(api, "taken").status_code in (201, 202)
    SchemaIds.of(registry_settings()).own_id(subject_of(confluent.name))
    confluent.door.shut()
    api.kill()
    api.start()
    api.ready()
    assert create(api, "taken without it").status_code in (201, 202)
