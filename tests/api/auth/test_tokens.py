"""Static tokens: what is kept of them, and that the running API sees the file change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.auth.asking import answer
from tests.waiting import until

from matih_api.auth import editing, token_file, tokens
from matih_api.auth.opening import BearerAuthenticator
from matih_api.auth.principal import Principal, Role
from matih_api.auth.token_file import TokensFileUnusable, change
from matih_api.auth.token_records import TokensFile, UnreadableTokens, mint, read_tokens, record_of, written
from matih_api.auth.tokens import LOOK_SECONDS, TokenJudge

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=timezone.utc)
MOMENTS = st.integers(946684800, 4102444800).map(lambda second: datetime.fromtimestamp(second, timezone.utc))
GRANTS = st.dictionaries(st.text("aZ9", min_size=1, max_size=9), st.sampled_from(Role), min_size=1, max_size=3)


def file_with(*grants):
    file, made = TokensFile(), []
    for one in grants:
        for tenant in one:
            file = editing.with_tenant(file, tenant, NOW)[0]
        file, new = editing.with_token(file, None, one, NOW, None)
        made.append(new)
    return file, made


@settings(max_examples=30)
@given(st.lists(GRANTS, max_size=3), MOMENTS)
def test_what_is_written_is_read(grants, moment):
    file, _ = file_with(*grants)
    file = editing.with_tenant(file, "z", moment)[0]
    file = editing.with_token(file, "ada", {"z": Role.READER}, moment, moment)[0]
    assert read_tokens(written(file)) == file


def test_only_hashes_are_kept():
    file, (made,) = file_with({"a": Role.ADMIN})
    content = written(file).decode()
    secret = made.token.split("_", 2)[2]
    assert secret not in content
    assert json.loads(content) == {
        "version": 1,
        "tenants": {"a": {"created_at": "2026-01-31T08:00:00Z"}},
        "tokens": {
            made.token_id: {
                "name": f"token-{made.token_id}",
                "sha256": hashlib.sha256(secret.encode()).hexdigest(),
                "grants": {"a": "admin"},
                "created_at": "2026-01-31T08:00:00Z",
                "expires_at": None,
            }
        },
    }


def test_tokens_have_the_form_that_is_documented_and_never_repeat():
    tokens = [mint(None, {"a": Role.READER}, NOW, None)[1] for _ in range(100)]
    assert len({token[:23] for token in tokens}) == len({token[23:] for token in tokens}) == 100
    for token in tokens:
        assert re.fullmatch(r"matih_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", token)


@given(st.data())
def test_a_token_of_which_anything_is_changed_is_nobodys(data):
    file, (made, other) = file_with({"a": Role.READER}, {"b": Role.ADMIN})
    assert record_of(file, made.token) is file.tokens[made.token_id]
    place = data.draw(st.integers(0, len(made.token) - 1))
    letter = data.draw(st.sampled_from("abcdefABCDEF0123456789-_. \n\u00e4"))
    changed = made.token[:place] + letter + made.token[place + 1 :]
    if changed != made.token:
        assert record_of(file, changed) is None
    assert record_of(file, made.token[:23] + other.token[23:]) is None
    assert record_of(file, made.token + "A") is None
    assert record_of(file, made.token[:-1]) is None


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "JSON"),
        (b"[]", "JSON"),
        (b'{"tenants": {}, "tokens": {}, "version": 2}', "newer release"),
        (b'{"version": 1, "more": 1}', "more"),
        (b'{"version": 1, "tokens": {"hush": {}}}', "tokens"),
        (b'{"version": 1, "tenants": {"a/b": {"created_at": "2026-01-31T08:00:00Z"}}}', "tenants"),
        (b'{"version": 1, "tenants": {"a": {"created_at": "2026-01-31T08:00:00"}}}', "tenants.a.created_at"),
        (b"[" * 100_000, "JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_what_is_no_tokens_file_says_where(content, where):
    with pytest.raises(UnreadableTokens, match=where):
        read_tokens(content)


class Clock:
    now, moment = 1000.0, NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(new_token, tokens_file, clock):
    new_token()
    return BearerAuthenticator(TokenJudge(tokens_file, lambda: clock.moment, clock), None)


@pytest.fixture
def ask(door, clock):
    """Asks half a second later."""

    def later(token):
        clock.now += LOOK_SECONDS
        return asyncio.run(answer(door, f"Bearer {token}"))

    return later


def is_let_in(said):
    return isinstance(said, Principal)


def test_a_token_that_is_made_or_revoked_is_seen_without_a_restart(ask, new_token, tokens_file):
    for nth in range(20):  # also within one tick of the file system's clock
        made = new_token(f"robot-{nth}", team_a="writer")
        assert ask(made.token) == Principal(f"robot-{nth}", {"team-a": Role.WRITER})
        change(tokens_file, lambda file, made=made: editing.without_token(file, made.token_id))
        assert not is_let_in(ask(made.token))


def test_within_a_second_of_real_time(new_token, tokens_file):
    new_token()
    door = BearerAuthenticator(TokenJudge(tokens_file), None)
    made = new_token("late")
    until(lambda: is_let_in(asyncio.run(answer(door, f"Bearer {made.token}"))), "the new token is taken", 5)


def test_a_file_written_in_place_is_seen(ask, new_token, tokens_file):
    """Also twice within one tick of the file system's clock, at the same size."""
    made, tick = new_token("robot"), time.time_ns() + 60 * 10**9
    os.utime(tokens_file, ns=(tick, tick))
    assert is_let_in(ask(made.token))
    tokens_file.write_bytes(tokens_file.read_bytes().replace(b'"reader"', b'"writer"'))
    os.utime(tokens_file, ns=(tick, tick))
    assert ask(made.token).grants == {"team-a": Role.WRITER}


