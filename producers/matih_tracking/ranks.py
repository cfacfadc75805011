"""Who am I in this job, and which run do its ranks share? Pure functions of an environment.

Ranks never guess: they share a run only where the launcher says that the job is larger than one process, and where
something names this very job. Strangers are never merged: where nothing does, each rank has a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

Environment = Mapping[str, str]

RUN_ID: Final = "MATIH_RUN_ID"
RUN_ID_USED_BY: Final = "MATIH_RUN_ID_USED_BY"


class Launcher(NamedTuple):
    """How a launcher tells its processes who they are: the names of its variables.

    `local_size`, the number of ranks on this host, is part of how it is recognised; "" where it does not tell.
    """

    name: str
    rank: str
    size: str
    local_size: str = ""


# The innermost first: torchrun started by srun speaks for its processes, not the step around it.
LAUNCHERS: Final = (
    Launcher("torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    Launcher("deepspeed", "RANK", "WORLD_SIZE", "LOCAL_SIZE"),
    Launcher("environment", "RANK", "WORLD_SIZE"),
    Launcher("openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    Launcher("mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    Launcher("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    Launcher("mpiexec", "PMI_RANK", "PMI_SIZE"),
)
_TORCH_LIKE: Final = frozenset({"torchrun", "deepspeed", "environment"})


class Place(NamedTuple):
    """A process's place in its job.

    Attributes:
        launcher: who says so, "" for a process on its own.
        rank: from 0; None for a process on its own.
        size: processes in the job.
        one_host: the launcher says that all of them are on this host.
    """

    launcher: str = ""
    rank: int | None = None
    size: int = 1
    one_host: bool = False


class Shared(NamedTuple):
    """What the ranks of a job have in common: equal in all of them, in no other job. `kind` says what it is."""

    kind: str
    token: str


def place(env: Environment) -> Place:
    """The process's place, by the innermost launcher that speaks; on its own if that says the size is 1."""
    for launcher in LAUNCHERS:
        rank, size = _number(env, launcher.rank), _number(env, launcher.size)
        local = _number(env, launcher.local_size)
        if rank is None or size is None or rank >= size or (launcher.local_size and local is None):
            continue
        return Place(launcher.name, rank, size, local == size) if size > 1 else Place()
    return Place()


def given_run_id(env: Environment) -> str | None:
    """MATIH_RUN_ID, if neither this process nor one above it has used it for a run: it holds for one run only."""
    if env.get(RUN_ID_USED_BY, ""):
        return None
    return env.get(RUN_ID, "").strip() or None


def shared(
    env: Environment, mine: Place, group: Callable[[], str | None], parent: Callable[[], str | None]
) -> Shared | None:
    """What this job's ranks share; None on its own, and where nothing names the job.

    Args:
        env: the process's environment.
        mine: its place in the job.
        group: a word that all ranks of an initialised torch.distributed agree on; None without one.
        parent: (host, boot, pid, start time) of the process that launched this one; None if that can't be told.
    """
    if mine.size <= 1:
        return None
    named = _named(env, mine)
    if named:
        return named
    agreed = group()
    if agreed:
        return Shared("torch.distributed", agreed)
    launched_by = parent() if mine.one_host else None
    return Shared("parent", launched_by) if launched_by else None


def _named(env: Environment, mine: Place) -> Shared | None:
    """The launcher's own name for the job, if it has one that no other job has."""
    if mine.launcher == "torchrun" and _torchrun_id(env):
        # Unique within a SLURM job, if there is one; its steps may hold a part of the job each.
        return _joined("torchrun", _torchrun_id(env), env.get("SLURM_CLUSTER_NAME", ""), _slurm_job(env))
    if mine.launcher == "openmpi":
        return _pmix(env, mine)
    if mine.launcher in _TORCH_LIKE:
        # A step may run one such job after the other, or one per task: a host's is known by its launcher's process.
        return None if mine.one_host else _slurm(env, env.get("MASTER_ADDR", ""), env.get("MASTER_PORT", ""))
    return _slurm(env) or _pmix(env, mine)


def _slurm(env: Environment, *part: str) -> Shared | None:
    step = env.get("SLURM_STEP_ID") or env.get("SLURM_STEPID")
    if not _slurm_job(env) or not step or (_number(env, "SLURM_STEP_NUM_TASKS") or 0) <= 1:
        return None
    return _joined("slurm", env.get("SLURM_CLUSTER_NAME", ""), _slurm_job(env), step, *part)


def _pmix(env: Environment, mine: Place) -> Shared | None:
    job = env.get("PMIX_NAMESPACE") or env.get("OMPI_MCA_ess_base_jobid")
    if not job:
        return None
    # The job's name comes of a hash or a pid, which return after some hundred jobs: mpirun's address does not.
    servers = [env[name] for name in sorted(env) if name.startswith("PMIX_SERVER_URI")] if mine.one_host else []
    return _joined("pmix", job, env.get("OMPI_MCA_orte_hnp_uri", ""), *servers)


def _torchrun_id(env: Environment) -> str:
    given = env.get("TORCHELASTIC_RUN_ID", "").strip()
    return "" if given.lower() == "none" else given  # torchrun's default is the word "none", for every job


def _slurm_job(env: Environment) -> str:
    return env.get("SLURM_JOB_ID") or env.get("SLURM_JOBID") or ""


def _joined(kind: str, *parts: str) -> Shared:
    return Shared(kind, "".join(f"{len(part)}:{part}" for part in (kind, *parts)))


def _number(env: Environment, name: str) -> int | None:
    text = env.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
