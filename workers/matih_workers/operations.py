"""From an event to what the store has to do: pure, without a clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from matih_schemas import events, tags
from matih_schemas.checks import key_problem, tag_problem, value_problem
from matih_schemas.errors import InvalidEvent, InvalidName, NewerSchema
from matih_schemas.identity import check_experiment_name
from matih_schemas.limits import EXPERIMENT_TAG_VALUE_MAX, PARAM_VALUE_MAX, RUN_NAME_MAX, TAG_VALUE_MAX
from matih_schemas.status import StatusOrder, status_order
from matih_workers.changes import (
    Change,
    Creation,
    ExperimentChange,
    ExperimentSpec,
    Logged,
    Metric,
    RunChange,
    StatusChange,
    Tag,
)
from matih_workers.checks import (
    Problems,
    check_identifier,
    kept_experiment_tags,
    kept_location,
    kept_tags,
    kept_value,
)

NOTE: Final = "mlflow.note.content"
USER: Final = "mlflow.user"
PARENT: Final = "mlflow.parentRunId"
_NAN: Final = math.nan  # one object for all, so that a point that comes twice is seen to


def operations(event: events.TrackingEvent) -> Change | None:
    """What the event asks of the store; None if nothing.

    Raises:
        InvalidEvent: it can't be applied at all.
    """
    return _TRANSLATE[type(event.payload)](event, event.payload)


def _run_created(event: events.TrackingEvent, payload: events.RunCreated) -> RunChange:
    problems = Problems()
    _check_producer(payload.producer_id, payload.sequence)
    creation = Creation(
        experiment=_experiment(event.tenant_id, payload, problems),
        producer_id=payload.producer_id,
        sequence=payload.sequence,
        start_time=max(1, event.occurred_at),
        owner=payload.owner,
        run_name=payload.run_name[:RUN_NAME_MAX].replace("\x00", "\ufffd"),
        parent_run_id=_parent(payload),
        tags=_run_tags(event, payload, problems),
    )
    order = status_order(event)
    return RunChange(
        event.tenant_id,
        check_identifier(payload.run_id, "run id"),
        creation=creation,
        status=StatusChange(order, "RUNNING") if order is not None else None,
        problems=problems.all(),
    )


def _experiment(tenant: str, payload: events.RunCreated, problems: Problems) -> ExperimentSpec:
    given = _without_own(payload.experiment_tags, tenant)
    return ExperimentSpec(
        check_identifier(payload.experiment_id, "experiment id"),
        _experiment_name(payload.experiment_name),
        _note(payload.experiment_description, problems) or "",
        kept_location(payload.artifact_location, problems),
        kept_experiment_tags(given, problems),
    )


def _parent(payload: events.RunCreated) -> str | None:
    parent = payload.parent_run_id or payload.tags.get(PARENT)
    return check_identifier(parent, "parent run id") if parent else None


def _run_tags(event: events.TrackingEvent, payload: events.RunCreated, problems: Problems) -> dict[str, str]:
    """The tags of a producer's part of a run; what stands in a field of its own goes before a tag of that name."""
    fields = {
        NOTE: payload.description,
        tags.USER_ID: payload.user_id,
        tags.JOB_ID: payload.job_id,
        tags.RUN_NAME: payload.run_name if len(payload.run_name) > RUN_NAME_MAX else None,
    }
    given = _without_own(payload.tags, event.tenant_id)
    given.pop(PARENT, None)
    if payload.user_id:
        given.setdefault(USER, payload.user_id)
    return kept_tags({**given, **{key: value for key, value in fields.items() if value}}, problems, "run")


def _without_own(given: dict[str, str], tenant: str) -> dict[str, str]:
    """The tags but for that of the tenant: an SDK may repeat it, the envelope says it."""
    return {key: value for key, value in given.items() if (key, value) != (tags.TENANT_ID, tenant)}


