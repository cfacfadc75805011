"""A rebuilt MLflow held against the old one: every value of both, and of what differs whether events explain it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from matih_workers.replay.comparison import (
    DIFFERENCE,
    EDITED,
    OLD_ONLY,
    Finding,
    NotReadable,
    compare_experiments,
    compare_runs,
    settled,
)
from matih_workers.replay.mlflow_seen import MlflowSeen

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    open_runs = {one.of.removeprefix("run ") for one in found if one.cause == OLD_ONLY and one.of.startswith("run ")}
    of_events = await session.from_events(open_runs) if open_runs else {}
    findings = [_settled(one, of_events) for one in found] + list(_foreign(before))
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
    for name in sorted(old.experiments.keys() | new.experiments.keys()):
        of, pair = f"experiment {name}", (old.experiments.get(name), new.experiments.get(name))
        if pair[0] and pair[1]:
            found += compare_experiments(of, pair[0], pair[1])
        else:
            found += _whole(of, there=pair[0] is not None)
    for run_id in sorted(old.runs.keys() | new.runs.keys()):
        of = f"run {run_id}"
        if run_id in old.runs and run_id in new.runs:
            before = old.run(run_id)
            metrics += len(before.points)
            found += compare_runs(of, before, new.run(run_id))
        else:
            found += _whole(of, there=run_id in old.runs)
    return found, metrics


def _whole(of: str, *, there: bool) -> Iterable[Finding]:
    """What one of them has not at all. An experiment without events was made in MLflow, and used by none of ours."""
    cause = DIFFERENCE if not there else OLD_ONLY if of.startswith("run ") else EDITED
    yield Finding(cause, of, "the whole", "there" if there else None, None if there else "there")


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


def _foreign(old: MlflowSeen) -> Iterable[Finding]:
    """What was made in MLflow itself."""
    for name in sorted(old.foreign_experiments):
        yield Finding(EDITED, f"experiment {name!r}", "the whole", "there", None)
    for run_id in sorted(old.foreign_runs):
        yield Finding(EDITED, f"MLflow's run {run_id}", "the whole", "there", None)
