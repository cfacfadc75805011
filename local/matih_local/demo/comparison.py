"""What was logged against what MLflow holds, value by value, both ways. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_local.demo.ledger import Logged, Point


@dataclass
class InMlflow:
    """One run as MLflow's client shows it; `run_id` is ours (the tag `matih.run_id`)."""

    run_id: str
    name: str
    status: str
    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Comparison:
    """The count.

    Attributes:
        logged: points of calls that returned.
        in_mlflow: points that MLflow holds.
        lost: points that were logged and are not there, by run.
        duplicated: points that nobody logged, or that are there more often than logged, by run.
        runs_lost, runs_twice: names of runs that are not there, or there more than once.
        wrong_values: params and tags whose value is missing or another.
        statuses: run's name -> MLflow's status.
        wrong_statuses: run's name -> "is X, expected Y".
    """

    logged: int = 0
    in_mlflow: int = 0
    lost: dict[str, list[Point]] = field(default_factory=dict)
    duplicated: dict[str, list[Point]] = field(default_factory=dict)
    runs_lost: list[str] = field(default_factory=list)
    runs_twice: list[str] = field(default_factory=list)
    wrong_values: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    wrong_statuses: dict[str, str] = field(default_factory=dict)

    @property
    def points_lost(self) -> int:
        """How many points were logged and are not in MLflow; a param or tag that is missing or wrong counts as one."""
        return sum(map(len, self.lost.values())) + len(self.wrong_values)

    @property
    def points_duplicated(self) -> int:
        """How many points nobody logged, plus the runs that exist twice."""
        return sum(map(len, self.duplicated.values())) + len(self.runs_twice)

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing twice, nothing else, and every run ended as it should."""
        return not (self.points_lost or self.points_duplicated or self.runs_lost or self.wrong_statuses)


def compare(logged: Sequence[Logged], in_mlflow: Sequence[InMlflow], statuses: dict[str, str]) -> Comparison:
    """Compares all ledgers with all runs; `statuses` are the expected ones, by the run's name."""
    result = Comparison()
    ledgers: dict[str, list[Logged]] = {}
    for ledger in logged:
        ledgers.setdefault(ledger.run_id, []).append(ledger)
    there: dict[str, list[InMlflow]] = {}
    for run in in_mlflow:
        there.setdefault(run.run_id, []).append(run)
    for run_id in ledgers.keys() | there.keys():
        _compare_run(result, ledgers.get(run_id, []), there.get(run_id, []))
    for name, expected in statuses.items():
        found = result.statuses.get(name, "missing")
        if found != expected:
            result.wrong_statuses[name] = f"is {found}, expected {expected}"
    return result


def _compare_run(result: Comparison, ledgers: list[Logged], runs: list[InMlflow]) -> None:
    name = ledgers[0].name if ledgers else runs[0].name
    wanted = Counter(point for ledger in ledgers for point in ledger.points)
    perhaps = Counter(point for ledger in ledgers for point in ledger.perhaps)
    found = Counter(point for run in runs for point in run.points)
    result.logged += sum(wanted.values())
    result.in_mlflow += sum(found.values())
    _note(result.lost, name, (wanted - found).elements())
    _note(result.duplicated, name, (found - wanted - perhaps).elements())
    if not runs:
        result.runs_lost.append(name)
    if len(runs) > 1 or not ledgers:
        result.runs_twice.append(name)
    for run in runs[:1]:
        result.statuses[name] = run.status
        for ledger in ledgers:
            result.wrong_values += _wrong(name, "param", ledger.params, run.params)
            result.wrong_values += _wrong(name, "tag", ledger.tags, run.tags)


def _note(into: dict[str, list[Point]], name: str, points: Iterable[Point]) -> None:
    found = list(points)
    if found:
        into.setdefault(name, []).extend(found)


def _wrong(run: str, kind: str, wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    return [
        f"{run}: {kind} {key!r} is {found.get(key)!r}, logged {value!r}"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
