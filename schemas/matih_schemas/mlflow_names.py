"""Whose an experiment in MLflow is, and what its name is to its tenant: read from MLflow's name and the tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_schemas import tags
from matih_schemas.identity import DEFAULT_TENANT, mlflow_experiment_name

if TYPE_CHECKING:
    from collections.abc import Mapping


def tenant_of(mlflow_name: str, stored: Mapping[str, str]) -> str:
    """Whose an experiment is: by its tag, or, if it was made in MLflow by hand, by its name."""
    tenant, slash, _ = mlflow_name.partition("/")
    return stored.get(tags.TENANT_ID) or (tenant if slash else DEFAULT_TENANT)


def full_name(mlflow_name: str, stored: Mapping[str, str], tenant_id: str) -> str:
    """The name without the tenant, whole also where MLflow's column holds a cut one."""
    full = stored.get(tags.EXPERIMENT_NAME, "")
    is_its = bool(full) and mlflow_experiment_name(tenant_id, full) == mlflow_name
    return full if is_its else bare_name(mlflow_name, tenant_id)


def bare_name(mlflow_name: str, tenant_id: str) -> str:
    """MLflow's name without the tenant in front of it."""
    return mlflow_name.removeprefix(f"{tenant_id}/")
