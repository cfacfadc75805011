"""The client on a real registry, and before servers that are none."""

from __future__ import annotations

import json
import secrets
import socket
from typing import Any

import pytest
from tests.ports import free_ports
from tests.registry.faulty import faulty

from matih_kafka.errors import InvalidSettings, RegistryUnavailable, SchemaRefused
from matih_kafka.registry.client import ANSWER_MAX_BYTES, RegistryClient
from matih_kafka.registry.settings import RegistrySettings, registry_settings
from matih_schemas import schema

SECRET = "s3cr3t-pass"


def client_of(url: str, **more: Any) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=url, **more))


def record(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": list(fields)})


OLD = record({"name": "a", "type": "int"})
NEW = record({"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0})
NOT_COMPATIBLE = record({"name": "a", "type": "int"}, {"name": "c", "type": "int"})


def test_a_real_registry_keeps_versions_and_holds_them_to_their_compatibility(schema_registry: str) -> None:
    client, subject = client_of(schema_registry), f"{secrets.token_hex(6)}-value"
    assert client.versions(subject) == []
    assert client.version(subject, 1) is None
    first = client.register(subject, OLD)
    assert client.set_compatibility(subject, "BACKWARD_TRANSITIVE")
    assert client.compatibility(subject) == "BACKWARD_TRANSITIVE"
    second = client.register(subject, NEW)
    assert client.register(subject, NEW) == second
    with pytest.raises(SchemaRefused, match="refuses the schema"):
        client.register(subject, NOT_COMPATIBLE)
    with pytest.raises(SchemaRefused):
        client.register(subject, "{")
    assert client.versions(subject) == [1, 2]
    assert [json.loads(version.schema) for version in client.newest_first(subject)] == [
        json.loads(NEW),
        json.loads(OLD),
    ]
    assert [version.id for version in client.newest_first(subject)] == [second, first]
    assert schema.fingerprint_of(client.schema(first) or "") == schema.fingerprint_of(OLD)
    assert client.schema(2_000_000_000) is None
    assert client.works()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((500, {"error_code": 50001, "message": "boom"}), "500"),
        ((429, b""), "429"),
        ((404, b"<html>nothing here</html>"), "base URL of its Confluent API"),
        ((404, {"detail": "no such page"}), "base URL of its Confluent API"),
        ((302, b""), "base URL of its Confluent API"),
        ((422, {"message": "?"}), "422"),
        ((200, b"<html>hello</html>"), "no JSON"),
        ((200, b"[" * 100_000), "no JSON"),
        ((200, {"scheme": "no"}), "no schema"),
        ((200, {"schema": 7}), "no schema"),
        ((200, ["a"]), "no schema"),
        ((200, b"x" * (ANSWER_MAX_BYTES + 1)), "too long"),
        (None, "no answer within"),
    ],
    ids=str,
)
def test_whatever_is_no_answer_of_a_registry_is_an_outage(answer: Any, told: str) -> None:
    with faulty(lambda _: answer) as server:
        client = client_of(server.url, timeout=0.5 if answer is None else 10)
        with pytest.raises(RegistryUnavailable, match=told) as caught:
            client.schema(1)
        assert server.url in str(caught.value)
        assert not client.works() or answer[0] == 200
    assert not any("elsewhere" in path for path in server.asked)


def test_what_is_not_there_is_none_and_no_outage() -> None:
    with faulty(lambda _: (404, {"error_code": 40403, "message": "Schema not found"})) as server:
        assert client_of(server.url).schema(1) is None


def test_a_server_that_is_not_there_or_says_nothing() -> None:
    with pytest.raises(RegistryUnavailable, match="refused"):
        client_of(f"http://127.0.0.1:{free_ports(1)[0]}").schema(1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RegistryUnavailable, match="is it up"):
        client_of(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2).schema(1)
    with pytest.raises(RegistryUnavailable, match=r"registry\.invalid"):
        client_of("http://registry.invalid").schema(1)


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_are_told_without_them(status: int, tmp_path: Any) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    with faulty(lambda _: (status, {"message": SECRET})) as server:
        client = client_of(server.url, username="ada", password_file=file)
        with pytest.raises(RegistryUnavailable, match="SCHEMA_REGISTRY_PASSWORD") as caught:
            client.schema(1)
        assert server.authorizations == ["Basic YWRhOnMzY3IzdC1wYXNz"]
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(RegistrySettings(url=server.url, username="ada", password=SECRET))


def test_credentials_are_not_sent_without_a_user_nor_to_where_it_redirects() -> None:
    with faulty(lambda _: (307, b"")) as server:
        with pytest.raises(RegistryUnavailable):
            client_of(server.url, username="ada", password=SECRET).schema(1)
        with pytest.raises(RegistryUnavailable):
            client_of(server.url).schema(1)
    assert [one is not None for one in server.authorizations] == [True, False]


def test_a_password_file_that_is_gone_is_an_outage_too(tmp_path: Any) -> None:
    with pytest.raises(RegistryUnavailable, match="nothing-here"):
        client_of("http://127.0.0.1:1", username="ada", password_file=tmp_path / "nothing-here").schema(1)


@pytest.mark.parametrize("url", ["registry:8081", "ftp://x", "http://ada:s3cr3t-pass@x", "http://x/?a=b", "http://"])
def test_a_wrong_url_is_told_by_the_variables_name_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", url)
    with pytest.raises(InvalidSettings, match="SCHEMA_REGISTRY_URL") as caught:
        registry_settings()
    assert SECRET not in str(caught.value)


def test_none_at_all_is_no_error() -> None:
    assert registry_settings().url == ""
