"""The archive's log, verified by somebody else's code: the libraries of Go's checksum database."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.audit.records import run_of
from tests.audit.test_recovery import KEY, archive

from matih_workers.audit import notes
from matih_workers.audit.storage import LocalFolder

SOURCE = Path(__file__).with_name("foreign")

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go here"),
]


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("foreign") / "verifier"
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=SOURCE, check=True)
    return program


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Of 601 entries: two whole tiles and a part."""
    archive(LocalFolder(tmp_path / "archive"), {0: run_of(0, 300), 3: run_of(0, 300)})
    return tmp_path / "archive" / "log"


def verify(verifier: Path, log: Path, key: str = str(KEY.public)) -> subprocess.CompletedProcess[str]:
    older = sorted(map(str, (log / "checkpoints").iterdir()))
    return subprocess.run([str(verifier), str(log), key, *older], capture_output=True, text=True, check=False)


def test_a_whole_log_holds_for_them(verifier: Path, log: Path) -> None:
    done = verify(verifier, log)
    older = len(list((log / "checkpoints").iterdir()))
    assert older > 1
    assert (done.returncode, done.stdout.strip()) == (0, f"601 entries, {older} earlier checkpoints"), done.stderr


@pytest.mark.parametrize("tampered", ["tile/0/001", "tile/entries/001", "checkpoint"])
def test_a_byte_flipped_is_found_by_them(verifier: Path, log: Path, tampered: str) -> None:
    data = bytearray((log / tampered).read_bytes())
    data[len(data) // 2] ^= 1
    (log / tampered).write_bytes(data)
    assert verify(verifier, log).returncode != 0


def test_another_key_is_refused_by_them(verifier: Path, log: Path) -> None:
    assert verify(verifier, log, str(notes.new_key("test/audit").public)).returncode != 0