def test_expiry(ask, new_token, clock):
    made = new_token("robot", expires_in=60)
    expires_at = made.record.expires_at
    clock.moment = expires_at - timedelta(milliseconds=1)
    assert is_let_in(ask(made.token))
    clock.moment = expires_at
    said = ask(made.token)
    assert (said.status, said.detail) == (401, "the token has expired: ask for a new one")


def spoil(how, path):
    content = path.read_bytes()
    path.unlink()
    if how == "torn":
        path.write_bytes(content[: len(content) // 2])
        path.chmod(0o600)
    if how == "folder":
        path.mkdir()
    if how == "readable by others":
        path.write_bytes(content)
        path.chmod(0o644)
    if how == "newer":
        path.write_bytes(content.replace(b'"version": 1', b'"version": 2'))
        path.chmod(0o600)


@pytest.mark.parametrize("how", ["gone", "torn", "folder", "readable by others", "newer"])
def test_a_file_that_became_unusable_keeps_the_last_good_one_and_says_so_once(ask, new_token, tokens_file, caplog, how):
    made = new_token("robot")
    assert is_let_in(ask(made.token))
    good = tokens_file.read_bytes()
    spoil(how, tokens_file)
    for _ in range(5):
        assert is_let_in(ask(made.token))
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1, told
    assert str(tokens_file) in told[0]
    assert told[0].endswith("The 2 tokens that were read before go on working")
    if tokens_file.is_dir():
        tokens_file.rmdir()
    tokens_file.write_bytes(good)
    tokens_file.chmod(0o600)
    later = new_token("later")
    assert is_let_in(ask(later.token))
    assert caplog.records[-1].getMessage() == f"{tokens_file} can be read again: 3 tokens"


def test_an_unusable_file_is_refused_at_the_start(tokens_file):
    with pytest.raises(TokensFileUnusable, match="matih tenants create"):
        TokenJudge(tokens_file)


def test_the_file_is_looked_at_twice_a_second_at_most(door, ask, clock, monkeypatch, new_token):
    looks = []
    made = new_token("robot")
    monkeypatch.setattr(door._tokens._refresh, "_work", lambda: looks.append(door._tokens._look()))

    async def many():
        return await asyncio.gather(*(answer(door, f"Bearer {made.token}") for _ in range(50)))

    clock.now += LOOK_SECONDS
    assert all(is_let_in(one) for one in asyncio.run(many()))
    assert all(is_let_in(one) for one in asyncio.run(many()))
    assert len(looks) == 1


def test_a_file_system_that_hangs_does_not_hang_the_requests(door, ask, new_token, monkeypatch):
    made = new_token("robot")
    assert is_let_in(ask(made.token))
    go = threading.Event()
    monkeypatch.setattr(tokens, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(token_file, "read", lambda path: go.wait(30) and pytest.fail("late"))
    monkeypatch.setattr(token_file, "look", lambda path: go.wait(30) and door._tokens._seen)

    async def asked():
        said = await answer(door, f"Bearer {made.token}")
        go.set()
        return said

    door._tokens._settled = True
    door._tokens._looked_at = float("-inf")
    assert is_let_in(asyncio.run(asked()))
