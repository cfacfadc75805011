"""What `matih doctor` finds of an archive, on the real broker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.audit.world import some_records
from tests.waiting import until

from matih_workers.audit import notes
from matih_workers.audit.doctor import checks

if TYPE_CHECKING:
    import pytest
    from tests.audit.world import World

    from matih_console.checks import Finding


def found(world: World, **settings: str) -> dict[str, Finding]:
    os.environ.update(world.environment(**settings))
    return {name: check() for name, check in checks().items()}


def test_an_archive_that_nobody_names() -> None:
    assert {name: check().state for name, check in checks().items()} == dict.fromkeys(checks(), "skipped")


def test_what_is_wrong_is_told_with_its_remedy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / "key").chmod(0o600)
    world.publish(some_records(0, 20))
    assert "20 records wait, and nothing is archived yet" in found(world)["archiver"].detail
    world.start()
    world.archived_until(20)
    until(lambda: world.metric("matih_audit_lag_records") == 0, "nothing waits")
    assert {name: one.state for name, one in found(world).items()} == dict.fromkeys(checks(), "ok")
    assert "writes it" not in found(world)["archive"].detail
    world.end()

    auditor = {"MATIH_AUDIT_KEY_FILE": "", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    seen = found(world, **auditor)
    assert {name: one.state for name, one in seen.items()} == {
        "archive": "ok",
        "archive key": "skipped",
        "archiver": "skipped",
    }
    assert "can be read" in seen["archive"].detail

    world.publish(some_records(20, 30))
    assert found(world)["archiver"].detail == "30 records wait"
    os.utime(world.archive / "log" / "checkpoint", (1, 1))
    late = found(world)["archiver"]
    assert (late.state, late.remedy) == ("warning", "start it: `matih audit archive`")
    assert "30 records wait, and the last checkpoint is" in late.detail

    (world.folder / "key").chmod(0o644)
    open_to_all = found(world)["archive key"]
    assert (open_to_all.state, open_to_all.remedy) == ("warning", f"chmod 600 {world.folder / 'key'}")
    inside = world.archive / "key"
    inside.touch(mode=0o600)
    inside.write_text((world.folder / "key").read_text())
    assert "stands in the archive" in found(world, MATIH_AUDIT_KEY_FILE=str(inside))["archive key"].detail
    another = world.folder / "another"
    another.touch(mode=0o600)
    another.write_text(notes.new_key("test/audit").secret())
    wrong = found(world, MATIH_AUDIT_KEY_FILE=str(another))["archive key"]
    assert (wrong.state, "no accepted key signed it" in wrong.detail) == ("failed", True)
    missing = found(world, MATIH_AUDIT_KEY_FILE=str(world.folder / "none"))["archive key"]
    assert (missing.state, "keygen" in missing.remedy) == ("failed", True)
    in_the_way = found(world, MATIH_AUDIT_ARCHIVE=str(another))["archive"]
    assert (in_the_way.state, in_the_way.remedy) == ("failed", "docs/operating.md#the-archiver-does-not-archive")
