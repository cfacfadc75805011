"""`matih usage`."""

from __future__ import annotations

import asyncio
import re
import time
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_kafka.usage import Usage
from matih_schemas.rfc3339 import rfc3339

if TYPE_CHECKING:
    from matih_kafka.usage import Amount

NOTE_SECONDS: Final = 5.0
"""Seconds between two notes of how far a long scan is."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])")


class By(str, Enum):
    """What a row is of."""

    tenant = "tenant"
    kind = "kind"


def usage(
    by: Annotated[By, typer.Option(help="What each row is of.")] = By.tenant,
    since: Annotated[
        str | None, typer.Option(help="Only what Kafka received in this time: 30m, 24h, 7d; default: all it holds.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """What each tenant has written: records and bytes, counted from the events topic itself."""
    since_ms = None if since is None else int((time.time() - seconds(since)) * 1000)
    try:
        settings = kafka_settings()
        found = asyncio.run(counted(settings, since_ms))
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except KafkaError as error:
        raise CommandFailed(str(error)) from error
    rows = found.by_tenant() if by is By.tenant else found.by_kind()
    if json:
        print_json(_report(settings.events_topic, since_ms, by, found, rows))
    else:
        _table(by, found, rows)


def seconds(span: str) -> int:
    """A span of time in seconds.

    Raises:
        WrongUse: it is none.
    """
    match = _SPAN.fullmatch(span)
    if match is None:
        raise WrongUse(f"--since {span!r}: write a number and s, m, h, d or w, such as 24h")
    return int(match[1]) * _UNITS[match[2]]


async def counted(settings: KafkaSettings, since_ms: int | None) -> Usage:
    """Reads the topic from that time on, or all of it.

    Raises:
        KafkaError: it can't be read.
    """
    from matih_kafka.reading import topic_reader

    found = Usage()
    async with topic_reader(settings) as reader:
        bounds = await reader.bounds(settings.events_topic)
        most, told = sum(end - first for first, end in bounds.values()), time.monotonic()
        async for record in reader.scan(settings.events_topic, since_ms):
            found.count(record.key, record.headers, len(record.value or b""))
            if time.monotonic() - told > NOTE_SECONDS:
                told = time.monotonic()
                note(f"{found.total.records} of at most {most} records counted")
    return found


def _report(topic: str, since_ms: int | None, by: By, found: Usage, rows: list[Any]) -> dict[str, Any]:
    parts = "kinds" if by is By.tenant else "tenants"
    return {
        "topic": topic,
        "since": None if since_ms is None else rfc3339(since_ms),
        "by": by.value,
        **vars(found.total),
        "usage": [
            {by.value: name, **vars(amount), parts: {part: vars(of) for part, of in inner.items()}}
            for name, amount, inner in rows
        ],
    }


def _table(by: By, found: Usage, rows: list[Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(by.value)
    table.add_column("records", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("kinds" if by is By.tenant else "tenants")
    for name, amount, inner in rows:
        table.add_row(name, *_figures(amount), ", ".join(f"{part} {of.records}" for part, of in inner.items()))
    console.print(table)
    console.print(f"{found.total.records} records, {found.total.bytes} bytes", soft_wrap=True)


def _figures(amount: Amount) -> tuple[str, str]:
    return str(amount.records), str(amount.bytes)
