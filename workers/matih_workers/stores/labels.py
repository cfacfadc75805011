"""The tags by which every store finds runs and experiments, and what they say: pure, the same for all stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.identity import experiment_id
from matih_schemas.limits import EXPERIMENT_TAG_VALUE_MAX
from matih_schemas.mlflow_names import bare_name, full_name
from matih_workers.filled import Filled, made_by
from matih_workers.operations import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_workers.changes import Creation, ExperimentChange, ExperimentSpec, RunChange
    from matih_workers.positions import Source, Span, Spans

ACTIVE: Final = "active"
DELETED: Final = "deleted"


def run_labels(change: RunChange, creation: Creation) -> dict[str, str]:
    """The tags that a run is made with: what it is found by. All others come with the marks."""
    labels = {
        tags.run_lookup(change.run_id): "1",
        tags.RUN_ID: change.run_id,
        tags.TENANT_ID: change.tenant_id,
        tags.EXPERIMENT_ID: creation.experiment.experiment_id,
        **made_by(change.fill),
    }
    if creation.parent_run_id:
        labels |= {tags.PARENT_RUN_ID: creation.parent_run_id, tags.child_of(creation.parent_run_id): "1"}
    return labels


def experiment_labels(tenant_id: str, spec: ExperimentSpec, mlflow_name: str) -> dict[str, str]:
    """The tags that an experiment is made with."""
    labels = {
        **given_tags(spec),
        tags.EXPERIMENT_ID: spec.experiment_id,
        tags.TENANT_ID: tenant_id,
        tags.experiment_lookup(spec.experiment_id): "1",
        **made_by(spec.fill),
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


def lacking_tags(spec: ExperimentSpec, stored: Mapping[str, str]) -> dict[str, str]:
    """What an experiment that was there already lacks of its creation: a run's came first and knew only the name."""
    lacking = {key: value for key, value in given_tags(spec).items() if key not in stored}
    if lacking and spec.fill and not Filled.of(stored).is_own(spec.fill):
        return _filled_tags(spec.fill, lacking, stored)
    return lacking


def given_tags(spec: ExperimentSpec) -> dict[str, str]:
    """The tags that its maker gave: a description is one in MLflow."""
    return {**spec.tags, NOTE: spec.description} if spec.description else dict(spec.tags)


def changed_tags(change: ExperimentChange, stored: Mapping[str, str]) -> dict[str, str]:
    """The tags that a change sets: a description is one in MLflow. A redriven change sets those that are missing."""
    wanted = change.tags if change.description is None else {**change.tags, NOTE: change.description}
    if change.fill and only_fills(change, stored):
        return _filled_tags(change.fill, wanted, stored)
    return {key: value for key, value in wanted.items() if not (change.redriven and key in stored)}


def only_fills(change: ExperimentChange, stored: Mapping[str, str]) -> bool:
    """Whether the experiment was there before the replay that brings the change: it keeps its name and stage then."""
    return change.fill is not None and not Filled.of(stored).is_own(change.fill)


def _filled_tags(replay: str, wanted: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """The wanted tags that are missing, or were before this replay, with its note of them."""
    filled = Filled.of(stored)
    found = {key: value for key, value in wanted.items() if key not in stored or filled.holds(replay, key)}
    for key in found:
        filled.add(replay, key)
    return {**found, tags.FILLED: filled.text(EXPERIMENT_TAG_VALUE_MAX)} if found else {}


def alias(mlflow_name: str, stored: Mapping[str, str], tenant_id: str) -> str:
    """The tag by which the id of an experiment's present name leads to it also after it was renamed."""
    return tags.experiment_lookup(experiment_id(tenant_id, full_name(mlflow_name, stored, tenant_id)))


def position_keys(spans: Spans) -> dict[str, Span]:
    """The spans by the tags that hold their partitions' positions."""
    source = spans.source
    if source is None:
        return {}
    return {position_key(source, span.partition): span for span in spans.spans}


def position_key(source: Source, partition: int) -> str:
    """The tag that holds a partition's position."""
    return tags.position(source.cluster_id, source.topic, partition)


def location_in(root: str, spec: ExperimentSpec) -> str:
    """Where an experiment's artifacts go under a given root."""
    return f"{root.rstrip('/')}/{spec.experiment_id}"
