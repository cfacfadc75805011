"""What an experiment or a run is once the events that are not applied yet are: pure.

The worker decides what MLflow holds; this says the same ahead of it, for whoever reads what was just acknowledged. An
event that was applied meanwhile may be folded in once more: nothing changes by it, if those after it are too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from matih_schemas import events, tags
from matih_schemas.status import StatusOrder, status_order
from matih_tracking.reading.views import ExperimentView, MetricPoint, RunView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from matih_schemas.events import EntryGroup, TrackingEvent

NOTE: Final = "mlflow.note.content"
RUN_NAME: Final = "mlflow.runName"
UNSEEN: Final = ""
"""MLflow's id of what MLflow does not have yet."""


def fold_experiment(view: ExperimentView | None, pending: Iterable[TrackingEvent]) -> ExperimentView | None:
    """The experiment after these events; None if none of them makes it and it is not there."""
    for event in pending:
        view = _EXPERIMENT[type(event.payload)](view, event) if type(event.payload) in _EXPERIMENT else view
    return view


def fold_run(view: RunView | None, pending: Iterable[TrackingEvent]) -> RunView | None:
    """The run after these events; None if none of them makes it and it is not there."""
    for event in pending:
        view = _RUN[type(event.payload)](view, event) if type(event.payload) in _RUN else view
    return view


def _experiment_made(view: ExperimentView | None, event: TrackingEvent) -> ExperimentView:
    if view is not None:
        return view
    payload: Any = event.payload
    if isinstance(payload, events.RunCreated):
        name, description, stored = payload.experiment_name, payload.experiment_description, payload.experiment_tags
    else:
        name, description, stored = payload.name, payload.description, payload.tags
    return ExperimentView(
        experiment_id=payload.experiment_id,
        mlflow_id=UNSEEN,
        tenant_id=event.tenant_id,
        name=name,
        artifact_location=payload.artifact_location or "",
        stage="active",
        created_at=event.occurred_at,
        last_updated=event.occurred_at,
        description=description,
        tags={**stored, tags.EXPERIMENT_ID: payload.experiment_id, tags.TENANT_ID: event.tenant_id},
    )


def _experiment_updated(view: ExperimentView | None, event: TrackingEvent) -> ExperimentView | None:
    payload: Any = event.payload
    if view is None or view.stage == "deleted":
        return view
    note = {} if payload.description is None else {NOTE: payload.description}
    return replace(
        view,
        name=view.name if payload.name is None else payload.name,
        description=view.description if payload.description is None else payload.description,
        tags={**view.tags, **payload.tags, **note},
        last_updated=max(view.last_updated, event.occurred_at),
    )


def _experiment_deleted(view: ExperimentView | None, event: TrackingEvent) -> ExperimentView | None:
    return view and replace(view, stage="deleted", last_updated=max(view.last_updated, event.occurred_at))


def _experiment_restored(view: ExperimentView | None, event: TrackingEvent) -> ExperimentView | None:
    return view and replace(view, stage="active", last_updated=max(view.last_updated, event.occurred_at))


def _run_made(view: RunView | None, event: TrackingEvent) -> RunView:
    payload: Any = event.payload
    fields = {NOTE: payload.description, tags.USER_ID: payload.user_id, tags.JOB_ID: payload.job_id}
    stored = {**payload.tags, **{key: value for key, value in fields.items() if value}}
    if view is None:
        name = payload.run_name or f"run-{payload.run_id[:8]}"
        view = RunView(
            run_id=payload.run_id,
            mlflow_run_id=payload.run_id,
            tenant_id=event.tenant_id,
            experiment_id=payload.experiment_id,
            mlflow_experiment_id=UNSEEN,
            name=name,
            status="RUNNING",
            start_time=event.occurred_at,
            end_time=None,
            stage="active",
            artifact_uri=UNSEEN,
            tags={tags.RUN_ID: payload.run_id, tags.TENANT_ID: event.tenant_id, RUN_NAME: name},
        )
    new = payload.owner and _is_new(view.tags, payload.producer_id, payload.sequence)
    kept = {**view.tags, **stored} if new else {**stored, **view.tags}
    named = payload.run_name if new and payload.run_name else view.name
    return _with_status(replace(view, tags={**kept, RUN_NAME: named}, name=named), event, "RUNNING", None)


