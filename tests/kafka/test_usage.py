"""`matih usage` on real Kafka: exact figures by tenant and kind, of all that is there or of what came since."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from matih_console.errors import WrongUse
from matih_console.main import main
from matih_kafka import usage_cli
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.publisher import Record
from matih_kafka.reading import topic_reader
from matih_kafka.settings import KafkaSettings
from matih_kafka.usage import Usage
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence


def record(key: bytes, kind: str, size: int) -> Record:
    return Record(key, b"x" * size, (("ce_type", f"io.matih.{kind}".encode()),) if kind else ())


FIRST = [record(b"acme/r%d" % number, "RunLogged", 10 + number) for number in range(30)]
SECOND = [
    record(b"acme/r1", "RunEnded", 7),
    record(b"globex/r1", "RunLogged", 2000),
    record(b"no-slash", "RunLogged", 1),
    record(b"globex/r2", "", 3),
]


@pytest.fixture
def settings(kafka: str, events_topic: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", events_topic)
    return KafkaSettings(bootstrap_servers=kafka, events_topic=events_topic)


def publish(settings: KafkaSettings, records: Sequence[Record]) -> None:
    async def work() -> None:
        publisher = KafkaPublisher(settings, catalogue(settings.events_topic)[0])
        await publisher.connect()
        try:
            await asyncio.gather(*[publisher.send(one) for one in records])
        finally:
            await publisher.close()

    asyncio.run(work())


def scanned(settings: KafkaSettings, since_ms: int | None = None) -> list[Any]:
    async def work() -> list[Any]:
        async with topic_reader(settings) as reader:
            return [one async for one in reader.scan(settings.events_topic, since_ms)]

    return asyncio.run(work())


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["usage", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_each_tenant_has_written(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(capsys) == {
        "topic": settings.events_topic,
        "since": None,
        "by": "tenant",
        "records": 0,
        "bytes": 0,
        "usage": [],
    }
    publish(settings, FIRST)
    newest = max(one.timestamp for one in scanned(settings))
    publish(settings, SECOND)
    size = sum(len(one.value) for one in FIRST)
    assert report(capsys, "--by", "tenant")["usage"] == [
        {
            "tenant": "globex",
            "records": 2,
            "bytes": 2003,
            "kinds": {"RunLogged": {"records": 1, "bytes": 2000}, "(unknown)": {"records": 1, "bytes": 3}},
        },
        {
            "tenant": "acme",
            "records": 31,
            "bytes": size + 7,
            "kinds": {"RunLogged": {"records": 30, "bytes": size}, "RunEnded": {"records": 1, "bytes": 7}},
        },
        {"tenant": "(unknown)", "records": 1, "bytes": 1, "kinds": {"RunLogged": {"records": 1, "bytes": 1}}},
    ]
    kinds = {row["kind"]: (row["records"], row["bytes"]) for row in report(capsys, "--by", "kind")["usage"]}
    assert kinds == {"RunLogged": (32, size + 2001), "RunEnded": (1, 7), "(unknown)": (1, 3)}
    assert sorted(one.value for one in scanned(settings, newest + 1)) == sorted(one.value for one in SECOND)
    assert report(capsys, "--since", "24h")["records"] == 34
    assert scanned(settings, newest + 3_600_000) == []

    monkeypatch.setattr(usage_cli, "NOTE_SECONDS", -1.0)
    assert main(["usage"]) == 0
    told = capsys.readouterr()
    assert "globex" in told.out
    assert "34 records" in told.out
    assert "matih: 34 of at most 34 records counted" in told.err


@pytest.mark.parametrize("span", ["", "24", "1y", "-1h", "1.5h", "h"])
def test_a_time_that_is_none_is_wrong_use(span: str) -> None:
    with pytest.raises(WrongUse, match="such as 24h"):
        usage_cli.seconds(span)


def test_spans() -> None:
    assert [usage_cli.seconds(span) for span in ("30s", "2m", "24h", "7d", "1w")] == [30, 120, 86400, 604800, 604800]


def test_no_broker_and_no_topic_are_told(
    kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", "nowhere.events.v1")
    assert main(["usage"]) == 1
    assert "matih topics create" in capsys.readouterr().err
    assert main(["usage", "--since", "soon"]) == 2


def test_a_tally_is_the_sum_of_its_parts() -> None:
    tally = Usage()
    for key in (b"a/1", b"b/1", b"a/2", None, b"\xff/x"):
        tally.count(key, [("ce_type", b"io.matih.RunEnded")], 5)
    assert [(name, amount.records) for name, amount, _ in tally.by_tenant()] == [("(unknown)", 2), ("a", 2), ("b", 1)]
    assert (tally.total.records, tally.total.bytes) == (5, 25)
