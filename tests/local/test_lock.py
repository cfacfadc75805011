"""One process runs a MATIH_HOME, and the kernel frees it when that process dies."""

import os
import subprocess
import sys

import pytest

from matih_local.errors import HomeInUse
from matih_local.lock import Holder, HomeLock, holder


def test_the_second_is_told_who_has_it_and_gets_it_after_release(tmp_path):
    lock = HomeLock(tmp_path, "foreground")
    assert holder(tmp_path) == Holder(os.getpid(), "foreground")
    with pytest.raises(HomeInUse, match=f"process {os.getpid()}: end that process"):
        HomeLock(tmp_path, "supervisor")
    lock.release()
    assert holder(tmp_path) is None
    HomeLock(tmp_path, "supervisor").release()


def test_a_killed_holder_holds_it_no_more(tmp_path):
    code = (
        "import sys, pathlib, time; from matih_local.lock import HomeLock;"
        "lock = HomeLock(pathlib.Path(sys.argv[1]), 'supervisor'); print('has it', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert holder(tmp_path) == Holder(other.pid, "supervisor")
        with pytest.raises(HomeInUse, match="matih local down"):
            HomeLock(tmp_path, "foreground")
        other.kill()
    assert holder(tmp_path) is None
    HomeLock(tmp_path, "foreground").release()


def test_nobody_has_a_home_that_nobody_used(tmp_path):
    assert holder(tmp_path) is None
