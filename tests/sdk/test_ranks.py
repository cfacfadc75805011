"""Ranks of one job come to one run, two jobs never do: with the environments that launchers give."""

from __future__ import annotations

import pytest
from tests.sdk import environments as env

from matih_tracking.membership import Asked, join
from matih_tracking.ranks import Place, given_run_id, place, shared

ASKED = Asked("default", "mnist", "baseline")
LAUNCHER, OTHER_LAUNCHER = "host/boot/100/5000", "host/boot/222/7000"


def token(environment, *, parent=LAUNCHER, group=None):
    found = shared(environment, place(environment), lambda: group, lambda: parent)
    return found and found.token


def test_a_process_on_its_own():
    assert place({"HOME": "/root"}) == Place()
    assert token({}, group="g") is None
    member = join(ASKED, None, Place(), None)
    assert (member.owner, member.rank, member.warning) == (True, None, "")
    assert member.run_id != join(ASKED, None, Place(), None).run_id


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        (env.torchrun(3), "torchrun"),
        (env.deepspeed(3), "deepspeed"),
        (env.srun(3), "srun"),
        (env.srun_pmix(3), "srun"),
        (env.srun_pmi2(3), "srun"),
        (env.hydra(3), "mpiexec"),
        ({"PMI_RANK": "3", "PMI_SIZE": "4"}, "mpiexec"),
        (env.openmpi4(3), "openmpi"),
        (env.openmpi5(3), "openmpi"),
        (env.kubernetes(3), "environment"),
        ({**env.srun(1, 2), **env.torchrun(3, local=2)}, "torchrun"),
        ({**env.srun(3), "RANK": "3", "WORLD_SIZE": "4"}, "environment"),
    ],
)
def test_the_innermost_launcher_says_who_i_am(environment, launcher):
    mine = place(environment)
    assert (mine.launcher, mine.rank, mine.size) == (launcher, 3, 4)


@pytest.mark.parametrize(
    "environment",
    [
        env.slurm_batch(),  # sbatch's script: SLURM_NTASKS is large, but only this one runs
        env.torchrun(0, 1),
        {**env.srun(2), **env.torchrun(0, 1)},  # a sweep: each task of the step is a job of its own
        env.srun(0, 1),
        {"WORLD_SIZE": "4"},
        {"RANK": "x", "WORLD_SIZE": "4"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "-1", "WORLD_SIZE": "4"},
        {"RANK": "\N{SUPERSCRIPT TWO}", "WORLD_SIZE": "4"},
    ],
)
def test_a_job_of_one_shares_nothing(environment):
    assert place(environment) == Place()
    assert token(environment, group="g") is None


