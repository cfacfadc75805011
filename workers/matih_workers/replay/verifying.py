"""A rebuilt MLflow held against the old one: every value of both, and of what differs whether events explain it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from matih_workers.replay.comparison import (
    DIFFERENCE,
    EDITED,
    OLD_ONLY,
    ExperimentSeen,
    Finding,
    NotReadable,
    compare_experiments,
    compare_runs,
    settled,
    whole,
)
from matih_workers.replay.mlflow_seen import MlflowSeen
from matih_workers.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matih_workers.replay.session import Session
    from matih_workers.stores.memory import MemoryRun

LISTED_MAX: Final = 1000


async def verified(session: Session, *, old: str, new: str) -> dict[str, Any]:
    """The report of the comparison.

    Args:
        session: of the topic that the new one was rebuilt from: what only the old one has is looked for there.
        old: the tracking URI of the one that people used.
        new: that of the rebuilt one.

    Raises:
        NotReadable: one of them can't be read.
        KafkaError: the topic can't be read.
    """
    before = await asyncio.to_thread(_seen, old)
    after = await asyncio.to_thread(_seen, new)
    found, metrics = await asyncio.to_thread(_compare, before, after)
    runs = {one.of.removeprefix("run ") for one in found if one.cause == OLD_ONLY}
    experiments = _differing(before, after)
    of_events = await session.from_events(runs, experiments) if runs or experiments else MemoryStore()
    findings = [_settled(one, of_events.runs) for one in found]
    findings += [*_experiments(experiments, before, after, of_events), *_foreign(before)]
    findings.sort(key=lambda one: one.cause != DIFFERENCE)
    return {
        "experiments": len(before.experiments),
        "runs": len(before.runs),
        "metrics": metrics,
        "differences": sum(one.cause == DIFFERENCE for one in findings),
        "edits": sum(one.cause == EDITED for one in findings),
        "findings": [one.as_json() for one in findings[:LISTED_MAX]],
    }


def _seen(uri: str) -> MlflowSeen:
    try:
        return MlflowSeen(uri)
    except Exception as error:
        raise NotReadable(f"MLflow at {uri.rpartition('@')[2]} can't be read: {error}; check the URI") from error


def _compare(old: MlflowSeen, new: MlflowSeen) -> tuple[list[Finding], int]:
    found: list[Finding] = []
    metrics = 0
    for run_id in sorted(old.runs.keys() | new.runs.keys()):
        of = f"run {run_id}"
        if run_id in old.runs and run_id in new.runs:
            before = old.run(run_id)
            metrics += len(before.points)
            found += compare_runs(of, before, new.run(run_id))
        else:
            found += whole(of, there=run_id in old.runs, absent=OLD_ONLY)
    return found, metrics


def _differing(old: MlflowSeen, new: MlflowSeen) -> list[str]:
    """Our ids of the experiments that are not the same in both."""
    return [
        name
        for name in sorted(old.experiments.keys() | new.experiments.keys())
        if any(compare_experiments("", old.experiments.get(name), new.experiments.get(name), None))
    ]


def _experiments(names: Iterable[str], old: MlflowSeen, new: MlflowSeen, events: MemoryStore) -> Iterator[Finding]:
    for name in names:
        made = events.experiments.get(name)
        said = None if made is None else ExperimentSeen(made.name, made.deleted, made.tags)
        yield from compare_experiments(f"experiment {name}", old.experiments.get(name), new.experiments.get(name), said)


def _settled(finding: Finding, of_events: dict[str, MemoryRun]) -> Finding:
    if finding.cause != OLD_ONLY:
        return finding
    run = of_events.get(finding.of.removeprefix("run "))
    return settled(finding, run is not None and _has(run, finding))


def _has(run: MemoryRun, finding: Finding) -> bool:
    """Whether the events of the run bring what only the old one has."""
    kind, _, key = finding.what.partition(" ")
    if kind == "param":
        return key in run.params
    if kind == "tag":
        return key in run.tags
    if kind == "metric":
        wanted = {(key, timestamp, step) for key, _, timestamp, step in finding.points}
        return any((one.key, one.timestamp, one.step) in wanted for one in run.metrics)
    return True


def _foreign(old: MlflowSeen) -> Iterator[Finding]:
    """What was made in MLflow itself."""
    for name in sorted(old.foreign_experiments):
        yield Finding(EDITED, f"experiment {name!r}", "the whole", "there", None)
    for run_id in sorted(old.foreign_runs):
        yield Finding(EDITED, f"MLflow's run {run_id}", "the whole", "there", None)
