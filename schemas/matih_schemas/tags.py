"""The tags that the system itself writes in MLflow: the worker writes them, everybody may read them."""

from __future__ import annotations

import hashlib
from typing import Final

RUN_ID: Final = "matih.run_id"
TENANT_ID: Final = "matih.tenant_id"
"""Whose the run, or the experiment, is."""
EXPERIMENT_ID: Final = "matih.experiment_id"
EXPERIMENT_NAME: Final = "matih.experiment_name"
"""The experiment's full name, without its tenant: MLflow's column may hold a shortened one."""
USER_ID: Final = "matih.user_id"
JOB_ID: Final = "matih.job_id"
PARENT_RUN_ID: Final = "matih.parent_run_id"
"""Our id of the parent; `mlflow.parentRunId` holds MLflow's."""
RUN_NAME: Final = "matih.run_name"
"""The run's full name, where MLflow's column holds a shortened one."""
STATUS: Final = "matih.status"
"""The order of the run's status: `attempt,class,occurred_at,event_id`; the greatest holds."""
END_REASON: Final = "matih.end_reason"
PARAM_CONFLICTS: Final = "matih.param_conflicts"
"""The keys of params that were logged with two values (the first is kept), sorted, at most 50, with commas."""
DUPLICATE_OF: Final = "matih.duplicate_of"
"""On a run that two workers made at the same moment, and that is not the one in use."""
DELETED: Final = "matih.deleted"
"""On a run that was deleted on its own, so that restoring its experiment does not bring it back."""
CANARY: Final = "matih.canary"
"""On an experiment: when a worker last tried whether MLflow takes writes, in ms since the epoch."""

FILLED: Final = "matih.filled"
"""On a run or an experiment that `matih replay` made, or filled tags of: which replay, and what."""

_POSITION: Final = "matih.position."
_RUN: Final = "matih.run."
_EXPERIMENT: Final = "matih.experiment."
_CHILD_OF: Final = "matih.child_of."
_APPLIED: Final = "matih.applied."
_RANK: Final = "matih.rank."
_TOPIC_MAX: Final = 150  # MLflow's keys have 250 characters at most
_OWN_PREFIXES: Final = (_POSITION, _RUN, _EXPERIMENT, _CHILD_OF, _APPLIED, _RANK)
_OWN: Final = frozenset(
    {
        RUN_ID,
        TENANT_ID,
        EXPERIMENT_ID,
        EXPERIMENT_NAME,
        PARENT_RUN_ID,
        STATUS,
        PARAM_CONFLICTS,
        DUPLICATE_OF,
        DELETED,
        CANARY,
        END_REASON,
        FILLED,
    }
)


def run_lookup(run_id: str) -> str:
    """The tag (value `1`) by whose key MLflow finds the run: a look-up by key is flat, one by value is not."""
    return _RUN + run_id


def experiment_lookup(experiment_id: str) -> str:
    """The tag (value `1`) that an experiment has for its own id and for each id it was met by under another name."""
    return _EXPERIMENT + experiment_id


def child_of(parent_run_id: str) -> str:
    """The tag (value `1`) by whose key a parent finds the runs that named it before it was there."""
    return _CHILD_OF + parent_run_id


def applied(producer_id: str) -> str:
    """The tag whose value is the highest number of this producer's entries that was applied to the run."""
    return _APPLIED + producer_id


def position(cluster_id: str, topic: str, partition: int) -> str:
    """The tag of MLflow's first experiment that says how far a partition was applied."""
    name = topic if len(topic) <= _TOPIC_MAX else hashlib.sha256(topic.encode()).hexdigest()
    return f"{_POSITION}{cluster_id}.{name}.{partition}"


def rank(number: int) -> str:
    """The tag that says how a rank ended that is not the run's owner."""
    return f"{_RANK}{number}"


def marks(stored: dict[str, str]) -> dict[str, int]:
    """The highest applied number by producer, from a run's tags."""
    found = ((key[len(_APPLIED) :], value) for key, value in stored.items() if key.startswith(_APPLIED))
    return {producer: int(value) for producer, value in found if value.lstrip("-").isdecimal()}


def is_own(key: str) -> bool:
    """Whether only the worker writes this tag: a producer's value for it is refused."""
    return key in _OWN or key.startswith(_OWN_PREFIXES)