JOBS = {
    "torchrun with an id": lambda r: env.torchrun(r, local=2, run_id="job-7", address="node1"),
    "torchrun with an id, two SLURM steps": lambda r: {
        **env.srun(0, 1, step=str(r // 2)),
        **env.torchrun(r, local=2, run_id="job-7"),
    },
    "torchrun without an id, one host": lambda r: env.torchrun(r),
    "torchrun without an id, nodes in SLURM": lambda r: {
        **env.srun(r // 2, 2),
        **env.torchrun(r, local=2, address="node1"),
    },
    "srun": env.srun,
    "srun pmix": env.srun_pmix,
    "srun pmi2": env.srun_pmi2,
    "srun with RANK": lambda r: {**env.srun(r), "RANK": str(r), "WORLD_SIZE": "4", "MASTER_ADDR": "node1"},
    "hydra, one host": env.hydra,
    "openmpi 4": env.openmpi4,
    "openmpi 4, nodes": lambda r: env.openmpi4(r, local=2) | {"PMIX_SERVER_URI2": f"node{r // 2}"},
    "openmpi 5": env.openmpi5,
    "openmpi 5, nodes": lambda r: env.openmpi5(r, local=2) | {"PMIX_SERVER_URI41": f"node{r // 2}"},
    "deepspeed, one host": env.deepspeed,
}


@pytest.mark.parametrize("job", JOBS)
def test_all_ranks_of_a_job_come_to_one_run_and_rank_0_owns_it(job):
    members = []
    for rank in range(4):
        environment = JOBS[job](rank)
        mine = place(environment)
        members.append(join(ASKED, None, mine, shared(environment, mine, lambda: None, lambda: LAUNCHER)))
    assert len({member.run_id for member in members}) == 1
    assert [(member.rank, member.owner) for member in members] == [(0, True), (1, False), (2, False), (3, False)]
    assert not any(member.warning for member in members)


TWO_JOBS = {
    "torchrun, ids": (env.torchrun(1, run_id="a"), env.torchrun(1, run_id="b")),
    "torchrun, the same id in two SLURM jobs": (
        {**env.slurm_batch("1"), **env.torchrun(1, run_id="100")},
        {**env.slurm_batch("2"), **env.torchrun(1, run_id="100")},
    ),
    "srun, jobs": (env.srun(1, job="1"), env.srun(1, job="2")),
    "srun, steps": (env.srun(1, step="0"), env.srun(1, step="1")),
    "srun, clusters": (env.srun(1), env.srun(1) | {"SLURM_CLUSTER_NAME": "other"}),
    "torchruns of four tasks in one step, two at a time": (
        {**env.srun(0), **env.torchrun(1, local=2, address="node1")},
        {**env.srun(2), **env.torchrun(1, local=2, address="node3")},
    ),
    "openmpi 4": (env.openmpi4(1), env.openmpi4(1, job="77")),
    "openmpi 4, a job number that came back": (env.openmpi4(1, local=2), env.openmpi4(1, local=2, port="5")),
    "openmpi 5, a pid that came back": (env.openmpi5(1), env.openmpi5(1, port="6")),
}


@pytest.mark.parametrize("jobs", TWO_JOBS)
def test_two_jobs_never_share(jobs):
    one, other = TWO_JOBS[jobs]
    assert token(one) is not None
    assert token(one) != token(other)


@pytest.mark.parametrize(
    "environment",
    [
        env.torchrun(1),
        env.torchrun(1, run_id=""),
        env.torchrun(1, run_id="None"),
        env.hydra(1),
        env.deepspeed(1),
        {**env.srun(1, 8), **env.torchrun(1)},  # eight torchruns in one step, each a job of its own
        {**env.srun(0, 1), **env.torchrun(1)},  # one torchrun after the other in an interactive step
        {**env.srun_pmix(0, 2), **env.torchrun(1)},
    ],
)
def test_two_jobs_on_one_host_without_a_name_are_told_apart_by_their_launchers(environment):
    assert token(environment) is not None
    assert token(environment) != token(environment, parent=OTHER_LAUNCHER)
    assert token(environment, parent=None) is None


@pytest.mark.parametrize(
    "environment",
    [
        env.kubernetes(1),
        env.torchrun(1, local=2, address="node1"),
        env.hydra(1, local=2),
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"},  # by hand: the parent may be anybody's shell
    ],
)
def test_where_nothing_names_the_job_each_rank_has_its_own_run_and_says_so(environment):
    mine = place(environment)
    assert token(environment) is None
    member = join(ASKED, None, mine, None)
    assert member.owner
    assert f"rank 1 of {mine.size}" in member.warning
    assert "MATIH_RUN_ID" in member.warning
    assert token(environment, group="of the process group") == "of the process group"


def test_torch_distributed_comes_before_the_parent_and_after_the_launchers_name():
    assert token(env.torchrun(1), group="g") == "g"
    assert token(env.torchrun(1, run_id="a"), group="g") != "g"


def test_the_nth_run_of_a_name_is_another_run_and_the_same_in_all_ranks():
    mine, common = place(env.srun(1)), shared(env.srun(1), place(env.srun(1)), lambda: None, lambda: None)
    first = join(Asked("default", "mnist", "a", 1), None, mine, common)
    assert first == join(Asked("default", "mnist", "a", 1), None, mine, common)
    others = [
        Asked("default", "mnist", "a", 2),
        Asked("default", "mnist", "b"),
        Asked("default", "x", "a"),
        Asked("t", "mnist", "a"),
    ]
    assert len({first.run_id, *(join(asked, None, mine, common).run_id for asked in others)}) == 5


def test_a_given_id_wins_and_is_hashed_with_the_tenant_unless_it_is_one():
    mine = place(env.srun(2))
    member = join(ASKED, "0" * 31 + "A", mine, None)
    assert (member.run_id, member.owner, member.rank) == ("0" * 31 + "a", False, 2)
    word = join(ASKED, "nightly", Place(), None).run_id
    assert word == join(ASKED, "nightly", mine, None).run_id
    assert word != join(Asked("acme", "mnist", "baseline"), "nightly", mine, None).run_id


def test_matih_run_id_holds_for_the_first_run_and_not_for_children():
    assert given_run_id({"MATIH_RUN_ID": " nightly "}) == "nightly"
    assert given_run_id({"MATIH_RUN_ID": "nightly", "MATIH_RUN_ID_USED_BY": "12,3456"}) is None
    assert given_run_id({"MATIH_RUN_ID": ""}) is None
    assert given_run_id({}) is None
