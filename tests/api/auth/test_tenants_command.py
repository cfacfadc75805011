"""`matih tenants create|list|token|revoke`."""

from __future__ import annotations

import json
import stat
from datetime import datetime, timedelta, timezone

import pytest
from tests.api.auth.asking import ask_with

from matih_api.auth.durations import InvalidDuration, duration
from matih_api.auth.opening import make_authenticator
from matih_api.auth.principal import Principal, Role
from matih_api.auth.settings import AuthSettings
from matih_console.main import main


@pytest.fixture
def matih(monkeypatch, tokens_file, capsys):
    """Runs one command: exit code, stdout, stderr."""
    monkeypatch.setenv("MATIH_API_TOKENS_FILE", str(tokens_file))

    def run(*words):
        capsys.readouterr()
        code = main(["tenants", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def told(matih):
    def run(*words):
        code, out, err = matih(*words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def principal(tokens_file, token):
    return ask_with(make_authenticator(AuthSettings(api_tokens_file=tokens_file)), token)


def test_the_way_of_a_platform_team(matih, tokens_file):
    assert matih("create", "team-a") == (0, "tenant team-a: created\n", "")
    assert matih("create", "team-a") == (0, "tenant team-a: is there already\n", "")
    assert matih("create", "team-b")[0] == 0
    assert stat.S_IMODE(tokens_file.stat().st_mode) == 0o600
    code, out, err = matih("token", "team-a:writer", "team-b", "--name", "nightly", "--expires", "90d")
    token = out.strip()
    assert code == 0
    assert out == f"{token}\n"  # nothing else: MATIH_API_TOKEN=$(matih tenants token ...)
    assert token not in err
    assert "the only time" in err
    assert principal(tokens_file, token) == Principal("nightly", {"team-a": Role.WRITER, "team-b": Role.READER})
    token_id = token.split("_")[1]
    code, listed, _ = matih("list")
    assert code == 0
    assert all(word in listed for word in ("team-a", "team-b", "nightly"))
    assert token.split("_", 2)[2] not in listed
    assert matih("revoke", token_id) == (0, f"token {token_id} of nightly is revoked\n", "")
    assert principal(tokens_file, token).status == 401
    code, _, err = matih("revoke", token_id)
    assert (code, err) == (1, "matih: there is no token of that id: see `matih tenants list`\n")


def test_json(told, tokens_file):
    assert told("list") == {"tenants": [], "tokens": [], "file": str(tokens_file)}
    assert told("create", "team-a") == {"tenant": "team-a", "created": True, "file": str(tokens_file)}
    assert told("create", "team-a")["created"] is False
    made = told("token", "team-a:admin", "--expires", "12h")
    assert principal(tokens_file, made["token"]).grants == {"team-a": Role.ADMIN}
    assert set(made) == {"id", "token", "name", "grants", "created_at", "expires_at"}
    assert made["name"] == f"token-{made['id']}"
    lasts = datetime.fromisoformat(made["expires_at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert timedelta(hours=11, minutes=59) < lasts <= timedelta(hours=12)
    listed = told("list")
    del made["token"]
    assert listed["tokens"] == [made | {"expired": False}]
    assert [tenant["name"] for tenant in listed["tenants"]] == ["team-a"]
    assert told("revoke", made["id"]) == {"revoked": made["id"], "name": made["name"]}
    assert told("list")["tokens"] == []


def test_a_tenant_that_is_not_noted_is_not_made_by_a_slip(matih):
    matih("create", "team-a")
    code, out, err = matih("token", "taem-a:writer")
    assert (code, out) == (1, "")
    assert err == ("matih: there is no tenant 'taem-a': `matih tenants create taem-a` makes it; did you mean team-a?\n")


@pytest.mark.parametrize(
    "words",
    [
        ("create", "a/b"),
        ("create", ""),
        ("create",),
        ("token",),
        ("token", "team-a:owner"),
        ("token", "team-a:"),
        ("token", "team-a", "team-a:writer"),
        ("token", "team-a", "--expires", "soon"),
        ("token", "team-a", "--expires", "0d"),
        ("token", "team-a", "--name", "a\nb"),
        ("token", "team-a", "--name", ""),
        ("revoke",),
        ("dance",),
    ],
)
def test_wrong_use_is_one_line_and_makes_nothing(matih, tokens_file, words):
    matih("create", "team-a")
    before = tokens_file.read_bytes()
    code, out, err = matih(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert tokens_file.read_bytes() == before


def test_a_file_that_others_may_read_is_told_with_the_remedy(matih, tokens_file):
    matih("create", "team-a")
    tokens_file.chmod(0o644)
    for words in (("list",), ("create", "b"), ("token", "team-a"), ("revoke", "0123456789abcdef")):
        code, out, err = matih(*words)
        assert (code, out) == (1, "")
        assert f"chmod 600 {tokens_file}" in err


def test_a_wrong_setting_is_told(matih, monkeypatch):
    monkeypatch.setenv("MATIH_API_OPEN", "everywhere")
    code, _, err = matih("list")
    assert code == 2
    assert "MATIH_API_OPEN" in err


def test_without_a_setting_the_file_is_in_matih_home(matih, monkeypatch, tmp_path):
    monkeypatch.delenv("MATIH_API_TOKENS_FILE")
    monkeypatch.setenv("MATIH_HOME", str(tmp_path / "home"))
    assert matih("create", "team-a")[0] == 0
    assert (tmp_path / "home" / "tokens.json").exists()
    monkeypatch.delenv("MATIH_HOME")
    monkeypatch.chdir(tmp_path)
    assert matih("create", "team-a")[0] == 0
    assert (tmp_path / ".matih" / "tokens.json").exists()


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("90d", 2160), ("4w", 672), (" 1D ", 24)])
def test_durations(text, hours):
    assert duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1.5d", "90", "1y", "999999d", "\u0661d"])
def test_what_is_no_duration(text):
    with pytest.raises(InvalidDuration):
        duration(text)
