"""Where a run comes from, as git itself says it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from matih_schemas.limits import TAG_VALUE_MAX
from matih_tracking import provenance
from matih_tracking.provenance import GIT_BRANCH, GIT_COMMIT


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def work_tree(tmp_path):
    """A repository with one commit."""
    provenance.git.cache_clear()
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init")
    git(folder, "commit", "--allow-empty", "-m", "first")
    return folder


def test_a_branch_seen_from_a_folder_inside(work_tree):
    inside = work_tree / "src" / "deep"
    inside.mkdir(parents=True)
    commit = git(work_tree, "rev-parse", "HEAD")
    assert provenance.git(str(inside)) == {GIT_COMMIT: commit, GIT_BRANCH: "main"}


def test_a_branch_with_a_slash_and_packed_refs(work_tree):
    git(work_tree, "switch", "-c", "feature/x")
    git(work_tree, "commit", "--allow-empty", "-m", "second")
    git(work_tree, "pack-refs", "--all")
    commit = git(work_tree, "rev-parse", "HEAD")
    assert provenance.git(str(work_tree)) == {GIT_COMMIT: commit, GIT_BRANCH: "feature/x"}


def test_a_detached_head(work_tree):
    git(work_tree, "checkout", "--detach")
    assert provenance.git(str(work_tree)) == {GIT_COMMIT: git(work_tree, "rev-parse", "HEAD")}


def test_a_second_work_tree(work_tree, tmp_path):
    git(work_tree, "worktree", "add", "-b", "other", str(tmp_path / "second"))
    git(tmp_path / "second", "commit", "--allow-empty", "-m", "there")
    commit = git(tmp_path / "second", "rev-parse", "HEAD")
    assert provenance.git(str(tmp_path / "second")) == {GIT_COMMIT: commit, GIT_BRANCH: "other"}


def test_a_repository_without_a_commit_and_one_that_is_broken(tmp_path):
    provenance.git.cache_clear()
    git(tmp_path, "init")
    assert provenance.git(str(tmp_path)) == {GIT_BRANCH: "main"}
    (tmp_path / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    provenance.git.cache_clear()
    assert provenance.git(str(tmp_path)) == {}


def test_no_repository(tmp_path):
    assert provenance.git(str(tmp_path)) == {}


def test_the_tags_of_this_process():
    tags = provenance.provenance()
    assert tags["mlflow.source.name"]
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["matih.python_version"] == sys.version.split()[0]
    assert json.loads(tags["matih.packages"])["pytest"] == pytest.__version__
    assert all(len(value) <= TAG_VALUE_MAX for value in tags.values())


def test_the_user_is_the_environments(monkeypatch):
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert provenance.user().startswith("uid-")
    monkeypatch.setenv("USER", "ann")
    assert provenance.user() == "ann"


def test_a_folder_that_is_gone_is_no_trouble(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert provenance.provenance()["mlflow.source.name"] == "train.py"
