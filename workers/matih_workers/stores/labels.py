"""The tags by which every store finds runs and experiments, and what they say: pure, the same for all stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.errors import InvalidEvent
from matih_schemas.identity import DEFAULT_TENANT, mlflow_experiment_name
from matih_workers.operations import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_workers.changes import Creation, ExperimentSpec, RunChange

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
        **spec.tags,
        tags.EXPERIMENT_ID: spec.experiment_id,
        tags.TENANT_ID: tenant_id,
        tags.experiment_lookup(spec.experiment_id): "1",
    }
    if spec.description:
        labels[NOTE] = spec.description
    if _bare(mlflow_name, tenant_id) != spec.name:
        labels[tags.EXPERIMENT_NAME] = spec.name
    return labels


def adoption_labels(stored: Mapping[str, str], tenant_id: str, wanted: str) -> dict[str, str]:
    """The tags that an experiment met by its name still lacks, so that the id it was met by leads to it from now on."""
    labels = {tags.experiment_lookup(wanted): "1"}
    if tags.EXPERIMENT_ID not in stored:
        labels |= {tags.EXPERIMENT_ID: wanted, tags.TENANT_ID: tenant_id}
    return {key: value for key, value in labels.items() if stored.get(key) != value}


def tenant_of(mlflow_name: str, stored: Mapping[str, str]) -> str:
    """Whose an experiment is: by its tag, or, if it was made in MLflow by hand, by its name."""
    tenant, slash, _ = mlflow_name.partition("/")
    return stored.get(tags.TENANT_ID) or (tenant if slash else DEFAULT_TENANT)


def full_name(mlflow_name: str, stored: Mapping[str, str], tenant_id: str) -> str:
    """The name without the tenant, whole also where MLflow's column holds a cut one."""
    full = stored.get(tags.EXPERIMENT_NAME, "")
    is_its = bool(full) and mlflow_experiment_name(tenant_id, full) == mlflow_name
    return full if is_its else _bare(mlflow_name, tenant_id)


def unknown_run(change: RunChange) -> InvalidEvent:
    """The refusal of what comes for a run that is not there."""
    return InvalidEvent("unknown_run", f"nobody created run {change.run_id} of tenant {change.tenant_id}")


def unknown_experiment(tenant_id: str, experiment_id: str) -> InvalidEvent:
    """The refusal of a change to an experiment that is not there."""
    return InvalidEvent("unknown_experiment", f"nobody created experiment {experiment_id} of tenant {tenant_id}")


def foreign_experiment(tenant_id: str, experiment_id: str) -> InvalidEvent:
    """The refusal of what would touch another tenant's experiment."""
    return InvalidEvent("tenant_mismatch", f"experiment {experiment_id} is not tenant {tenant_id}'s")


def deleted_experiment(mlflow_name: str) -> InvalidEvent:
    """The refusal of what would go to a deleted experiment."""
    return InvalidEvent("deleted_experiment", f"experiment {mlflow_name!r} is deleted: restore it, then redrive")


def deleted_run(run_id: str) -> InvalidEvent:
    """The refusal of what would go to a run that was deleted on its own."""
    return InvalidEvent("deleted_run", f"run {run_id} is deleted: restore it, then redrive")


def name_taken(mlflow_name: str, wanted: str, why: object) -> InvalidEvent:
    """The refusal of an experiment's new name."""
    return InvalidEvent("invalid_entry", f"experiment {mlflow_name!r} can't be named {wanted!r}: {why}")


def _bare(mlflow_name: str, tenant_id: str) -> str:
    return mlflow_name.removeprefix(f"{tenant_id}/")
