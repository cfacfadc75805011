"""Makes `.venv` from nothing but a Python: `python3 tools/set_up.py [--lock requirements/dev.txt]`.

uv does the work: the one on PATH, else one bootstrapped into `.uv` with this Python's own pip. The environment is
exactly what the lock names, checked by hash; nothing is done when the lock and pyproject.toml have not changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 10)


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Runs one step; ends the set-up with its exit code and the command's name if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=env, check=False)
    if done.returncode:
        sys.exit(f"set-up: failed (exit {done.returncode}): {' '.join(str(part) for part in command[:4])} ...")


def client_environment() -> dict[str, str]:
    """The environment for uv: the system's certificates, this Python only, and pip's own settings where uv has none."""
    env = dict(os.environ)
    env.setdefault("UV_SYSTEM_CERTS", "1")
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    env.setdefault("UV_LINK_MODE", "copy")
    for ours, theirs in (
        ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"),
        ("UV_INDEX", "PIP_EXTRA_INDEX_URL"),
        ("SSL_CERT_FILE", "PIP_CERT"),
    ):
        if theirs in os.environ:
            env.setdefault(ours, os.environ[theirs])
    if not os.access(Path.home(), os.W_OK):
        env.setdefault("UV_CACHE_DIR", str(ROOT / ".uv" / "cache"))
    return env


def bootstrapped_uv() -> Path:
    """A uv of the locked version in `.uv`, put there by venv and pip, or by pip alone where venv is incomplete."""
    home, lock = ROOT / ".uv", ROOT / "requirements" / "uv.txt"
    uv = home / "bin" / "uv"
    stamp = home / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if uv.exists() and stamp.exists() and stamp.read_text() == wanted:
        return uv
    print("set-up: no uv here, so one goes into .uv", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    options = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        run(sys.executable, "-m", "venv", home)
        run(home / "bin" / "python", "-m", "pip", *options)
    elif importlib.util.find_spec("pip"):
        run(sys.executable, "-m", "pip", *options, "--target", home)
    else:
        sys.exit(
            f"set-up: {sys.executable} has neither pip nor venv: install one (Debian: apt install python3-venv), "
            "or put uv on PATH"
        )
    stamp.write_text(wanted)
    return uv


def main() -> None:
    """Brings `.venv` to what the lock says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", default="requirements/dev.txt", help="the lock to install (default: %(default)s)")
    parser.add_argument("--into", default=".venv", help="the environment's folder (default: %(default)s)")
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        sys.exit(
            f"set-up: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}: "
            "try make PYTHON=python3.11 ..."
        )
    lock, venv = ROOT / options.lock, ROOT / options.into
    wanted = hashlib.sha256(
        lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    ).hexdigest()
    stamp = venv / "lock.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    env = client_environment()
    uv: str | Path = shutil.which("uv") or bootstrapped_uv()
    print(f"set-up: {venv.name} from {options.lock}", flush=True)
    python = venv / "bin" / "python"
    run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, venv, env=env)
    run(uv, "pip", "sync", "--compile-bytecode", "--python", python, "--require-hashes", lock, env=env)
    run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--no-deps",
        "--no-build-isolation",
        "--editable",
        ROOT,
        env=env,
    )
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
