"""SPEC: "Tenant: credential, then X-Tenant-ID, then ?tenant_id=", line by line, and for all principals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.auth.principal import ANYBODY, Principal, Role
from matih_api.problems import Problem, not_found
from matih_api.tenancy import named_tenant, require, tenants_for_ids

NONE, ONE, TWO = Principal("x"), Principal("x", {"a": Role.WRITER}), Principal("x", {"a": Role.READER, "b": Role.ADMIN})
TENANTS = ["a", "b", "c"]
NAMED = st.none() | st.sampled_from(TENANTS)
GRANTS = st.dictionaries(st.sampled_from(TENANTS), st.sampled_from(Role))
PRINCIPALS = st.just(ANYBODY) | GRANTS.map(lambda grants: Principal("x", grants))


def problem(function, *arguments):
    with pytest.raises(Problem) as caught:
        function(*arguments)
    return caught.value


def test_the_credential_says_it():
    assert named_tenant(ONE, None, None, "default") == "a"
    assert tenants_for_ids(ONE, None, None) == {"a"}
    assert tenants_for_ids(TWO, None, None) == {"a", "b"}
    assert tenants_for_ids(NONE, None, None) == frozenset()


def test_the_header_and_the_query_choose_among_what_is_granted():
    assert named_tenant(TWO, "b", None, "default") == named_tenant(TWO, None, "b", "default") == "b"
    assert named_tenant(TWO, "b", "b", "default") == "b"
    assert tenants_for_ids(TWO, "b", None) == tenants_for_ids(TWO, None, "b") == {"b"}


@pytest.mark.parametrize("principal", [ANYBODY, TWO, NONE])
def test_header_against_query_that_differ_400(principal):
    for function in (named_tenant, tenants_for_ids):
        arguments = (principal, "a", "b") + (("default",) if function is named_tenant else ())
        said = problem(function, *arguments)
        assert (said.status, said.kind) == (400, "contradictory-tenants")
        assert [error.loc for error in said.errors] == [("header", "X-Tenant-ID"), ("query", "tenant_id")]


def test_one_that_the_credential_does_not_grant_403():
    assert problem(named_tenant, ONE, "b", None, "b").status == 403
    assert problem(named_tenant, ONE, None, "b", "b").status == 403
    assert problem(tenants_for_ids, ONE, "b", None).status == 403
    assert problem(named_tenant, NONE, None, None, "default").status == 403


def test_several_granted_and_none_named_400():
    said = problem(named_tenant, TWO, None, None, "a")
    assert (said.status, said.kind) == (400, "tenant-needed")


def test_in_open_mode_ids_lead_to_their_own_tenant_and_the_rest_to_matih_tenant():
    assert tenants_for_ids(ANYBODY, None, None) is None
    assert tenants_for_ids(ANYBODY, "c", None) == {"c"}
    assert named_tenant(ANYBODY, None, None, "default") == "default"
    assert named_tenant(ANYBODY, None, "c", "default") == "c"


@pytest.mark.parametrize("name", ["", " ", "a/b", "-a", "a b", "a" * 64, "a\n", "\u00e4", "*", "../a"])
@pytest.mark.parametrize("principal", [ANYBODY, ONE])
def test_what_is_no_tenant_name_422(principal, name):
    for where, arguments in ((("header", "X-Tenant-ID"), (name, None)), (("query", "tenant_id"), (None, name))):
        said = problem(tenants_for_ids, principal, *arguments)
        assert (said.status, [error.loc for error in said.errors]) == (422, [where])
        assert problem(named_tenant, principal, *arguments, "default").status == 422


def test_a_tenant_that_is_not_granted_looks_like_one_that_is_not_there():
    said = problem(require, ONE, "b", Role.READER, "experiment", "1234")
    missing = not_found("experiment", "1234")
    assert said.body("/x", "r") == missing.body("/x", "r")
    assert "'b'" not in said.detail


def test_a_lesser_role_is_403():
    require(TWO, "b", Role.ADMIN)
    require(TWO, "a", Role.READER)
    said = problem(require, TWO, "a", Role.WRITER, "experiment", "1234")
    assert (said.status, said.detail) == (403, "this needs the role writer for tenant 'a', the credential has reader")


@given(PRINCIPALS, NAMED, NAMED)
def test_nobody_gets_a_tenant_that_is_not_granted(principal, header, query):
    try:
        tenant = named_tenant(principal, header, query, "default")
    except Problem as said:
        assert said.status in (400, 403)
    else:
        assert principal.role(tenant) is not None
        assert {header, query} <= {None, tenant}


@given(PRINCIPALS, NAMED, NAMED)
def test_ids_are_looked_for_among_granted_tenants_only(principal, header, query):
    try:
        tenants = tenants_for_ids(principal, header, query)
    except Problem as said:
        assert said.status in (400, 403)
        return
    if tenants is None:
        assert principal.open
        return
    assert all(principal.role(tenant) is not None for tenant in tenants)
    named = {header, query} - {None}
    assert tenants == named if named else tenants == set(principal.grants)


@given(PRINCIPALS, NAMED, NAMED)
def test_both_ways_agree_where_one_tenant_is_meant(principal, header, query):
    def outcome(function, *more):
        try:
            return function(principal, header, query, *more)
        except Problem as said:
            return said.status

    one, many = outcome(named_tenant, "default"), outcome(tenants_for_ids)
    if isinstance(one, str) and many is not None:
        assert many == {one}
    if isinstance(many, int):
        assert one == many


@given(PRINCIPALS, st.sampled_from(TENANTS), st.sampled_from(Role))
def test_a_greater_role_may_all_that_a_lesser_may(principal, tenant, role):
    def passes(needed):
        try:
            require(principal, tenant, needed)
        except Problem:
            return False
        return True

    assert [passes(needed) for needed in Role] == sorted((passes(needed) for needed in Role), reverse=True)
    assert passes(role) == (principal.open or principal.grants.get(tenant, 0) >= role)
