"""Ids and names that processes agree on without talking."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from matih_schemas import identity, limits
from matih_schemas.errors import InvalidName

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=400)
TENANTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


@given(TENANTS, NAMES, TENANTS, NAMES)
def test_two_experiments_share_an_id_only_if_they_are_one(tenant: str, name: str, tenant2: str, name2: str) -> None:
    same = identity.experiment_id(tenant, name) == identity.experiment_id(tenant2, name2)
    assert same == ((tenant, name) == (tenant2, name2))


def test_the_parts_of_an_id_do_not_run_together() -> None:
    assert identity.experiment_id("a", "bc") != identity.experiment_id("ab", "c")
    assert identity.shared_run_id("t", "e", "n", "1", 12) != identity.shared_run_id("t", "e", "n", "11", 2)


def test_ids_never_change() -> None:
    # Written down once: journals, topics and MLflow's tags of every installation hold such ids.
    assert identity.experiment_id("acme", "churn") == "8f544006-da24-57a2-94d6-e6338846cc5c"
    assert identity.run_id_from("my run", "acme") == "48f03e3183c65cecb02d8aca96b8ab3b"
    assert identity.shared_run_id("acme", "churn", "", "slurm-1", 0) == "c1fb71e2389659cbb06b39a0b5fa593c"
    assert identity.event_id("r", "p", 3, "RunLogged") == "6c70d05b-7706-5617-a64f-6fe2ca798b4b"


@given(TENANTS, NAMES, TENANTS, NAMES)
def test_two_experiments_share_a_name_in_mlflow_only_if_they_are_one(t: str, n: str, t2: str, n2: str) -> None:
    one, other = identity.mlflow_experiment_name(t, n), identity.mlflow_experiment_name(t2, n2)
    assert (one == other) == ((t, n) == (t2, n2))
    assert len(one) <= limits.EXPERIMENT_NAME_MAX


@pytest.mark.parametrize(
    ("tenant", "name", "expected"),
    [
        ("acme", "churn", "acme/churn"),
        ("default", "churn", "churn"),
        ("default", "team/churn", "default/team/churn"),
        ("acme", "team/churn", "acme/team/churn"),
    ],
)
def test_the_name_in_mlflow(tenant: str, name: str, expected: str) -> None:
    assert identity.mlflow_experiment_name(tenant, name) == expected


@pytest.mark.parametrize("tenant", ["", "a/b", "-a", "_a", "a b", "a" * 64, "ä", "a\n"])
def test_what_is_no_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidName, match="letters, digits"):
        identity.check_tenant(tenant)


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb"])
def test_what_is_no_experiment_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="experiment name"):
        identity.check_experiment_name(name)


@pytest.mark.parametrize("given_id", ["0B6F2C1E9D3A4F58A1C7E2D490B35F66", "0b6f2c1e-9d3a-4f58-a1c7-e2d490b35f66"])
def test_a_run_id_is_kept_whatever_its_spelling(given_id: str) -> None:
    assert identity.run_id_from(given_id, "acme") == "0b6f2c1e9d3a4f58a1c7e2d490b35f66"


def test_another_given_id_is_hashed_with_its_tenant() -> None:
    assert identity.run_id_from("run-1", "acme") != identity.run_id_from("run-1", "other")
    assert len(identity.run_id_from("run-1", "acme")) == 32


@given(st.binary(max_size=64), st.integers(1, 64))
def test_partition_is_where_aiokafkas_own_partitioner_sends_it(key: bytes, partitions: int) -> None:
    assert identity.partition_of(key, partitions) == (aiokafka_murmur2(key) & 0x7FFFFFFF) % partitions
