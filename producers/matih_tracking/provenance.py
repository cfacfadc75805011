"""Where a run comes from: script, git commit and branch, Python and packages. Files are read; nothing is started."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

from matih_schemas.limits import TAG_VALUE_MAX

SOURCE_NAME: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
GIT_COMMIT: Final = "mlflow.source.git.commit"
GIT_BRANCH: Final = "mlflow.source.git.branch"
USER: Final = "mlflow.user"
PYTHON: Final = "matih.python_version"
PACKAGES: Final = "matih.packages"

_COMMIT = re.compile(r"[0-9a-f]{40,64}\Z")
_PARENTS_MAX: Final = 32


def provenance() -> dict[str, str]:
    """The tags, as MLflow names them where it has a name."""
    script = entry_point()
    return {
        SOURCE_NAME: script,
        SOURCE_TYPE: "NOTEBOOK" if "ipykernel" in sys.modules else "LOCAL",
        **git(_folder(script)),
        USER: user(),
        PYTHON: sys.version.split()[0],
        PACKAGES: packages(),
    }


def _folder(script: str) -> str:
    try:
        return str(Path(script).parent if Path(script).is_file() else Path.cwd())
    except OSError:  # the current folder is gone
        return os.sep


def entry_point() -> str:
    """The script that runs, as an absolute path; the interpreter without one."""
    script = sys.argv[0] if sys.argv else ""
    return str(Path(script).absolute()) if script and Path(script).is_file() else script or sys.executable


def user() -> str:
    """Who runs this, as the environment says: asking the user data base can take seconds where it is on the network."""
    named = next((os.environ[name] for name in ("LOGNAME", "USER", "USERNAME") if os.environ.get(name)), "")
    return named or (f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown")


def packages() -> str:
    """Versions of the packages loaded so far, as JSON; those that fit into a tag."""
    modules = sorted((name, vars(module).get("__version__")) for name, module in _top_modules())
    found = {name: version for name, version in modules if isinstance(version, str) and len(version) < 64}
    text = json.dumps(found, separators=(",", ":"))
    while len(text) > TAG_VALUE_MAX:
        found.popitem()
        text = json.dumps(found, separators=(",", ":"))
    return text


def _top_modules() -> list[tuple[str, object]]:
    loaded = list(sys.modules.items())  # another thread may import meanwhile
    return [(name, module) for name, module in loaded if "." not in name and hasattr(module, "__dict__")]


@lru_cache(maxsize=8)
def git(folder: str) -> dict[str, str]:
    """The tags of the commit and the branch that a folder's work tree is at; nothing outside of one."""
    try:
        git_folder = _git_folder(Path(folder).resolve())
        return {} if git_folder is None else _head(git_folder)
    except (OSError, ValueError):  # unreadable, or no text: then there is no git as far as we can tell
        return {}


def _git_folder(folder: Path) -> Path | None:
    for place in [folder, *folder.parents][:_PARENTS_MAX]:
        candidate = place / ".git"
        if candidate.is_dir():
            return candidate
        if candidate.is_file():  # a worktree or submodule: `gitdir: <path>`
            return (place / candidate.read_text().partition(":")[2].strip()).resolve()
    return None


def _head(git_folder: Path) -> dict[str, str]:
    head = (git_folder / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return {GIT_COMMIT: head} if _COMMIT.match(head) else {}
    name = head.partition(":")[2].strip()
    tags = {GIT_BRANCH: name.removeprefix("refs/heads/")}
    commit = _commit(git_folder, name)
    return {GIT_COMMIT: commit, **tags} if commit else tags


def _commit(git_folder: Path, name: str) -> str | None:
    common = git_folder / "commondir"
    folders = [git_folder, (git_folder / common.read_text().strip()).resolve()] if common.is_file() else [git_folder]
    for folder in folders:
        loose = folder / name
        if loose.is_file():
            return loose.read_text().strip()
    for line in _packed(folders[-1]):
        commit, _, packed_name = line.partition(" ")
        if packed_name == name and _COMMIT.match(commit):
            return commit
    return None


def _packed(folder: Path) -> list[str]:
    packed = folder / "packed-refs"
    return packed.read_text().splitlines() if packed.is_file() else []
