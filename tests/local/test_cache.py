"""Where downloads are kept, and where programs go that another account has to run."""

import os
import stat

import pytest

from matih_local import accounts, cache
from matih_local.cache import cache_folder
from matih_local.errors import LocalError


def test_the_chosen_folder_wins_then_the_users_cache(tmp_path):
    chosen, xdg, home = tmp_path / "chosen", tmp_path / "xdg", tmp_path / "home"
    everything = {"MATIH_CACHE_DIR": str(chosen), "XDG_CACHE_HOME": str(xdg), "HOME": str(home)}
    assert cache_folder(everything) == chosen
    assert cache_folder({"XDG_CACHE_HOME": str(xdg), "HOME": str(home)}) == xdg / "matih"
    assert cache_folder({"HOME": str(home)}) == home / ".cache" / "matih"


def test_without_a_home_that_can_be_written_to_it_is_in_var_tmp(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "shared_folder", lambda purpose: tmp_path / purpose)
    (tmp_path / "file").touch()
    assert cache_folder({"HOME": str(tmp_path / "file")}) == tmp_path / "cache"
    assert cache_folder({}) == tmp_path / "cache"


def test_a_chosen_folder_that_cannot_be_made_is_an_error_that_names_the_variable(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="MATIH_CACHE_DIR"):
        cache_folder({"MATIH_CACHE_DIR": str(tmp_path / "file" / "below")})


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs below one that is closed to others, and a place for copies."""
    monkeypatch.setattr(accounts, "shared_folder", lambda purpose: tmp_path / "copies")
    base = tmp_path / "closed"
    (base / "package" / "bin").mkdir(parents=True, mode=0o700)
    (base / "package" / "bin" / "server").write_text("#!/bin/sh\n")
    (base / "package" / "bin" / "server").chmod(0o700)
    (base / "package" / "data").write_text("data")
    (base / "package" / "data").chmod(0o600)
    base.chmod(0o700)
    return base


def test_programs_that_another_account_cannot_reach_are_copied_and_the_users_folders_left_alone(programs, tmp_path):
    copy = accounts.reachable(programs, ("package",), "server-1")
    assert copy == tmp_path / "copies" / "server-1"
    assert accounts.reachable(programs, ("package",), "server-1") == copy
    modes = [stat.S_IMODE((copy / name).stat().st_mode) for name in ("package/bin/server", "package/data")]
    assert modes == [0o755, 0o644]
    assert stat.S_IMODE(programs.stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["server-1"]


def test_programs_that_everybody_can_run_are_used_where_they_are():
    assert accounts.reachable(accounts.Path("/usr"), ("lib/os-release",), "x") == accounts.Path("/usr")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_for_copies_that_somebody_else_made_is_refused(programs, tmp_path):
    (tmp_path / "copies").mkdir()
    os.chown(tmp_path / "copies", 65534, 65534)
    with pytest.raises(LocalError, match="belongs to another user"):
        accounts.reachable(programs, ("package",), "server-1")
