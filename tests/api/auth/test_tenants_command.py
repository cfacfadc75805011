"""`matih tenants create|list|token|revoke`."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import stat
from datetime import datetime, timedelta, timezone

import pytest
from tests.api.auth.asking import ask_with

from matih_api.auth.durations import InvalidDuration, duration
from matih_api.auth.opening import make_authenticator
from matih_api.auth.principal import Principal, Role
from matih_api.auth.settings import AuthSettings
from matih_console.main import main
from matih_kafka.reading import topic_reader
from matih_kafka.settings import kafka_settings
from matih_schemas import codec

UNRECORDED = "is not recorded as an event: KAFKA_BOOTSTRAP_SERVERS is not set"


@pytest.fixture
def matih(monkeypatch, tokens_file, capsys):
    """Runs one command where no Kafka is configured: exit code, stdout, stderr but for the line that says so."""
    monkeypatch.setenv("MATIH_API_TOKENS_FILE", str(tokens_file))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")

    def run(*words):
        capsys.readouterr()
        code = main(["tenants", *words, *(() if words[0] == "list" else ("--reason", "asked for"))])
        said = capsys.readouterr()
        told = [line for line in said.err.splitlines(keepends=True) if not line.endswith(f"{UNRECORDED}\n")]
        return code, said.out, "".join(told)

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
    assert err == (
        "matih: there is no tenant 'taem-a': `matih tenants create taem-a --reason TEXT` makes it; "
        "did you mean team-a?\n"
    )


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


CHANGES = (("create", "team-b"), ("token", "team-a:writer"), ("revoke", "0123456789abcdef"))


@pytest.mark.parametrize("words", CHANGES, ids=lambda words: words[0])
def test_without_a_reason_nothing_is_done(matih, tokens_file, capsys, words):
    matih("create", "team-a")
    before = tokens_file.read_bytes()
    for more in ((), ("--reason", " ")):
        assert main(["tenants", *words, *more]) == 2
        assert "add --reason TEXT" in capsys.readouterr().err
    assert tokens_file.read_bytes() == before


def test_the_deployments_own_name_is_no_tenant(matih):
    code, _, err = matih("create", "matih.deployment")
    assert (code, "take another name" in err) == (2, True)


def test_it_says_that_nothing_is_recorded_without_kafka(matih, capsys):
    assert main(["tenants", "create", "team-a", "--reason", "asked for"]) == 0
    assert capsys.readouterr().err == f"matih: tenants.create {UNRECORDED}\n"


def test_nothing_is_done_while_kafka_does_not_answer(matih, tokens_file, monkeypatch, capsys):
    matih("create", "team-a")
    before = tokens_file.read_bytes()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for words in CHANGES[:2]:
        code, out, err = matih(*words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert all(part in err for part in ("nothing was done", "Kafka at 127.0.0.1:1", "--unrecorded"))
    assert tokens_file.read_bytes() == before
    code, out, err = matih("token", "team-a", "--unrecorded")
    assert (code, out.startswith("matih_")) == (0, True)
    assert "is not recorded as an event: Kafka at 127.0.0.1:1" in err
    assert out.strip() not in err


def test_each_change_is_an_event_and_no_secret_is_in_it(matih, kafka, events_topic, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", events_topic)
    for tenant in ("team-a", "team-a", "team-b"):
        assert matih("create", tenant)[0] == 0
    token = matih("token", "team-a:writer", "team-b", "--name", "nightly", "--expires", "90d")[1].strip()
    _, token_id, secret = token.split("_", 2)
    assert matih("token", "team-x")[0] == 1
    assert matih("revoke", token_id)[0] == 0
    records = asyncio.run(records_of(events_topic))
    assert not any(secret.encode() in record.value or b"sha256" in record.value for record in records)
    events = [codec.decode(record.value) for record in records]
    assert {record.key for record in records} == {b"team-a/admin", b"team-b/admin", b"matih.deployment/admin"}
    told = {(one.tenant_id, one.payload.action, one.payload.target, one.payload.reason) for one in events}
    assert told == {
        ("team-a", "tenants.create", "tenant team-a", "asked for"),
        ("team-b", "tenants.create", "tenant team-b", "asked for"),
        ("matih.deployment", "tenants.token", f"token {token_id}", "asked for"),
        ("matih.deployment", "tenants.revoke", f"token {token_id}", "asked for"),
    }
    made = next(one for one in events if one.payload.action == "tenants.token")
    assert made.payload.details.pop("expires_at")
    assert made.payload.details == {
        "token_id": token_id,
        "name": "nightly",
        "roles": "team-a:writer team-b:reader",
        "tenants": '["team-a", "team-b"]',
    }
    assert (made.actor, made.claimed_user, made.host) == (None, getpass.getuser(), socket.gethostname())


async def records_of(topic):
    async with topic_reader(kafka_settings()) as reader:
        return [record async for record in reader.scan(topic)]