def _run_logged(event: events.TrackingEvent, payload: events.RunLogged) -> RunChange:
    problems = Problems()
    logged = tuple(_logged(group, problems) for group in payload.groups if group.shape)
    return RunChange(
        event.tenant_id, check_identifier(payload.run_id, "run id"), logged=logged, problems=problems.all()
    )


def _logged(group: events.EntryGroup, problems: Problems) -> Logged:
    _check_producer(group.producer_id, group.first_sequence)
    logged = Logged(group.producer_id, group.first_sequence, group.last_sequence)
    _metrics(group, logged, problems)
    for pair in group.params:
        value = _kept(group, pair, PARAM_VALUE_MAX, problems)
        problem = key_problem(pair.key) or value_problem(pair.key, value, PARAM_VALUE_MAX)
        if problem is None:
            logged.params.append((pair.key, value))
        else:
            problems.add(f"{_entry(group, pair.entry)}: param: {problem}")
    for pair in group.tags:
        value = _kept(group, pair, TAG_VALUE_MAX, problems)
        problem = tag_problem(pair.key, value)
        if problem is None:
            logged.tags.append(Tag(group.first_sequence + pair.entry, pair.key, value))
        else:
            problems.add(f"{_entry(group, pair.entry)}: {problem}")
    return logged


def _kept(group: events.EntryGroup, pair: events.Pair, limit: int, problems: Problems) -> str:
    if len(pair.value) <= limit:
        return pair.value
    return kept_value(pair.key, pair.value, limit, problems, _entry(group, pair.entry))


def _metrics(group: events.EntryGroup, logged: Logged, problems: Problems) -> None:
    bad_shapes = {index: _shape_problem(keys) for index, keys in enumerate(group.shapes)}
    add, make, start = logged.metrics.append, tuple.__new__, 0  # a batch has thousands: Metric(...) takes twice as long
    for entry, (shape, time, step) in enumerate(zip(group.shape, group.time, group.step, strict=True)):
        keys = group.shapes[shape]
        values = group.value[start : start + len(keys)]
        start += len(keys)
        if time < 0 or bad_shapes[shape]:
            keys, values = _good_metrics(group, entry, values, problems)
        for key, value in zip(keys, values, strict=True):
            add(make(Metric, (key, value if value == value else _NAN, time, step)))  # NaN is unlike itself


def _shape_problem(keys: list[str]) -> bool:
    return any(key_problem(key) for key in keys)


def _good_metrics(
    group: events.EntryGroup, entry: int, values: list[float], problems: Problems
) -> tuple[list[str], list[float]]:
    """The metrics of an entry that can be stored; the others are told."""
    kept: list[tuple[str, float]] = []
    for key, value in zip(group.shapes[group.shape[entry]], values, strict=True):
        problem = key_problem(key) or (f"time {group.time[entry]} is negative" if group.time[entry] < 0 else None)
        if problem is None:
            kept.append((key, value))
        else:
            problems.add(f"{_entry(group, entry)}: metric: {problem}")
    return [key for key, _ in kept], [value for _, value in kept]


def _entry(group: events.EntryGroup, entry: int) -> str:
    return f"entry {group.first_sequence + entry} of producer {group.producer_id}"


def _run_ended(event: events.TrackingEvent, payload: events.RunEnded) -> RunChange:
    _check_producer(payload.producer_id, payload.sequence)
    logged = Logged(payload.producer_id, payload.sequence, payload.sequence)
    order, status = status_order(event), None
    if order is not None:
        status = _ended(order, payload)
    elif payload.rank is not None:
        logged.tags.append(Tag(payload.sequence, tags.rank(payload.rank), payload.status))
    return RunChange(event.tenant_id, check_identifier(payload.run_id, "run id"), logged=(logged,), status=status)


def _ended(order: StatusOrder, payload: events.RunEnded) -> StatusChange:
    reason = payload.reason.replace("\x00", "\ufffd")[:TAG_VALUE_MAX]
    return StatusChange(order, payload.status, max(1, payload.end_time), reason)


def _run_deleted(event: events.TrackingEvent, payload: events.RunDeleted) -> RunChange:
    return RunChange(event.tenant_id, check_identifier(payload.run_id, "run id"), lifecycle="delete")


