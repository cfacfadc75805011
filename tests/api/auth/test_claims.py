"""What claims grant, and how they are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.auth.claims import ClaimNames, claim, principal_of
from matih_api.auth.principal import Principal, Role
from matih_api.auth.roles import check_actor, grant_in, role_named, word_of
from matih_api.problems import Problem
from matih_schemas.errors import InvalidName

READER, WRITER, ADMIN = Role


@pytest.mark.parametrize(
    ("said", "grants"),
    [
        ({"tenant_id": "a"}, {"a": READER}),
        ({"tenant_id": "a", "role": "writer"}, {"a": WRITER}),
        ({"tenant_id": "a", "role": "ADMIN"}, {"a": ADMIN}),
        ({"tenant_id": "a:writer"}, {"a": WRITER}),
        ({"tenant_id": ["a", "b"], "role": "writer"}, {"a": WRITER, "b": WRITER}),
        ({"tenant_id": ["a:admin", "b"]}, {"a": ADMIN, "b": READER}),
        ({"tenant_id": ["a:reader", "a:writer", "a"]}, {"a": WRITER}),
        ({"tenant_id": ["a", "Domain Users", "/group", "b:owner", 7, None]}, {"a": READER}),
        ({"tenant_id": ["a"], "role": ["offline_access", "writer", "reader"]}, {"a": WRITER}),
        ({"tenant_id": ["a:writer", "b"], "role": "owner"}, {"a": WRITER}),
        (
            {"tenant_id": {"a": "writer", "b": ["reader", "admin"], "c": "owner", "d e": "admin"}},
            {"a": WRITER, "b": ADMIN},
        ),
        ({"tenant_id": {"a": "reader"}, "role": "admin"}, {"a": READER}),
    ],
)
def test_grants(said, grants):
    assert principal_of({"sub": "ada"} | said, ClaimNames()) == Principal("ada", grants)


def test_claims_of_other_names():
    said = {
        "sub": "0f1e",
        "https://matih.example/tenants": ["a"],
        "resource_access": {"matih": {"roles": ["writer"]}},
        "upn": "ada@example.org",
    }
    names = ClaimNames("https://matih.example/tenants", "resource_access.matih.roles", "upn")
    assert principal_of(said, names) == Principal("ada@example.org", {"a": WRITER})


def test_a_name_with_dots_goes_before_a_path():
    assert claim({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert claim({"a": {"b": 2}}, "a.b") == 2
    assert claim({"a": [1]}, "a.b") is None


@pytest.mark.parametrize("sub", [None, "", " ", 7, ["ada"], "a" * 256, "a\nb", "a\x1b[31m", "a\u2028b", "\ud800"])
def test_a_name_that_can_not_stand_in_a_log_line_is_401(sub):
    with pytest.raises(Problem) as caught:
        principal_of({"sub": sub, "tenant_id": "a"}, ClaimNames())
    assert caught.value.status == 401


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["a", "a:writer", "admin"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(VALUES, VALUES)
def test_whatever_is_claimed_grants_only_tenants_that_it_names(tenant, role):
    try:
        made = principal_of({"sub": "ada", "tenant_id": tenant, "role": role}, ClaimNames())
    except Problem as problem:
        assert problem.status == 403
        return
    named = [tenant] if isinstance(tenant, str) else list(tenant)
    assert made.grants
    assert set(made.grants) <= {str(one).partition(":")[0] for one in named}
    assert not made.open


@given(st.sampled_from(Role))
def test_words_and_roles(role):
    assert role_named(f" {word_of(role).upper()} ") is role
    assert grant_in(f"team-a:{word_of(role)}", READER) == ("team-a", role)
    assert grant_in("team-a", role) == ("team-a", role)


@pytest.mark.parametrize("text", ["", ":", "a:", ":writer", "a:owner", "a b", "a/b:writer", "a:writer:x", "-a"])
def test_what_names_no_grant(text):
    with pytest.raises(InvalidName):
        grant_in(text, READER)


def test_actors():
    assert check_actor("svc: nightly (team-a)") == "svc: nightly (team-a)"
