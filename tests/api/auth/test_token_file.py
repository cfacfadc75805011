"""The tokens' file on disk: modes, owners, many writers at once, a writer that dies."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest

from matih_api.auth import editing, token_file
from matih_api.auth.token_file import TokensFileUnusable, change, read

NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)


def add(tenant):
    return lambda file: editing.with_tenant(file, tenant, NOW)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_owner_only(tmp_path):
    path = tmp_path / "new" / "folder" / "tokens.json"
    before = os.umask(0)
    try:
        assert change(path, add("a"))
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert list(read(path)[1].tenants) == ["a"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o602, 0o660, 0o620, 0o666, 0o601])
def test_one_that_others_may_read_or_change_is_refused_with_the_remedy(tokens_file, bits):
    change(tokens_file, add("a"))
    before = tokens_file.read_bytes()
    tokens_file.chmod(bits)
    for attempt in (lambda: read(tokens_file), lambda: change(tokens_file, add("b"))):
        with pytest.raises(TokensFileUnusable, match=f"chmod 600 {tokens_file}"):
            attempt()
    assert tokens_file.read_bytes() == before


@pytest.mark.parametrize("bits", [0o600, 0o400])
def test_one_that_only_its_owner_may_read_is_taken(tokens_file, bits):
    change(tokens_file, add("a"))
    tokens_file.chmod(bits)
    assert list(read(tokens_file)[1].tenants) == ["a"]


@pytest.mark.parametrize(
    ("owner", "bits", "taken"), [(0, 0o640, True), (0, 0o440, True), (0, 0o644, False), (1234, 0o640, False)]
)
def test_roots_may_be_read_by_a_group(tokens_file, owner, bits, taken):
    """Kubernetes mounts secrets so. By the check itself: only root could make such files."""
    status = os.stat_result((stat.S_IFREG | bits, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    try:
        token_file._check_safe(tokens_file, status)
    except TokensFileUnusable:
        assert not taken
    else:
        assert taken


def test_another_users_is_refused(tokens_file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status = os.stat_result((stat.S_IFREG | 0o600, 0, 0, 1, 1001, 0, 0, 0, 0, 0))
    with pytest.raises(TokensFileUnusable, match="belongs to another user"):
        token_file._check_safe(tokens_file, status)


def test_what_is_no_file_is_refused(tmp_path):
    for attempt in (lambda: read(tmp_path), lambda: change(tmp_path, add("a"))):
        with pytest.raises(TokensFileUnusable, match=str(tmp_path)):
            attempt()


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(TokensFileUnusable, match="no regular file"):
        read(tmp_path / "pipe")


def test_a_file_that_is_broken_is_never_written_over(tokens_file):
    tokens_file.write_bytes(b'{"version": 7}')
    tokens_file.chmod(0o600)
    with pytest.raises(TokensFileUnusable, match="newer release"):
        change(tokens_file, add("a"))
    assert tokens_file.read_bytes() == b'{"version": 7}'


def test_an_edit_that_fails_changes_nothing(tokens_file):
    change(tokens_file, add("a"))
    before = tokens_file.stat()

    def fail(file):
        raise KeyError("x")

    with pytest.raises(KeyError):
        change(tokens_file, fail)
    assert change(tokens_file, add("a")) is False  # nothing to change: the same file
    assert (tokens_file.stat().st_ino, tokens_file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    change(tmp_path / "link", add("a"))
    change(tmp_path / "link", add("b"))
    assert (tmp_path / "link").is_symlink()
    assert list(read(tmp_path / "real.json")[1].tenants) == ["a", "b"]


def test_many_writers_lose_nothing(tokens_file):
    """Threads and processes at once: each has the lock in a file description of its own."""
    code = """
import sys, pathlib
from datetime import datetime, timezone
from matih_api.auth import editing, token_file
now = datetime.now(timezone.utc)
for nth in range(10):
    token_file.change(pathlib.Path(sys.argv[1]), lambda file: editing.with_tenant(file, f"{sys.argv[2]}-{nth}", now))
"""
    others = [subprocess.Popen([sys.executable, "-c", code, str(tokens_file), f"p{nth}"]) for nth in range(2)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda nth: change(tokens_file, add(f"t-{nth}")), range(40)))
    assert all(done)
    assert [process.wait(60) for process in others] == [0, 0]
    wanted = {f"t-{nth}" for nth in range(40)} | {f"p{p}-{nth}" for p in range(2) for nth in range(10)}
    assert set(read(tokens_file)[1].tenants) == wanted


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_writer_that_fails_in_the_middle_leaves_the_old_file(tokens_file, monkeypatch, step):
    change(tokens_file, add("a"))
    before = tokens_file.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(TokensFileUnusable, match="No space left"):
        change(tokens_file, add("b"))
    assert tokens_file.read_bytes() == before
    assert sorted(entry.name for entry in tokens_file.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]
