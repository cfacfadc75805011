"""Which id means what: asked once, kept on disk, and never guessed."""

from __future__ import annotations

import itertools
import logging
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tests.registry.faulty import Faulty, faulty
from tests.waiting import until

from matih_kafka.errors import RegistryUnavailable, WrongTopic
from matih_kafka.registry import cache, schema_ids
from matih_kafka.registry.cache import SchemaCache, default_folder
from matih_kafka.registry.schema_ids import ID_MAX, SchemaIds
from matih_kafka.registry.settings import RegistrySettings
from matih_schemas import codec, examples, schema
from matih_schemas.errors import NewerSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUBJECT = "t.events.v1-value"
OWN = schema.rabin(schema.current())
NOT_FOUND = (404, {"error_code": 40403})


def ids_of(server: Faulty, folder: Path, timeout: float = 5.0) -> SchemaIds:
    return SchemaIds.of(RegistrySettings(url=server.url, cache_dir=folder, timeout=timeout))


def healthy(asked: str) -> tuple[int, Any]:
    """A registry with somebody else's schema in version 1, ours in version 2, and a newer one in version 3."""
    texts = {3: '"string"', 7: schema.text(), 9: '{"type": "record", "name": "New", "fields": []}'}
    answers: dict[str, Any] = {f"GET /schemas/ids/{number}": {"schema": text} for number, text in texts.items()}
    answers[f"GET /subjects/{SUBJECT}/versions"] = [1, 2, 3]
    for version, number in enumerate(texts, start=1):
        answers[f"GET /subjects/{SUBJECT}/versions/{version}"] = {"id": number, "schema": texts[number]}
    answers["GET /config"] = {"compatibilityLevel": "NONE"}
    return (200, answers[asked]) if asked in answers else NOT_FOUND


def dead(_: str) -> tuple[int, Any]:
    return 503, b""


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty(healthy) as server:
        yield server


def test_an_id_is_asked_for_once_and_known_for_ever(server: Faulty, tmp_path: Path) -> None:
    ids = ids_of(server, tmp_path)
    assert ids.known_fingerprint(7) is None
    assert [ids.fingerprint_of(7) for _ in range(3)] == [OWN] * 3
    assert server.asked == ["GET /schemas/ids/7"]
    server.answer = dead
    another_process = ids_of(server, tmp_path)
    assert another_process.fingerprint_of(7) == another_process.known_fingerprint(7) == OWN
    assert len(server.asked) == 1


def test_an_id_that_nobody_has_told_waits_for_a_dead_registry(server: Faulty, tmp_path: Path) -> None:
    server.answer = dead
    ids = ids_of(server, tmp_path)
    for _ in range(10):
        with pytest.raises(RegistryUnavailable):
            ids.fingerprint_of(7)
    assert len(server.asked) == 1, "it is left alone for a while"


@pytest.mark.parametrize("schema_id", [3, 99, ID_MAX + 1, 2**32 - 1])
def test_an_id_of_no_event_is_a_newer_schema(schema_id: int, server: Faulty, tmp_path: Path) -> None:
    ids = ids_of(server, tmp_path)
    with pytest.raises(NewerSchema, match="SCHEMA_REGISTRY_URL"):
        ids.fingerprint_of(schema_id)
    assert bool(server.asked) == (schema_id <= ID_MAX), "registries choke on what is no number of theirs"


