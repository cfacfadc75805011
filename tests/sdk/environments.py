"""What launchers put into the environment of their processes, as far as it says who they are."""

from __future__ import annotations


def torchrun(rank, size=4, *, local=None, run_id="none", port="29500", address="localhost", restarts=0):
    """torchrun: elastic agents, one per node, each with `local` workers."""
    local = size if local is None else local
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank % local),
        "LOCAL_WORLD_SIZE": str(local),
        "GROUP_RANK": str(rank // local),
        "GROUP_WORLD_SIZE": str(size // local),
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": str(size),
        "ROLE_NAME": "default",
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "TORCHELASTIC_RESTART_COUNT": str(restarts),
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_RUN_ID": run_id,
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "OMP_NUM_THREADS": "1",
    }


def slurm_batch(job="4711", tasks=4):
    """The script of sbatch itself: a job, but no step; SLURM_NTASKS is what was asked for, not what runs."""
    return {
        "SLURM_CLUSTER_NAME": "alps",
        "SLURM_JOB_ID": job,
        "SLURM_JOBID": job,
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": str(tasks),
        "SLURM_NPROCS": str(tasks),
        "SLURM_NNODES": "2",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }


def srun(rank, tasks=4, *, job="4711", step="0"):
    """A task of a step."""
    return {
        **slurm_batch(job, tasks),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank % 2),
        "SLURM_STEP_ID": step,
        "SLURM_STEPID": step,
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
        "SLURM_MPI_TYPE": "none",
    }


def hydra(rank, size=4, *, local=None):
    """MPICH's and Intel MPI's mpiexec."""
    return {
        "PMI_RANK": str(rank),
        "PMI_SIZE": str(size),
        "PMI_FD": str(9 + rank),
        "MPI_LOCALRANKID": str(rank),
        "MPI_LOCALNRANKS": str(size if local is None else local),
        "GFORTRAN_UNBUFFERED_PRECONNECTED": "y",
    }


def openmpi4(rank, size=4, *, job="2418343937", local=None, port="41739"):
    """Open MPI 4's mpirun."""
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(size if local is None else local),
        "OMPI_MCA_ess_base_jobid": job,
        "OMPI_MCA_ess_base_vpid": str(rank),
        "OMPI_MCA_orte_hnp_uri": f"2418343936.0;tcp://10.0.0.1:{port}",
        "PMIX_NAMESPACE": job,
        "PMIX_RANK": str(rank),
        "PMIX_SERVER_URI2": f"2418343936.0;tcp4://127.0.0.1:{port}",
    }


def openmpi5(rank, size=4, *, launcher_pid=9120, local=None, port="50123"):
    """Open MPI 5's mpirun (PRRTE)."""
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(size if local is None else local),
        "PRTE_LAUNCHED": "1",
        "PMIX_NAMESPACE": f"prterun-node1-{launcher_pid}@1",
        "PMIX_RANK": str(rank),
        "PMIX_SERVER_URI41": f"prterun-node1-{launcher_pid}@0.0;tcp4://127.0.0.1:{port}",
    }


def srun_pmix(rank, tasks=4, *, job="4711", step="0"):
    """srun --mpi=pmix."""
    return {
        **srun(rank, tasks, job=job, step=step),
        "SLURM_MPI_TYPE": "pmix",
        "PMIX_NAMESPACE": f"slurm.pmix.{job}.{step}",
        "PMIX_RANK": str(rank),
    }


def srun_pmi2(rank, tasks=4, *, job="4711", step="0"):
    """srun --mpi=pmi2."""
    return {
        **srun(rank, tasks, job=job, step=step),
        "PMI_RANK": str(rank),
        "PMI_SIZE": str(tasks),
        "PMI_JOBID": f"{job}.{step}",
        "PMI_FD": "12",
    }


def deepspeed(rank, size=4, *, local=None):
    """DeepSpeed's launcher, on each node."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_SIZE": str(size if local is None else local),
        "CROSS_RANK": "0",
        "CROSS_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }


def kubernetes(rank, size=4, *, job="bert"):
    """A pod of Kubeflow's PyTorchJob."""
    return {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "HOSTNAME": f"{job}-worker-{rank}",
        "MASTER_ADDR": f"{job}-master-0",
        "MASTER_PORT": "23456",
        "WORLD_SIZE": str(size),
        "RANK": str(rank),
        "PYTHONUNBUFFERED": "1",
    }
