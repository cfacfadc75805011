"""The tags by which every store finds runs and experiments, and what they say: pure, the same for all stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.identity import experiment_id
from matih_schemas.mlflow_names import bare_name, full_name
from matih_workers.operations import NOTE

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from matih_workers.changes import Creation, ExperimentChange, ExperimentSpec, RunChange
    from matih_workers.positions import Span, Spans

ACTIVE: Final = "active"
DELETED: Final = "deleted"


def run_labels(change: RunChange, creation: Creation) -> dict[str, str]:
    """The tags that a run is made with: what it is found by. All others come with the marks."""
    labels = {
        tags.run_lookup(change.run_id): "1",
        tags.RUN_ID: change.run_id,
        tags.TENANT_ID: change.tenant_id,
        tags.EXPERIMENT_ID: creation.experiment.experiment_id,
    }
    if creation.parent_run_id:
        labels |= {tags.PARENT_RUN_ID: creation.parent_run_id, tags.child_of(creation.parent_run_id): "1"}
    return labels


def experiment_labels(tenant_id: str, spec: ExperimentSpec, mlflow_name: str) -> dict[str, str]:
    """The tags that an experiment is made with."""
    labels = {
        **_given_tags(spec),
        tags.EXPERIMENT_ID: spec.experiment_id,
        tags.TENANT_ID: tenant_id,
        tags.experiment_lookup(spec.experiment_id): "1",
    }
    if bare_name(mlflow_name, tenant_id) != spec.name:
        labels[tags.EXPERIMENT_NAME] = spec.name
    return labels


def adoption_labels(stored: Mapping[str, str], tenant_id: str, wanted: str) -> dict[str, str]:
    """The tags that an experiment met by its name still lacks, so that the id it was met by leads to it from now on."""
    labels = {tags.experiment_lookup(wanted): "1"}
    if tags.EXPERIMENT_ID not in stored:
        labels |= {tags.EXPERIMENT_ID: wanted, tags.TENANT_ID: tenant_id}
    return {key: value for key, value in labels.items() if stored.get(key) != value}


def lacking_tags(spec: ExperimentSpec, stored: Container[str]) -> dict[str, str]:
    """What an experiment that was there already lacks of its creation: a run's came first and knew only the name."""
    return {key: value for key, value in _given_tags(spec).items() if key not in stored}


def _given_tags(spec: ExperimentSpec) -> dict[str, str]:
    """The tags that its maker gave: a description is one in MLflow."""
    return {**spec.tags, NOTE: spec.description} if spec.description else dict(spec.tags)


def changed_tags(change: ExperimentChange, stored: Container[str]) -> dict[str, str]:
    """The tags that a change sets: a description is one in MLflow. A redriven change sets those that are missing."""
    wanted = change.tags if change.description is None else {**change.tags, NOTE: change.description}
    return {key: value for key, value in wanted.items() if not (change.redriven and key in stored)}


def alias(mlflow_name: str, stored: Mapping[str, str], tenant_id: str) -> str:
    """The tag by which the id of an experiment's present name leads to it also after it was renamed."""
    return tags.experiment_lookup(experiment_id(tenant_id, full_name(mlflow_name, stored, tenant_id)))


def position_keys(spans: Spans) -> dict[str, Span]:
    """The spans by the tags that hold their partitions' positions."""
    source = spans.source
    if source is None:
        return {}
    return {tags.position(source.cluster_id, source.topic, span.partition): span for span in spans.spans}


def location_in(root: str, spec: ExperimentSpec) -> str:
    """Where an experiment's artifacts go under a given root."""
    return f"{root.rstrip('/')}/{spec.experiment_id}"