def test_an_id_that_came_later_is_found_a_moment_after(
    server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ids_of(server, tmp_path)
    server.answer = lambda _: NOT_FOUND
    with pytest.raises(NewerSchema):
        ids.fingerprint_of(7)
    server.answer = healthy
    with pytest.raises(NewerSchema):
        ids.fingerprint_of(7)
    monkeypatch.setattr(schema_ids, "REFUSE_SECONDS", 0.0)
    assert ids.fingerprint_of(7) == OWN


def test_nothing_waits_for_ever_for_one_id_that_is_not_answered(
    server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_ids, "REFUSE_SECONDS", 0.0)
    server.answer = lambda asked: (500, b"") if asked.endswith("/ids/7") else healthy(asked)
    ids = ids_of(server, tmp_path)
    for _ in range(2):
        with pytest.raises(RegistryUnavailable):
            ids.fingerprint_of(7)
    with pytest.raises(NewerSchema, match="not for this one"):
        ids.fingerprint_of(7)
    server.answer = dead
    for _ in range(5):
        with pytest.raises(RegistryUnavailable):
            ids.fingerprint_of(8)


def test_the_own_id_is_the_registrys_word_else_what_it_was(server: Faulty, tmp_path: Path) -> None:
    assert ids_of(server, tmp_path).own_id(SUBJECT) == 7
    server.answer = dead
    assert ids_of(server, tmp_path).own_id(SUBJECT) == 7
    assert ids_of(server, tmp_path).fingerprint_of(7) == OWN
    assert ids_of(server, tmp_path).known_fingerprint(9) is not None, "newer ones became known on the way"
    with pytest.raises(RegistryUnavailable, match="not known here yet"):
        ids_of(server, tmp_path).own_id("another-value")
    with pytest.raises(RegistryUnavailable):
        ids_of(server, tmp_path / "elsewhere").own_id(SUBJECT)
    server.answer = lambda _: NOT_FOUND
    with pytest.raises(WrongTopic, match="matih topics create"):
        ids_of(server, tmp_path).own_id(SUBJECT)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"12", b"zzzzzzzzzzzzzzzz", b"0" * 10_000])
def test_a_broken_file_of_the_cache_is_none(content: bytes, server: Faulty, tmp_path: Path) -> None:
    ids_of(server, tmp_path).own_id(SUBJECT)
    for file in tmp_path.rglob("*-*"):
        file.write_bytes(content if "subject" not in file.name or content != b"12" else b"-1")
    assert ids_of(server, tmp_path).fingerprint_of(7) == OWN
    server.answer = dead
    with pytest.raises(RegistryUnavailable):
        ids_of(server, tmp_path).own_id(SUBJECT)
    assert ids_of(server, tmp_path).fingerprint_of(7) == OWN, "it was written anew"


def test_a_folder_that_cant_be_used_costs_the_cache_and_is_told_once(
    server: Faulty, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in its place")
    ids = ids_of(server, tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        assert ids.own_id(SUBJECT) == 7
        assert ids.fingerprint_of(7) == OWN
    (line,) = [record.getMessage() for record in caplog.records]
    assert "SCHEMA_REGISTRY_CACHE_DIR" in line


def test_registries_do_not_mix_and_a_kill_leaves_a_whole_file_or_none(server: Faulty, tmp_path: Path) -> None:
    first, second = SchemaCache(tmp_path, "http://a"), SchemaCache(tmp_path, "http://b")
    first.keep_fingerprint(1, OWN)
    assert (first.fingerprint(1), second.fingerprint(1)) == (OWN, None)
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            number += 1
            first.keep_schema_id(SUBJECT, OWN, number)
    seen = []
    until(lambda: seen.append(first.schema_id(SUBJECT, OWN)) or (seen[-1] or 0) > 200, "it writes", pause=0)
    os.kill(child, 9)
    os.waitpid(child, 0)
    there = list(itertools.dropwhile(lambda one: one is None, seen))
    assert None not in there, "a file that is not whole was seen"
    assert there == sorted(there)
    assert (first.schema_id(SUBJECT, OWN) or 0) > 200


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert default_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == cache.Path("/c/matih/schemas")
    assert default_folder({"XDG_CACHE_HOME": "c", "HOME": str(tmp_path)}) == tmp_path / ".cache" / "matih" / "schemas"
    shared = default_folder({})
    assert shared is not None
    assert shared.stat().st_uid == os.getuid()


def test_the_header_says_the_schema_and_no_registry_is_asked() -> None:
    event = examples.examples()[0]
    value = codec.encode(event, schema_id=7)
    assert value[:5] == b"\0" + struct.pack(">I", 7)
    assert codec.decode(codec.as_single_object(value, [codec.data_schema()])) == event
    assert codec.decode(codec.as_single_object(value, [], lambda _: OWN)) == event
    newer = (codec.DATA_SCHEMA, b"urn:avro:crc-64-avro:0123456789abcdef")
    with pytest.raises(NewerSchema, match="upgrade"):
        codec.decode(codec.as_single_object(value, [newer]))
    for other in (b"", b"http://elsewhere/schema", b"urn:avro:crc-64-avro:xyz", b"\xff"):
        with pytest.raises(NewerSchema, match="SCHEMA_REGISTRY_URL"):
            codec.as_single_object(value, [(codec.DATA_SCHEMA, other)])
    assert codec.as_single_object(codec.encode(event), [newer]) == codec.encode(event)
