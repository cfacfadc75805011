"""What was erased and who has read, told by commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.audit.test_events import RECEIVED, command, report
from tests.audit.test_policies import WHY, written_for
from tests.audit.test_recovery import KEY, TOPIC_ID
from tests.audit.test_verification import verified
from tests.workers.journals import Producer

from matih_kafka.operator import user_name
from matih_workers.audit.access_log import ACCESS
from matih_workers.audit.entries import Statement, decode, encode
from matih_workers.audit.erasure import certificates, certificates_in
from matih_workers.audit.errors import Damaged
from matih_workers.audit.log import Log, LogWriter

if TYPE_CHECKING:
    from pathlib import Path

    from matih_workers.audit.storage import LocalFolder


def test_certificates_are_read(storage: LocalFolder, tmp_path: Path) -> None:
    gone, old, other = Producer(tenant="acme"), Producer(tenant="more"), Producer(tenant="other")
    written_for(storage, gone, old, other)
    assert report(tmp_path, "certificates") == {"certificates": [], "records": 0}
    report(tmp_path, "erase", "--run", gone.run_id, *WHY, "--yes")
    for tenant in ("more", "other"):
        report(tmp_path, "retain", "--tenant", tenant, "--days", "30", "--reason", "contract")
    report(tmp_path, "expire", "--yes")
    found = report(tmp_path, "certificates")
    told = [(one["tenant"], one["run_id"], one["reason"], one["records"]) for one in found["certificates"]]
    assert told == [
        ("acme", gone.run_id, "request 12", 2),
        ("more", None, "retention of 30 days", 2),
        ("other", None, "retention of 30 days", 2),
    ]
    first, _, last = found["certificates"]
    assert (first["partition"], first["first"], first["last"]) == (str(TOPIC_ID.partition(0)), 0, 1)
    assert first["actor"] == user_name()
    assert RECEIVED < first["time"] <= last["time"]
    for one in found["certificates"]:
        assert statement_at(storage, one["entry"]).body["reason"] == one["reason"]
    shown = command(tmp_path, "certificates")
    assert "3 certificates, 6 records" in shown
    assert f"run {gone.run_id} of tenant acme" in shown
    assert "or erased (see `matih audit certificates`)" in command(tmp_path, "show", gone.run_id, code=1)
    assert verified(storage).whole


def statement_at(storage: LocalFolder, entry: int) -> Statement:
    size = LogWriter(storage, KEY).checkpoint.size
    found = decode(next(Log(storage).entries(entry, size)))
    assert isinstance(found, Statement)
    return found


def test_a_certificate_that_does_not_say_whose_records_is_read_too() -> None:
    places = [(offset, bytes(32)) for offset in (9, 4)]
    statement = encode(certificates(TOPIC_ID.partition(1), places, "ada", "asked for", 7)[0])
    (found,) = certificates_in([encode(Statement("topic", {})), statement])
    assert (found.entry, found.whose, found.first, found.last) == (1, "-", 4, 9)
    with pytest.raises(Damaged, match="entry 0"):
        list(certificates_in([encode(Statement("erasure", {}))]))


def test_accesses_are_read(storage: LocalFolder, tmp_path: Path) -> None:
    who = Producer(tenant="acme")
    written_for(storage, who)
    command(tmp_path, "show", who.run_id)
    command(tmp_path, "certificates")
    storage.write({f"{ACCESS}/2999-01-01/torn.json": b"{"})
    found = report(tmp_path, "accesses")["accesses"]
    assert [(one.get("command"), one.get("rows"), one["outcome"]) for one in found] == [
        ("audit show", 2, "done"),
        ("audit certificates", 0, "done"),
        (None, None, "unreadable"),
    ]
    shown = command(tmp_path, "accesses").splitlines()
    assert f"run={who.run_id}" in shown[1]
    assert shown[-1] == "3 readings are noted"
    os.environ["MATIH_AUDIT_ACCESS_LOG"] = str(tmp_path / "elsewhere")
    assert report(tmp_path, "accesses") == {"accesses": []}
    command(tmp_path, "export")
    assert [one["command"] for one in report(tmp_path, "accesses")["accesses"]] == ["audit export"]
