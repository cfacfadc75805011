"""An archive's events as rows, for other people's tools: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
import math
from typing import IO, TYPE_CHECKING, Any, Final

from matih_schemas import codec
from matih_workers.audit import record as record_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from matih_workers.audit.events import ArchivedEvent

COLUMNS: Final = {
    "cluster_id": "string",
    "topic_id": "string",
    "partition": "int32",
    "offset": "int64",
    "record_sha256": "string",
    "received_at": "int64",
    "occurred_at": "int64",
    "event_id": "string",
    "tenant": "string",
    "kind": "string",
    "actor": "string",
    "claimed_user": "string",
    "host": "string",
    "sdk_version": "string",
    "run_id": "string",
    "experiment_id": "string",
    "payload": "string",
    "unreadable": "string",
    "dead_letter": "string",
}
"""The rows' columns and their Arrow types; docs/guides/audit.md says what they mean."""
_TOGETHER: Final = 10_000


def row(one: ArchivedEvent) -> dict[str, Any]:
    """The event as a row: every column is there, None where it says nothing."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found |= {**one.partition._asdict(), "offset": one.record.offset, "received_at": one.received_at}
    found |= {"record_sha256": record_bytes.digest(one.record).hex(), "dead_letter": one.dead_letter or None}
    event = one.event
    if event is None:
        return found | {"unreadable": one.unreadable}
    record = codec.to_record(event)
    _, payload = record.pop("payload")
    record["tenant"] = record.pop("tenant_id")
    found |= {name: value for name, value in record.items() if name in COLUMNS}
    return found | {
        "kind": event.kind,
        "run_id": payload.get("run_id"),
        "experiment_id": payload.get("experiment_id"),
        "payload": json.dumps(_finite(payload), separators=(",", ":")),
    }


def json_row(one: ArchivedEvent) -> dict[str, Any]:
    """The row as JSON lines have it: its payload is an object."""
    found = row(one)
    found["payload"] = json.loads(found["payload"]) if found["payload"] else None
    return found


def write_jsonl(events: Iterable[ArchivedEvent], out: IO[str]) -> int:
    """A line of JSON for each event, its payload an object; returns how many."""
    count = 0
    for one in events:
        out.write(json.dumps(json_row(one), separators=(",", ":")) + "\n")
        count += 1
    return count


def write_csv(events: Iterable[ArchivedEvent], out: IO[str]) -> int:
    """A head and a line for each event, its payload as JSON text; returns how many."""
    writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    count = 0
    for one in events:
        writer.writerow(row(one))
        count += 1
    return count


def write_parquet(events: Iterable[ArchivedEvent], out: Path) -> int:
    """One Parquet file; returns how many events.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    count = 0
    with pq.ParquetWriter(out, schema) as writer:
        for rows in _batches(map(row, events)):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    held: list[dict[str, Any]] = []
    for one in rows:
        held.append(one)
        if len(held) == _TOGETHER:
            yield held
            held = []
    if held:
        yield held


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become the texts that JSON's other users have for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
