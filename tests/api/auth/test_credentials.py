"""The table: what is no good credential, asked of tokens, of JWTs and of both; and what is one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.auth.asking import ask, ask_with
from tests.api.auth.issuer import AUDIENCE, claims, jwk, private_key, public_pem, signed
from tests.waiting import until

from matih_api.auth import jwt as judging
from matih_api.auth.opening import make_authenticator
from matih_api.auth.principal import Principal, Role
from matih_api.problems import Problem


def segment(value) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(algorithm="none"):
    return f"{segment({'alg': algorithm, 'typ': 'JWT', 'kid': 'one'})}.{segment(claims())}."


def by_public_key(algorithm="HS256", secret=None):
    """Signed with what everybody knows, as if it were a shared secret (PyJWT refuses to do that, so by hand)."""
    said = f"{segment({'alg': algorithm, 'kid': 'one'})}.{segment(claims())}"
    return f"{said}.{segment(hmac.new(secret or public_pem('RS256'), said.encode(), hashlib.sha256).digest())}"


def with_header(**header):
    return jwt.encode(claims(), private_key("RS256"), "RS256", {"kid": "one"} | header)


def tampered():
    head, _, tail = signed().split(".")
    return f"{head}.{segment(claims(tenant_id='team-b'))}.{tail}"


NOW = int(time.time())
MALFORMED = {
    "nothing": None,
    "empty": "",
    "blank": "  ",
    "wrong scheme": "Basic YWRhOmh1c2g=",
    "no scheme": "garbage",
    "bare scheme": "Bearer",
    "scheme and blank": "Bearer   ",
    "two credentials": "Bearer a b",
    "not ASCII": "Bearer h\xfcsh",
    "control characters": "Bearer a\x00b",
    "too long": "Bearer " + "a" * 20_000,
    "garbage": "Bearer garbage",
    "dots": "Bearer ..",
    "deep JSON": f"Bearer {segment(b'[' * 5000)}.{segment(b'{}')}.AAAA",
    "token without a secret": "Bearer matih_0123456789abcdef_",
    "token that nobody has": "Bearer matih_0123456789abcdef_" + "A" * 43,
    "token with a short id": "Bearer matih_01_" + "A" * 43,
}
JWTS = {
    "expired": lambda: signed(exp=NOW - 31),
    "not valid yet": lambda: signed(nbf=NOW + 3600),
    "issued in the future": lambda: signed(iat=NOW + 3600),
    "no exp": lambda: signed(exp=None),
    "exp that is no number": lambda: signed(exp="soon"),
    "infinite exp": lambda: signed(exp=float("inf")),
    "wrong issuer": lambda: signed(iss="https://evil.example.org"),
    "a part of the issuer": lambda: signed(iss="https://login"),
    "no issuer": lambda: signed(iss=None),
    "wrong audience": lambda: signed(aud="another-service"),
    "no audience": lambda: signed(aud=None),
    "no audiences": lambda: signed(aud=[]),
    "no actor": lambda: signed(sub=None),
    "actor with a newline": lambda: signed(sub="ada\nroot"),
    "alg none": unsigned,
    "alg None": lambda: unsigned("None"),
    "HS256 with the public key": by_public_key,
    "HS256 with nothing": lambda: by_public_key(secret=b"\0"),
    "RS256 that is HS256": lambda: by_public_key("RS256"),
    "unknown kid": lambda: signed("nobody's"),
    "no kid and another key": lambda: signed(None, nth=1),
    "another key": lambda: signed(nth=1),
    "key of another kind": lambda: signed(algorithm="ES256"),
    "changed": tampered,
    "crit": lambda: with_header(crit=["exp"], exp=1),
    "kid that is no text": lambda: unsigned().replace(
        unsigned().split(".")[0], segment({"alg": "RS256", "kid": ["one"]})
    ),
    "key in the header": lambda: jwt.encode(claims(), private_key("RS256", 1), "RS256", {"jwk": jwk(None, nth=1)}),
}
DOORS = ["tokens", "jwts", "both"]


@pytest.fixture
def door(request):
    return request.getfixturevalue(request.param)


def refused(answer, status=401):
    assert isinstance(answer, Problem)
    assert answer.status == status, answer.detail
    if status == 401:
        assert answer.headers == {"WWW-Authenticate": 'Bearer realm="matih"'}
    return True


@pytest.mark.parametrize("door", DOORS, indirect=True)
@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_credential_is_401(door, case):
    assert refused(ask(door, MALFORMED[case]))


@pytest.mark.parametrize("door", DOORS, indirect=True)
@pytest.mark.parametrize("case", JWTS)
def test_a_bad_jwt_is_401(door, case):
    assert refused(ask_with(door, JWTS[case]()))


@pytest.mark.parametrize("door", ["jwts", "both"], indirect=True)
def test_a_good_jwt_says_who_it_is(door):
    assert ask_with(door, signed()) == Principal("ada", {"team-a": Role.READER})
    assert ask(door, f"bEaReR  {signed()}") == Principal("ada", {"team-a": Role.READER})


@pytest.mark.parametrize("door", ["tokens", "both"], indirect=True)
def test_a_good_token_says_who_it_is(door, new_token):
    made = new_token("robot", team_a="writer", team_b="admin")
    wanted = Principal("robot", {"team-a": Role.WRITER, "team-b": Role.ADMIN})
    door._tokens._looked_at = float("-inf")
    assert ask_with(door, made.token) == wanted


def test_the_table_is_not_refused_for_its_key():
    """What is broken in these JWTs is what they say it is: signed so, a good one is let in."""
    assert jwt.decode(with_header(), public_pem("RS256"), ["RS256"], audience=AUDIENCE)["sub"] == "ada"


def test_the_other_kind_is_not_accepted_where_it_is_not_configured(tokens, jwts, new_token):
    assert refused(ask_with(tokens, signed()))
    assert refused(ask_with(jwts, new_token().token))


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": None},
        {"tenant_id": []},
        {"tenant_id": {}},
        {"tenant_id": "no tenant"},
        {"tenant_id": 7},
        {"tenant_id": {"team-a": "owner"}},
        {"role": "owner"},
        {"role": []},
    ],
)
def test_a_jwt_that_grants_nothing_is_403(jwts, changes):
    assert refused(ask_with(jwts, signed(**changes)), 403)


@pytest.mark.parametrize("door", ["jwts", "both"], indirect=True)
def test_the_clocks_may_differ_by_half_a_minute(door):
    now = int(time.time())
    assert ask_with(door, signed(exp=now - 20)).actor == "ada"
    assert ask_with(door, signed(iat=now + 20, nbf=now + 20)).actor == "ada"


def test_a_jwt_that_was_good_is_refused_once_it_has_expired(jwts):
    """It is remembered; by the clock's own time, for PyJWT takes no other."""
    credential = signed(exp=int(time.time()) - 26)
    assert ask_with(jwts, credential).actor == "ada"
    until(lambda: not isinstance(ask_with(jwts, credential), Principal), "the JWT expires", 10)
    assert refused(ask_with(jwts, credential))


