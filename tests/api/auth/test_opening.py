"""Which door there is, by the settings; and where an open one may stand."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError
from tests.api.auth.asking import ask, ask_with

from matih_api.auth.addresses import is_loopback
from matih_api.auth.opening import is_open, make_authenticator, open_mode_refusal
from matih_api.auth.principal import ANYBODY
from matih_api.auth.settings import AuthSettings, auth_settings
from matih_kafka.errors import InvalidSettings

JWT = {
    "api_jwks_url": "https://login.example.org/keys",
    "api_jwt_issuer": "https://login.example.org",
    "api_jwt_audience": "matih",
}


@pytest.mark.parametrize("authorization", [None, "", "garbage", "Bearer matih_x"])
def test_without_credentials_anybody_is_let_in(tmp_path, authorization):
    settings = AuthSettings(home=tmp_path)
    assert is_open(settings)
    assert ask(make_authenticator(settings), authorization) is ANYBODY


def test_a_tokens_file_in_matih_home_closes_the_door(tmp_path, new_token, tokens_file):
    token = new_token().token
    settings = AuthSettings(home=tokens_file.parent)
    assert not is_open(settings)
    assert ask(make_authenticator(settings), None).status == 401
    assert ask_with(make_authenticator(settings), token).actor == "ada"


def test_a_tokens_file_that_is_named_has_to_be_there(tmp_path):
    settings = AuthSettings(api_tokens_file=tmp_path / "tokens.json")
    assert not is_open(settings)
    with pytest.raises(InvalidSettings, match=r"tokens\.json: No such file.*matih tenants create"):
        make_authenticator(settings)


def test_a_link_that_leads_nowhere_does_not_open_the_door(tmp_path):
    (tmp_path / "tokens.json").symlink_to(tmp_path / "gone")
    assert not is_open(AuthSettings(home=tmp_path))
    with pytest.raises(InvalidSettings):
        make_authenticator(AuthSettings(home=tmp_path))


def test_a_home_that_can_not_be_looked_at_does_not_open_the_door(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not is_open(AuthSettings(home=tmp_path / "loop"))


def test_jwts_close_the_door(tmp_path):
    settings = AuthSettings(home=tmp_path, **JWT)
    assert not is_open(settings)
    assert ask(make_authenticator(settings), None).status == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "localhost", "LOCALHOST", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_the_loopback(host):
    assert is_loopback(host)
    assert open_mode_refusal(host, "loopback") is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "127.1",
    ],
)
def test_what_others_reach(host):
    refusal = open_mode_refusal(host, "loopback")
    assert refusal is not None
    assert "matih tenants token" in refusal
    assert "MATIH_API_OPEN=anywhere" in refusal
    assert open_mode_refusal(host, "anywhere") is None


def test_settings_of_the_environment(monkeypatch):
    for name, value in JWT.items():
        monkeypatch.setenv(f"MATIH_{name.upper()}", value)
    monkeypatch.setenv("MATIH_API_TOKENS_FILE", "/run/tokens")
    monkeypatch.setenv("MATIH_API_OPEN", "anywhere")
    settings = auth_settings()
    assert (settings.audiences, str(settings.tokens_path)) == (("matih",), "/run/tokens")
    assert settings.api_open == "anywhere"


def test_an_empty_environment(monkeypatch):
    assert not [name for name in os.environ if name.startswith("MATIH_API")]
    assert str(auth_settings().tokens_path) == ".matih/tokens.json"
    assert auth_settings().api_jwt_actor_claim == "sub"


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.org/keys",
        "http://10.0.0.1/keys",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "https:///keys",
        "keys",
        "https://user:hush@login.example.org/keys",
        "https://login.example.org/keys#x",
        "http://127.0.0.1.example.org/keys",
        "https://[::1/keys",
    ],
)
def test_keys_come_by_https_or_from_this_machine(monkeypatch, url):
    for name, value in (JWT | {"api_jwks_url": url}).items():
        monkeypatch.setenv(f"MATIH_{name.upper()}", value)
    with pytest.raises(InvalidSettings, match="MATIH_API_JWKS_URL") as caught:
        auth_settings()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/keys", "http://[::1]/keys", "https://login.example.org:8443/keys?v=2"]
)
def test_addresses_that_may_be(url):
    assert AuthSettings(**JWT | {"api_jwks_url": url}).api_jwks_url == url


@pytest.mark.parametrize("missing", JWT)
def test_half_of_the_jwt_settings_is_told_and_never_open(missing):
    with pytest.raises(ValidationError, match=f"MATIH_{missing.upper()}"):
        AuthSettings(**{name: value for name, value in JWT.items() if name != missing})


def test_an_audience_of_commas_is_none():
    with pytest.raises(ValidationError, match="MATIH_API_JWT_AUDIENCE"):
        AuthSettings(**JWT | {"api_jwt_audience": " , "})