def _run_restored(event: events.TrackingEvent, payload: events.RunRestored) -> RunChange:
    return RunChange(event.tenant_id, check_identifier(payload.run_id, "run id"), lifecycle="restore")


def _experiment_created(event: events.TrackingEvent, payload: events.ExperimentCreated) -> ExperimentChange:
    problems = Problems()
    spec = ExperimentSpec(
        check_identifier(payload.experiment_id, "experiment id"),
        _experiment_name(payload.name),
        _note(payload.description, problems) or "",
        kept_location(payload.artifact_location, problems),
        kept_experiment_tags(_without_own(payload.tags, event.tenant_id), problems),
    )
    return ExperimentChange(event.tenant_id, spec.experiment_id, create=spec, problems=problems.all())


def _experiment_updated(event: events.TrackingEvent, payload: events.ExperimentUpdated) -> ExperimentChange:
    problems = Problems()
    return ExperimentChange(
        event.tenant_id,
        check_identifier(payload.experiment_id, "experiment id"),
        name=None if payload.name is None else _experiment_name(payload.name),
        description=None if payload.description is None else _note(payload.description, problems),
        tags=kept_experiment_tags(_without_own(payload.tags, event.tenant_id), problems),
        problems=problems.all(),
    )


def _experiment_deleted(event: events.TrackingEvent, payload: events.ExperimentDeleted) -> ExperimentChange:
    experiment_id = check_identifier(payload.experiment_id, "experiment id")
    return ExperimentChange(event.tenant_id, experiment_id, lifecycle="delete")


def _experiment_restored(event: events.TrackingEvent, payload: events.ExperimentRestored) -> ExperimentChange:
    experiment_id = check_identifier(payload.experiment_id, "experiment id")
    return ExperimentChange(event.tenant_id, experiment_id, lifecycle="restore")


def _heartbeat(event: events.TrackingEvent, payload: events.Heartbeat) -> RunChange | None:
    """The owner's sign of life takes back an end that was inferred from silence: of the two the later holds."""
    order = status_order(event)
    if order is None:
        return None
    run_id = check_identifier(payload.run_id, "run id")
    return RunChange(event.tenant_id, run_id, status=StatusChange(order, "RUNNING"), sign_of_life=True)


def _nothing(_event: events.TrackingEvent, _payload: object) -> None:
    """An admin's action: nothing to store in MLflow."""


def _not_yet(event: events.TrackingEvent, _payload: object) -> None:
    raise NewerSchema(f"this release does not apply {event.kind} yet: upgrade the worker, then redrive")


def _check_producer(producer_id: str, sequence: int) -> None:
    check_identifier(producer_id, "producer id")
    if sequence < 0:
        raise InvalidEvent("malformed", f"producer {producer_id}: entry number {sequence} is negative")


def _experiment_name(name: str) -> str:
    try:
        return check_experiment_name(name)
    except InvalidName as error:
        raise InvalidEvent("malformed", str(error)) from error


def _note(description: str, problems: Problems) -> str | None:
    """An experiment's description, None if MLflow would not take it."""
    problem = value_problem("description", description, EXPERIMENT_TAG_VALUE_MAX)
    if problem is None:
        return description
    problems.add(f"experiment: {problem}")
    return None


_Translate = Callable[[events.TrackingEvent, Any], Change | None]
_TRANSLATE: Final[dict[type, _Translate]] = {
    events.RunCreated: _run_created,
    events.RunLogged: _run_logged,
    events.RunEnded: _run_ended,
    events.RunDeleted: _run_deleted,
    events.RunRestored: _run_restored,
    events.ExperimentCreated: _experiment_created,
    events.ExperimentUpdated: _experiment_updated,
    events.ExperimentDeleted: _experiment_deleted,
    events.ExperimentRestored: _experiment_restored,
    events.Heartbeat: _heartbeat,
    events.AdminAction: _nothing,
    events.ArtifactLogged: _not_yet,
    events.DatasetLogged: _not_yet,
}
