"""Where journals lie, and what makes a folder unfit for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from matih_tracking import mounts, spool
from matih_tracking.journal.errors import JournalError, JournalFull
from matih_tracking.journal.space import Bound, used_bytes
from matih_tracking.journal.writer import JournalWriter
from matih_tracking.mounts import Mount, is_network_file_system, is_safe_to_map, mount_of, parse_mountinfo
from matih_tracking.spool import (
    SpoolKey,
    SpoolSettings,
    SpoolUnusable,
    open_spool,
    other_boots,
    spool_base,
    spool_key_of,
    spool_path,
    user_name,
    volatile_reason,
)

from .conftest import RUN_ID

KEY = SpoolKey("b:9092,a:9092", "events", "me")
MOUNTS = [
    Mount("/", "ext4"),
    Mount("/home", "nfs4"),
    Mount("/scratch", "lustre"),
    Mount("/mnt/s3", "fuse.s3fs"),
    Mount("/data", "btrfs"),
    Mount("/data", "xfs"),
    Mount("/run/user/0", "tmpfs"),
]


@pytest.fixture
def mounted(monkeypatch):
    """Lets the machine look as if these were its mounts."""

    def mount(*these):
        monkeypatch.setattr(mounts, "mounts", lambda: list(these))
        monkeypatch.setattr(mounts, "_network_devices", {})

    return mount


def test_the_key_is_what_the_entries_are_for():
    assert KEY.hash16 == SpoolKey(" A:9092 ,b:9092,,", "events", "me").hash16
    others = [KEY._replace(brokers="c:9092"), KEY._replace(topic="other"), KEY._replace(principal="")]
    others.append(SpoolKey("b:9092,a:9092", "event", "sme"))
    assert len({key.hash16 for key in (KEY, *others)}) == 5
    assert len(KEY.hash16) == 16


def test_a_spool_is_for_one_user_one_key_one_machine_and_boot(tmp_path):
    path = spool_path(KEY, SpoolSettings(tmp_path))
    assert path.relative_to(tmp_path).parts[:2] == (user_name(), KEY.hash16)
    assert spool_key_of(path) == KEY.hash16
    assert spool_key_of(tmp_path) == "0" * 16
    assert path == spool_path(KEY, SpoolSettings(tmp_path))


def test_the_base_is_the_one_given_else_the_users_own(tmp_path, mounted):
    home = {"HOME": str(tmp_path)}
    assert spool_base(SpoolSettings(Path("/given"))) == Path("/given")
    assert spool_base(SpoolSettings(), {"XDG_STATE_HOME": "/state", **home}) == Path("/state/matih")
    assert spool_base(SpoolSettings(), {"XDG_STATE_HOME": "relative", **home}) == tmp_path / ".local/state/matih"
    mounted(Mount("/", "nfs"))
    assert spool_base(SpoolSettings(), home) == Path(f"/var/tmp/matih-{user_name()}")
    assert spool_base(SpoolSettings(), {"HOME": "/no/such/home"}) == Path(f"/var/tmp/matih-{user_name()}")


def test_settings_are_read_from_the_environment():
    assert SpoolSettings.from_environment({}) == SpoolSettings(None, spool.DEFAULT_MAX_BYTES, "auto")
    environ = {"MATIH_SPOOL_DIR": "/s", "MATIH_SPOOL_MAX_BYTES": "2G", "MATIH_JOURNAL": "WRITE"}
    assert SpoolSettings.from_environment(environ) == SpoolSettings(Path("/s"), 2 << 30, "write")


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("3k", 3072), ("1 MiB", 1 << 20), ("2gb", 2 << 30), ("1T", 1 << 40)]
)
def test_sizes(text, size):
    assert SpoolSettings.from_environment({"MATIH_SPOOL_MAX_BYTES": text}).max_bytes == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MATIH_SPOOL_MAX_BYTES", "lots"),
        ("MATIH_SPOOL_MAX_BYTES", "0"),
        ("MATIH_SPOOL_MAX_BYTES", "-1"),
        ("MATIH_JOURNAL", "x"),
    ],
)
def test_a_setting_that_is_none_is_named(name, value):
    with pytest.raises(SpoolUnusable, match=f"{name}.*Set it to"):
        SpoolSettings.from_environment({name: value})


def test_a_spool_is_made_for_its_owner_only(tmp_path):
    path = open_spool(spool_path(KEY, SpoolSettings(tmp_path / "base")))
    for folder in (path / "journals", path, path.parent, path.parents[1], path.parents[2]):
        assert folder.stat().st_mode & 0o777 == 0o700
    (path / "journals").chmod(0o755)
    path.parents[1].chmod(0o777)
    open_spool(path)
    assert (path / "journals").stat().st_mode & 0o777 == path.parents[1].stat().st_mode & 0o777 == 0o700


def test_folders_that_are_not_the_spools_own_are_left_as_they_are(tmp_path):
    tmp_path.chmod(0o755)
    open_spool(tmp_path / "a" / "spool")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("level", range(4))
def test_a_link_in_a_folders_place_is_refused(tmp_path, level):
    path = spool_path(KEY, SpoolSettings(tmp_path / "base"))
    folder = [path / "journals", path, path.parent, path.parents[1]][level]
    folder.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    with pytest.raises(SpoolUnusable, match="link"):
        open_spool(path)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path):
    path = spool_path(KEY, SpoolSettings(tmp_path))
    path.mkdir(parents=True)
    os.chown(path, 12345, 12345)
    with pytest.raises(SpoolUnusable, match=r"uid 12345.*MATIH_SPOOL_DIR"):
        open_spool(path)


def test_a_file_in_the_folders_place_is_named(tmp_path, journal_mode):
    base = tmp_path / "base"
    base.write_text("not a folder")
    path = spool_path(KEY, SpoolSettings(base))
    with pytest.raises(SpoolUnusable, match=f"{base}.*MATIH_SPOOL_DIR"):
        open_spool(path)
    with pytest.raises(SpoolUnusable):
        JournalWriter.create(path, RUN_ID, journal=journal_mode)
    base.unlink()
    JournalWriter.create(path, RUN_ID, journal=journal_mode).close()


def test_earlier_boots_of_this_machine_are_found(tmp_path):
    path = open_spool(spool_path(KEY, SpoolSettings(tmp_path)))
    machine, boot = path.name.split("-")
    older = path.with_name(f"{machine}-{'0' * 31}1")
    for other in (older, path.with_name(f"{'f' * 16}-{boot}"), path.with_name("notes")):
        other.mkdir()
    assert other_boots(path) == [older]
    assert other_boots(older) == [path]
    assert other_boots(tmp_path) == []
    assert other_boots(tmp_path / "gone" / path.name) == []


def test_without_a_machine_id_the_hosts_name_stands_in(tmp_path, monkeypatch):
    known = spool.machine_key(tmp_path)
    monkeypatch.setattr(spool, "_MACHINE_ID_FILES", ("/no/such/file",))
    unknown = spool.machine_key(tmp_path)
    monkeypatch.setattr(spool, "host_name", lambda: "another")
    assert len({known, unknown, spool.machine_key(tmp_path)}) == 3


def test_machines_with_the_same_id_differ_where_they_share_a_folder(tmp_path, mounted, monkeypatch):
    alone = spool.machine_key(tmp_path)
    mounted(Mount("/", "nfs"))
    shared = spool.machine_key(tmp_path)
    monkeypatch.setattr(spool, "host_name", lambda: "another")
    assert len({alone, shared, spool.machine_key(tmp_path)}) == 3


def test_mounts_are_read_as_linux_writes_them():
    text = (
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "40 27 0:50 / /mnt/with\\040space rw shared:1 master:2 - nfs4 server:/x rw\n"
        "garbage\n"
    )
    assert parse_mountinfo(text) == [Mount("/", "ext4"), Mount("/mnt/with space", "nfs4")]


@pytest.mark.parametrize(
    ("path", "type_"),
    [("/", "ext4"), ("/homes", "ext4"), ("/home/me", "nfs4"), ("/data", "xfs"), ("/data/deep/er", "xfs")],
)
def test_the_mount_of_a_path_is_the_nearest_and_latest(path, type_):
    assert mount_of(Path(path), MOUNTS) == next(mount for mount in MOUNTS if mount.type == type_)


def test_network_file_systems_are_known_and_never_mapped():
    network = [
        path for path in ("/x", "/home/x", "/scratch", "/mnt/s3", "/data") if is_network_file_system(Path(path), MOUNTS)
    ]
    assert network == ["/home/x", "/scratch", "/mnt/s3"]
    assert not any(is_safe_to_map(Path(path), MOUNTS) for path in network)


@pytest.mark.parametrize(
    ("types", "safe"),
    [
        (["ext4"], True),
        (["xfs"], True),
        (["tmpfs"], True),
        (["btrfs"], False),
        (["zfs"], False),
        (["overlay"], True),
        (["overlay", "btrfs"], False),
        ([], False),
    ],
)
def test_a_mapping_is_safe_where_an_allocated_page_can_always_be_written(types, safe):
    places = ["/", "/etc/hosts"]
    assert is_safe_to_map(Path("/spool"), [Mount(*both) for both in zip(places, types, strict=False)]) is safe


def test_a_journal_on_an_unsafe_file_system_is_written(tmp_path, mounted):
    mounted(Mount("/", "btrfs"))
    writer = JournalWriter.create(tmp_path, RUN_ID)
    assert not writer.mapped
    writer.close()


@pytest.mark.parametrize(
    ("mount", "environ", "reason"),
    [
        (Mount("/", "ext4"), {}, None),
        (Mount("/", "tmpfs"), {}, "memory"),
        (Mount("/", "ext4"), {"SLURM_JOB_ID": "7", "SLURM_TMPDIR": "/local/7"}, "SLURM"),
        (Mount("/", "ext4"), {"SLURM_TMPDIR": "/local/7"}, None),
        (Mount("/", "overlay"), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "container"),
        (Mount("/", "ext4"), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ],
)
def test_a_spool_that_dies_with_the_job_is_told_of(mounted, mount, environ, reason):
    mounted(mount)
    said = volatile_reason(Path("/local/7/spool"), environ)
    assert (said is None) if reason is None else (reason in said)


def test_the_bound_counts_all_journals_and_keeps_some_for_new_ones(tmp_path):
    writers = [JournalWriter.create(tmp_path, RUN_ID, first_segment_bytes=1) for _ in range(3)]
    assert used_bytes(tmp_path) == 3 * 16384
    bound = Bound(tmp_path, 4 * 16384)
    bound.check(16384, first=True)
    with pytest.raises(JournalFull, match=f"holds {3 * 16384} bytes and may hold {4 * 16384}"):
        bound.check(16384)
    Bound(tmp_path, 0).check(1 << 40)
    for writer in writers:
        writer.close()


def is_full(writer):
    """Appends once; returns what kept it from being written, if anything."""
    try:
        writer.append(b"entry" * 20)
    except JournalFull as full:
        return full


def test_a_full_spool_takes_more_once_there_is_room(tmp_path, journal_mode, monkeypatch):
    monkeypatch.setattr("matih_tracking.journal.supply._RETRY_SECONDS", 0.0)
    ballast = JournalWriter.create(tmp_path, RUN_ID, first_segment_bytes=1 << 18)
    writer = JournalWriter.create(
        tmp_path, RUN_ID, first_segment_bytes=1, max_bytes=1 << 18 | 1 << 15, journal=journal_mode
    )
    while not (full := is_full(writer)):
        pass
    assert full.reason == "bound"
    written = writer.count
    with pytest.raises(JournalError):
        writer.append(b"entry" * 20)
    ballast.close()
    for path in ballast.path.iterdir():
        path.unlink()
    assert writer.append(b"entry" * 20) == written
    writer.close()


def test_where_nothing_is_said_about_mounts_nothing_is_mapped():
    if sys.platform != "linux":
        assert not is_safe_to_map(Path.home())
