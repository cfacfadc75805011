"""`matih runs export`: runs, or all points of their metrics, as CSV or Parquet; a page of them in memory at a time."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Final

from matih_console.errors import CommandFailed, WrongUse
from matih_tracking.commands.run_reports import instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from matih_tracking.reading.protocol import RunReader
    from matih_tracking.reading.queries import RunQuery
    from matih_tracking.reading.views import RunView

PAGE: Final = 2_000
_ROWS: Final = 10_000
_TIMES: Final = ("start_time", "end_time", "timestamp")
_POINTS: Final = ("run_id", "run_name", "metric", "step", "timestamp", "value")
_RUN: Final = ("run_id", "name", "status", "experiment_id", "start_time", "end_time", "artifact_uri")


def every(reader: RunReader, tenant: str, query: RunQuery, limit: int | None) -> Iterator[RunView]:
    """All runs of the query, page by page, none twice."""
    seen: set[str] = set()
    offset = 0
    while limit is None or len(seen) < limit:
        page = reader.runs([tenant], replace(query, limit=PAGE, offset=offset))
        new = [run for run in page.items if run.run_id not in seen]
        for run in new if limit is None else new[: limit - len(seen)]:
            seen.add(run.run_id)
            yield run
        offset += len(page.items)
        if not page.items or offset >= page.total:
            return


def export_runs(runs: Iterable[RunView], target: IO[bytes], form: str) -> int:
    """Writes a row per run: its attributes, `metrics.*`, `params.*` and `tags.*`; returns how many.

    Which columns there are is known after the last run only: the rows lie in a file of their own until then.
    """
    keys: dict[str, set[str]] = {"metrics": set(), "params": set(), "tags": set()}
    count = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as rows:
        for run in runs:
            for kind, found in keys.items():
                found.update(getattr(run, kind))
            rows.write(json.dumps(_row(run)) + "\n")
            count += 1
        rows.seek(0)
        columns = [*_RUN, *(f"{kind}.{key}" for kind in keys for key in sorted(keys[kind]))]
        _write((json.loads(line) for line in rows), columns, target, form)
    return count


def export_points(
    reader: RunReader, runs: Iterable[RunView], metrics: Sequence[str], target: IO[bytes], form: str
) -> int:
    """Writes a row per point of these metrics, or of all that a run has; returns how many."""
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for run in runs:
            for key in metrics or sorted(run.metrics):
                for point in reader.history(run, key).points:
                    count += 1
                    cells = (run.run_id, run.name, key, point.step, point.timestamp, point.value)
                    yield dict(zip(_POINTS, cells, strict=True))

    _write(rows(), _POINTS, target, form)
    return count


@contextmanager
def target_of(output: Path | None, form: str) -> Iterator[IO[bytes]]:
    """Where it goes: stdout, or a file that is there once it is whole."""
    if output is None:
        if form == "parquet" and sys.stdout.isatty():
            raise WrongUse("Parquet is not for a terminal: give --output FILE, or pipe it")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise CommandFailed(f"{output} can't be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _row(run: RunView) -> dict[str, Any]:
    return {
        **{name: getattr(run, name) for name in _RUN},
        **{f"metrics.{key}": point.value for key, point in run.metrics.items()},
        **{f"params.{key}": value for key, value in run.params.items()},
        **{f"tags.{key}": value for key, value in run.tags.items()},
    }


def _write(rows: Iterable[dict[str, Any]], columns: Sequence[str], target: IO[bytes], form: str) -> None:
    if form == "csv":
        _write_csv(rows, columns, target)
    else:
        _write_parquet(rows, columns, target)


def _write_csv(rows: Iterable[dict[str, Any]], columns: Sequence[str], target: IO[bytes]) -> None:
    import io

    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([instant(row[name]) if name in _TIMES else row.get(name) for name in columns])
        text.flush()
    finally:
        text.detach()


def _write_parquet(rows: Iterable[dict[str, Any]], columns: Sequence[str], target: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, _type(pa, name)) for name in columns])
    with parquet.ParquetWriter(pa.PythonFile(target, mode="w"), schema) as writer:
        for batch in _batches(rows):
            arrays = [pa.array([row.get(name) for row in batch], type=_type(pa, name)) for name in columns]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _type(pa: Any, name: str) -> Any:
    if name in _TIMES:
        return pa.timestamp("ms", tz="UTC")
    if name == "step":
        return pa.int64()
    return pa.float64() if name == "value" or name.startswith("metrics.") else pa.string()


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
