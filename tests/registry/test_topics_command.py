"""`matih topics` with Confluent's framing, on a real broker and a real registry; and `matih doctor`'s look at them."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from tests.registry.faulty import faulty

from matih_console.main import main
from matih_kafka import doctor
from matih_kafka.registry.client import RegistryClient
from matih_kafka.registry.settings import RegistrySettings
from matih_schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable

Told = tuple[int, dict[str, Any]]


@pytest.fixture
def subject(kafka: str, schema_registry: str, monkeypatch: pytest.MonkeyPatch) -> str:
    topic = f"cli-{secrets.token_hex(6)}.events.v1"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", topic)
    monkeypatch.setenv("MATIH_EVENTS_FRAMING", "confluent")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", schema_registry)
    monkeypatch.setenv("SCHEMA_REGISTRY_TIMEOUT", "30")
    return f"{topic}-value"


@pytest.fixture
def topics(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Told]:
    def run(command: str) -> Told:
        code = main(["topics", command, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_create_registers_and_check_compares(subject: str, topics: Callable[[str], Told], schema_registry: str) -> None:
    assert topics("create")[1]["subjects"] == {subject: "registered"}
    assert topics("create")[1]["subjects"] == {subject: "exists"}
    assert topics("check") == (0, {"ok": True, "differences": []})
    client = RegistryClient(RegistrySettings(url=schema_registry, timeout=30))
    assert [json.loads(one.schema) for one in client.newest_first(subject)] == [json.loads(schema.text())]
    assert doctor._registry().state == "ok"
    client.set_compatibility(subject, "NONE")
    code, told = topics("check")
    wanted = {"setting": "compatibility", "wanted": "BACKWARD_TRANSITIVE", "found": "NONE", "topic": subject}
    assert (code, told["differences"]) == (1, [wanted])
    assert doctor._registry().state == "failed"
    topics("create")
    assert topics("check")[0] == 0


def test_what_is_not_registered_is_a_difference_and_what_does_not_fit_is_refused(
    subject: str, topics: Callable[[str], Told], schema_registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ("schema", "not there") in [(one["setting"], one["found"]) for one in topics("check")[1]["differences"]]
    client = RegistryClient(RegistrySettings(url=schema_registry, timeout=30))
    client.register(subject, json.dumps({"type": "record", "name": "TrackingEvent", "fields": []}))
    found = [(one["setting"], one["found"]) for one in topics("check")[1]["differences"]]
    assert ("schema", "older ones only") in found
    assert main(["topics", "create"]) == 1
    assert "refuses the schema" in capsys.readouterr().err


def test_without_a_registry_or_with_a_dead_one_it_says_so(
    subject: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(lambda _: (500, b"")) as server:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", server.url)
        assert main(["topics", "create"]) == 1
        assert server.url in capsys.readouterr().err
        assert doctor._registry().state == "warning"
    monkeypatch.delenv("SCHEMA_REGISTRY_URL")
    assert main(["topics", "check"]) == 2
    assert "set SCHEMA_REGISTRY_URL" in capsys.readouterr().err
    assert doctor._registry().state == "failed"


def test_the_schema_is_written_out_as_its_file_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "schema"]) == 0
    assert capsys.readouterr().out == schema.text()
