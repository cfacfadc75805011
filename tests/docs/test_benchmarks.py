"""`make bench`: which benchmarks there are, and how one is given arguments."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import __main__ as bench
from benchmarks.kafka_to_mlflow import CASES, FULL

ROOT = Path(__file__).resolve().parents[2]


def test_what_stands_behind_two_dashes_goes_to_the_benchmarks_that_are_chosen() -> None:
    assert bench.divided(["kafka_to_mlflow", "--", "full"]) == (["kafka_to_mlflow"], ["full"])
    assert bench.divided(["memory"]) == (["memory"], [])
    assert bench.chosen(["kafka_to_mlflow"]) == ["kafka_to_mlflow"]
    assert FULL in {case.name for case in CASES}


def test_the_pages_name_benchmarks_that_exist() -> None:
    text = "".join(page.read_text() for page in [ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")])
    named = set(re.findall(r'ARGS="?(\w+)', text)) | set(re.findall(r"`benchmarks/(\w+)\.py`", text))
    assert {"kafka_to_mlflow", "memory"} <= named
    assert named <= set(bench.chosen([])) | bench.HELPERS
