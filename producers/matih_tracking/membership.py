"""Which run a process logs into, and whether it decides how that ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matih_schemas.identity import new_run_id, run_id_from, shared_run_id

if TYPE_CHECKING:
    from matih_tracking.ranks import Place, Shared


class Membership(NamedTuple):
    """A process's part in a run.

    Attributes:
        run_id: 32 hexadecimal characters.
        owner: this process decides how the run ends: the sole writer, or rank 0.
        rank: its place in the job, None outside one.
        warning: for people; empty if there is nothing to say.
    """

    run_id: str
    owner: bool = True
    rank: int | None = None
    warning: str = ""


class Asked(NamedTuple):
    """What somebody starts: the same in all ranks of a job. `nth`: the how-maniest of these in this process."""

    tenant: str
    experiment: str
    run_name: str
    nth: int = 1


def join(asked: Asked, given: str | None, mine: Place, shared: Shared | None) -> Membership:
    """The run: the one given, else the one that the job's ranks share, else one of its own."""
    owner = mine.rank in {None, 0}
    if given:
        return Membership(run_id_from(given, asked.tenant), owner, mine.rank)
    if shared:
        run_id = shared_run_id(asked.tenant, asked.experiment, asked.run_name, shared.token, asked.nth)
        return Membership(run_id, owner, mine.rank)
    return Membership(new_run_id(), rank=mine.rank, warning=_alone(mine) if mine.size > 1 else "")


def _alone(mine: Place) -> str:
    return (
        f"{mine.launcher} says that this is rank {mine.rank} of {mine.size}, but nothing names the job, so this rank "
        "logs into a run of its own. To log into one run, start the job with `matih run -- ...`, set MATIH_RUN_ID to "
        "the same new id for all ranks, or start the run after torch.distributed is initialised"
    )