def _run_logged(view: RunView | None, event: TrackingEvent) -> RunView | None:
    payload: Any = event.payload
    if view is None or view.stage == "deleted":
        return view
    params, stored, metrics = dict(view.params), dict(view.tags), dict(view.metrics)
    for group in payload.groups:
        for pair in group.params:
            params.setdefault(pair.key, pair.value)
        for pair in group.tags:
            if pair.key not in stored or _is_new(stored, group.producer_id, group.first_sequence + pair.entry):
                stored[pair.key] = pair.value
        _raise_latest(metrics, group)
    return replace(view, params=params, tags=stored, metrics=metrics)


def _is_new(stored: Mapping[str, str], producer_id: str, sequence: int) -> bool:
    """Whether this entry is not among those that the run's mark says are applied: those set no tags again."""
    mark = stored.get(tags.applied(producer_id), "-1")
    return not mark.lstrip("-").isdecimal() or sequence > int(mark)


def _raise_latest(metrics: dict[str, MetricPoint], group: EntryGroup) -> None:
    """MLflow's latest: the greatest by (step, timestamp, value), NaN compared as 0."""
    start = 0
    for shape, time, step in zip(group.shape, group.time, group.step, strict=True):
        keys = group.shapes[shape]
        for key, value in zip(keys, group.value[start : start + len(keys)], strict=True):
            point = MetricPoint(key, value, time, step)
            if key not in metrics or _order(point) > _order(metrics[key]):
                metrics[key] = point
        start += len(keys)


def _order(point: MetricPoint) -> tuple[int, int, float]:
    return point.step, point.timestamp, point.value if point.value == point.value else 0.0


def _run_ended(view: RunView | None, event: TrackingEvent) -> RunView | None:
    payload: Any = event.payload
    return view and _with_status(view, event, payload.status, payload.end_time)


def _heartbeat(view: RunView | None, event: TrackingEvent) -> RunView | None:
    return view and _with_status(view, event, "RUNNING", None)


def _with_status(view: RunView, event: TrackingEvent, status: str, end_time: int | None) -> RunView:
    order, stored = status_order(event), StatusOrder.parse(view.tags.get(tags.STATUS, ""))
    if order is None or (stored is not None and order <= stored):
        return view
    return replace(view, status=status, end_time=end_time, tags={**view.tags, tags.STATUS: order.text()})


def _run_deleted(view: RunView | None, _event: TrackingEvent) -> RunView | None:
    return view and replace(view, stage="deleted", tags={**view.tags, tags.DELETED: "1"})


def _run_restored(view: RunView | None, _event: TrackingEvent) -> RunView | None:
    return view and replace(view, stage="active", tags={**view.tags, tags.DELETED: "0"})


def with_experiment(view: RunView, stage: Literal["active", "deleted"]) -> RunView:
    """The run in an experiment that is in this stage: one that was deleted on its own stays so."""
    alone = view.tags.get(tags.DELETED) == "1"
    return replace(view, stage="deleted" if alone else stage)


def name_given(event: TrackingEvent) -> str | None:
    """The name that the event gives its experiment, None if it gives none."""
    payload = event.payload
    if isinstance(payload, events.RunCreated):
        return payload.experiment_name
    return payload.name if isinstance(payload, events.ExperimentCreated | events.ExperimentUpdated) else None


_EXPERIMENT: Final[dict[type, Callable[[ExperimentView | None, TrackingEvent], ExperimentView | None]]] = {
    events.ExperimentCreated: _experiment_made,
    events.RunCreated: _experiment_made,
    events.ExperimentUpdated: _experiment_updated,
    events.ExperimentDeleted: _experiment_deleted,
    events.ExperimentRestored: _experiment_restored,
}
_RUN: Final[dict[type, Callable[[RunView | None, TrackingEvent], RunView | None]]] = {
    events.RunCreated: _run_made,
    events.RunLogged: _run_logged,
    events.RunEnded: _run_ended,
    events.Heartbeat: _heartbeat,
    events.RunDeleted: _run_deleted,
    events.RunRestored: _run_restored,
}
