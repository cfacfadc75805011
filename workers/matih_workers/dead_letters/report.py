"""What `matih dlq` prints."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from matih_console.output import console
from matih_kafka.errors import RegistryUnavailable
from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_schemas.rfc3339 import rfc3339
from matih_workers.dead_letters import headers
from matih_workers.dead_letters.letter import letter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_schemas.codec import Reframe
    from matih_workers.dead_letters.letter import Letter

_BYTES_SHOWN: Final = 64


def as_json(letters: Sequence[Letter], limit: int, settled: int) -> dict[str, Any]:
    """The list for programs: counts of all, and the latest."""
    counts = Counter((one.tenant_id, one.reason) for one in letters)
    return {
        "open": len(letters),
        "settled": settled,
        "counts": [
            {"tenant": tenant, "reason": reason, "letters": n} for (tenant, reason), n in sorted(counts.items())
        ],
        "letters": [_row(one) for one in _latest(letters, limit)],
    }


def print_letters(letters: Sequence[Letter], limit: int) -> None:
    """The list for people."""
    if not letters:
        console.print("no open dead letters")
        return
    console.print(_counts(letters))
    shown = _latest(letters, limit)
    if shown:
        console.print(_table(shown))
    more = len(letters) - len(shown)
    if more:
        console.print(f"and {more} earlier ones: --limit shows more")


def details(record: Any, reframe: Reframe = codec.as_single_object) -> dict[str, Any]:
    """One letter with everything: its headers, its event or why that can't be read."""
    found = letter(record)
    shown = _row(found) | {
        "attempts": found.attempts,
        "redriven": found.redriven,
        "received_at": _time(found.received_at),
        "place": str(found.place),
        "detail": headers.text(record.headers, headers.MESSAGE),
        "headers": {name: value.decode("utf-8", "replace") for name, value in record.headers},
    }
    return shown | _event(record, reframe, value_left_out=found.value_left_out)


def print_details(shown: dict[str, Any]) -> None:
    """One letter for people: a line for each thing, the event last."""
    for name, value in shown.items():
        if name == "headers":
            for header, text in value.items():
                console.print(f"  {header}: {text}", soft_wrap=True, markup=False)
        elif name != "event":
            console.print(f"{name}: {value}", soft_wrap=True, markup=False)
    if "event" in shown:
        console.print_json(data=shown["event"], default=str)


def _event(record: Any, reframe: Reframe, *, value_left_out: bool) -> dict[str, Any]:
    if value_left_out:
        return {
            "event_unreadable": "the value was too large for this topic; it stands at `place`, if that is kept still"
        }
    value = record.value or b""
    try:
        event = codec.decode(reframe(value, record.headers))
    except (InvalidEvent, RegistryUnavailable) as error:
        return {"event_unreadable": str(error), "first_bytes": value[:_BYTES_SHOWN].hex()}
    plain = codec.to_record(event)
    kind, payload = plain["payload"]
    return {"event": plain | {"payload": {"kind": kind.rpartition(".")[2], **payload}}}


def _counts(letters: Sequence[Letter]) -> Table:
    table = Table("tenant", "reason", "letters", "runs", "first failed", "last failed")
    groups: dict[tuple[str, str], list[Letter]] = {}
    for one in letters:
        groups.setdefault((one.tenant_id, one.reason), []).append(one)
    for (tenant, reason), some in sorted(groups.items()):
        times = [one.failed_at for one in some]
        runs = len({one.subject for one in some})
        table.add_row(tenant, reason, str(len(some)), str(runs), _time(min(times)), _time(max(times)))
    return table


def _table(letters: Sequence[Letter]) -> Table:
    table = Table("id", "failed", "tenant", "run or experiment", "reason", "why", box=None)
    for one in letters:
        table.add_row(str(one.id), _time(one.failed_at), one.tenant_id, one.subject, one.reason, one.detail)
    return table


def _row(one: Letter) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "tenant": one.tenant_id,
        "subject": one.subject,
        "reason": one.reason,
        "detail": one.detail,
        "failed_at": _time(one.failed_at),
        "bytes": one.size,
    }


def _latest(letters: Sequence[Letter], limit: int) -> list[Letter]:
    return sorted(letters, key=lambda one: (-one.failed_at, one.id))[:limit]


def _time(ms: int) -> str:
    return rfc3339(ms, "seconds")