def test_what_is_remembered_is_bounded_and_told_apart(jwts, monkeypatch):
    monkeypatch.setattr(judging, "KNOWN_MAX", 3)
    for _ in range(2):
        for nth in range(5):
            said = ask_with(jwts, signed(sub=f"user-{nth}", tenant_id=f"team-{nth}", role="admin"))
            assert said == Principal(f"user-{nth}", {f"team-{nth}": Role.ADMIN})
    assert len(jwts._jwts._known) == 3


def test_one_of_several_audiences_is_enough(jwt_settings):
    door = make_authenticator(jwt_settings(api_jwt_audience=f"other, {AUDIENCE}"))
    assert ask_with(door, signed(aud=["x", "other"])).actor == "ada"
    assert refused(ask_with(door, signed(aud="x")))


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
def test_each_algorithm_of_the_list_is_taken(issuer, jwts, algorithm):
    issuer.document = {"keys": [jwk("one", algorithm)]}
    assert ask_with(jwts, signed(algorithm=algorithm)).actor == "ada"


def test_a_key_is_good_for_the_algorithm_that_it_says_only(issuer, jwts):
    issuer.document = {"keys": [jwk("one", alg="RS512")]}
    assert refused(ask_with(jwts, signed(algorithm="RS256")))
    assert ask_with(jwts, signed(algorithm="RS512")).actor == "ada"


def test_the_header_leads_to_no_address(issuer, jwts):
    """SSRF: `jku` and `x5u` are the bearer's own words."""
    answer = ask_with(jwts, with_header(kid="elsewhere", jku=f"{issuer.url}/jku", x5u=f"{issuer.url}/x5u"))
    assert refused(answer)
    assert issuer.asked == 1  # the address of the settings


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(), st.text("abcDEF019._-=", max_size=90), st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_whatever_is_sent_is_a_401(both, text):
    assert refused(ask(both, text))
    assert refused(ask(both, f"Bearer {text}"))
    assert refused(ask(both, f"Bearer matih_{text}"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(["iss", "aud", "sub", "exp", "iat", "nbf", "tenant_id", "role", "jti"]),
)
def test_whatever_an_issuer_signs_is_an_answer(jwts, value, name):
    try:
        credential = jwt.encode(claims() | {name: value}, private_key("RS256"), "RS256", {"kid": "one"})
    except (TypeError, ValueError):
        return  # PyJWT does not sign it
    answer = ask_with(jwts, credential)
    assert isinstance(answer, Principal) or answer.status in (401, 403)
