"""Writes journals for `data/`: run it once for each format that is released, and never touch what is there.

python tests/journal/make_golden.py tests/journal/data/format-N
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from matih_tracking.journal.cursor import Cursor
from matih_tracking.journal.entries import Created, Ended, Experiment, Metrics, Params, Tags, decode, encode
from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.writer import JournalWriter

NOW = 1_700_000_000_000
RUN_ID = "0123456789abcdef" * 2
ENTRIES = [
    Created(NOW, "team", "11111111-2222-5333-8444-555555555555", "team/vision", "baseline", True, 0, tags={"a": "b"}),
    Experiment(NOW, "team", "11111111-2222-5333-8444-555555555555", "team/vision", "what it's for"),
    Params(NOW + 1, {"lr": "0.1", "name": "größe ✓"}),
    Tags(NOW + 2, {"mlflow.user": "me", "note": ""}),
    Metrics(NOW + 3, -1, {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "zero": -0.0}),
    Metrics(NOW + 4, 2**63 - 1, {"with a model": 1.5}, "m-1", "train", "abc"),
    *(Metrics(NOW + step, step, {"loss": 1 / (step + 1), "val/acc": step / 400, "lr": 0.1}) for step in range(400)),
    Ended(NOW + 500, "FAILED", "ValueError: no"),
]


def main(folder: Path) -> None:
    """Writes a closed journal, and one as it looks after a kill -9 in the middle of an entry."""
    with tempfile.TemporaryDirectory() as spool:
        write(Path(spool), "c105ed" + "0" * 10).close()
        killed = write(Path(spool), "dead" + "0" * 12)
        killed.check()
        for producer_id in ("c105ed" + "0" * 10, "dead" + "0" * 12):
            shutil.copytree(Path(spool) / "journals" / producer_id, folder / producer_id)
        killed.close()
    tear_last_entry(folder / ("dead" + "0" * 12))
    for journal in folder.iterdir():
        (journal / "expected.json").write_text(json.dumps(describe(journal), indent=1))


def write(spool: Path, producer_id: str) -> JournalWriter:
    """Makes a journal of some segments, of which 100 entries are acknowledged."""
    writer = JournalWriter.create(
        spool, RUN_ID, producer_id, spool_key="5" * 16, first_segment_bytes=1, max_segment_bytes=1
    )
    for entry in ENTRIES:
        writer.append(encode(entry))
    reader, cursor = JournalReader(writer.path), Cursor(writer.path)
    batch = reader.read()
    while batch.after.number < 100:
        batch = reader.read()
    cursor.store(batch.position_after(99 - batch.start.number))
    reader.close()
    cursor.close()
    return writer


def tear_last_entry(journal: Path) -> None:
    """Takes the last three bytes of the last entry away."""
    last = max(path for path in journal.glob("*.seg") if any(path.read_bytes()))
    content = last.read_bytes()
    last.write_bytes(content.rstrip(b"\0")[:-3].ljust(len(content), b"\0"))


def describe(journal: Path) -> dict[str, object]:
    """What this release reads."""
    reader, cursor = JournalReader(journal), Cursor(journal)
    payloads: list[bytes] = []
    while not (batch := reader.read(owner_gone=True)).ended:
        payloads += batch.payloads
    described = {
        "header": reader.header._asdict(),
        "cursor": cursor.load(),
        "after": batch.after,
        "lost_bytes": batch.lost_bytes,
        "payloads": [payload.hex() for payload in payloads],
        "entries": [repr(msgspec.to_builtins(decode(payload))) for payload in payloads],
    }
    reader.close()
    cursor.close()
    return json.loads(json.dumps(described))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
