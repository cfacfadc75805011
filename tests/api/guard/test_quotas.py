"""Quotas by tenant: what is let through, what is refused and how, overrides, and bytes over restarts and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from matih_api.guard.ledger import DAY_SECONDS, TENANTS_MAX, Day, Ledger
from matih_api.guard.overrides import LOOK_SECONDS
from matih_api.guard.quotas import Quotas
from matih_api.guard.settings import QuotaSettings
from matih_api.problems import Problem
from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from pathlib import Path

NOON = 20_000 * DAY_SECONDS + DAY_SECONDS / 2


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return NOON + self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def quotas(clock: Clock, processes: int = 1, refused: Any = lambda _quota, _tenant: None, **settings: Any) -> Quotas:
    return Quotas(QuotaSettings(**settings), processes, refused=refused, monotonic=clock.monotonic, clock=clock.time)


def refusal(action: Any, *arguments: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        action(*arguments)
    assert caught.value.status == 429
    return caught.value


def test_requests_are_limited_by_tenant_and_the_quota_is_named(clock: Clock) -> None:
    told: list[tuple[str, str]] = []
    kept = quotas(clock, requests_per_second=2, requests_burst=3, refused=lambda *who: told.append(who))
    for _ in range(3):
        kept.request("acme")
    found = refusal(kept.request, "acme")
    assert found.members == {"quota": "requests_per_second"}
    assert found.headers["Retry-After"] == "1"
    assert "acme" in found.detail
    assert told == [("requests_per_second", "acme")]
    kept.request("globex")
    clock.now += 1
    kept.request("acme")
    kept.request("acme")
    refusal(kept.request, "acme")


def test_the_processes_share_a_rate(clock: Clock) -> None:
    kept = quotas(clock, processes=4, events_per_second=8, events_burst=16)
    kept.events("acme", 4, 1)
    assert refusal(kept.events, "acme", 4, 1).headers["Retry-After"] == "2"


def test_events_that_are_refused_count_nowhere(clock: Clock) -> None:
    kept = quotas(clock, events_per_second=10, events_burst=10, bytes_per_day=100)
    assert refusal(kept.events, "acme", 5, 101).members == {"quota": "bytes_per_day"}
    kept.events("acme", 10, 50)
    assert refusal(kept.events, "acme", 5, 50).members == {"quota": "events_per_second"}
    clock.now += 1
    kept.events("acme", 5, 50)


def test_bytes_of_a_day_come_back_at_midnight(clock: Clock) -> None:
    kept = quotas(clock, bytes_per_day=100)
    kept.events("acme", 1, 100)
    assert refusal(kept.events, "acme", 1, 1).headers["Retry-After"] == str(DAY_SECONDS // 2)
    kept.events("globex", 1, 1)
    clock.now += DAY_SECONDS / 2
    kept.events("acme", 1, 100)
    refusal(kept.events, "acme", 1, 1)


def test_zero_is_no_limit(clock: Clock) -> None:
    kept = quotas(clock, requests_per_second=0, events_per_second=0, bytes_per_day=0)
    for _ in range(5000):
        kept.request("acme")
        kept.events("acme", 10**6, 10**12)


def test_bytes_are_kept_over_restarts_and_shared_by_processes(clock: Clock, tmp_path: Path) -> None:
    one = quotas(clock, bytes_per_day=100, datadir=tmp_path)
    other = quotas(clock, bytes_per_day=100, datadir=tmp_path)
    one.events("acme", 1, 60)
    one.close()
    other.events("globex", 1, 1)  # a process learns of the others when it writes
    other.close()
    refusal(other.events, "acme", 1, 41)
    restarted = quotas(clock, bytes_per_day=100, datadir=tmp_path)
    refusal(restarted.events, "acme", 1, 41)
    restarted.events("acme", 1, 40)
    restarted.close()
    assert stored(tmp_path) == {"acme": 100, "globex": 1}


def stored(folder: Path) -> Any:
    return json.loads((folder / "bytes-of-the-day.json").read_text())["bytes"]


WRITER = """
import sys
from pathlib import Path
from matih_api.guard.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for _ in range(200):
    ledger.add("acme", 3, 7)
    ledger.add(sys.argv[2], 1, 7)
    ledger.sync(7)
"""


def test_no_byte_is_lost_or_counted_twice_between_processes(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in names]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert stored(tmp_path) == {"acme": 1800, "a": 200, "b": 200, "c": 200}


def test_a_new_day_begins_at_nothing_whoever_notices_it_first(tmp_path: Path) -> None:
    early, late = Ledger(tmp_path), Ledger(tmp_path)
    early.add("acme", 5, 7)
    early.sync(7)
    late.sync(8)
    assert (late.used("acme", 8), stored(tmp_path)) == (0, {})
    early.add("acme", 7, 7)
    early.sync(7)
    assert stored(tmp_path) == {}
    early.add("acme", 2, 8)
    early.sync(8)
    assert (early.used("acme", 8), stored(tmp_path)) == (2, {"acme": 2})


def test_a_disk_that_fails_loses_no_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    ledger = Ledger(folder)
    ledger.add("acme", 5, 7)
    folder.rename(tmp_path / "away")
    ledger.sync(7)
    ledger.add("acme", 1, 7)
    ledger.sync(7)
    assert ledger.used("acme", 7) == 6
    assert caplog.text.count("kept in memory") == 1
    (tmp_path / "away").rename(folder)
    ledger.sync(7)
    assert stored(folder) == {"acme": 6}
    assert ledger.used("acme", 7) == 6


def test_a_damaged_file_is_told_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(tmp_path)
    (tmp_path / "bytes-of-the-day.json").write_text("{")
    ledger.add("acme", 5, 7)
    ledger.sync(7)
    assert stored(tmp_path) == {"acme": 5}
    assert "damaged" in caplog.text


def test_a_folder_that_cant_be_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettings, match="MATIH_API_DATADIR"):
        Ledger(tmp_path / "file" / "below")


def test_the_tenants_of_a_day_are_bounded() -> None:
    day = Day()
    for number in range(TENANTS_MAX + 50):
        day.add(f"t{number}", 1, 1)
    assert day.used("t0", 1) == 1
    assert day.used("whoever", 1) == 50
    assert len(day.hand_over()[1]) <= TENANTS_MAX + 1


def overridden(path: Path, **tenants: Any) -> None:
    path.write_text(json.dumps(tenants))


def test_a_tenant_has_its_own_values_and_the_file_is_read_again(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "quotas.json"
    overridden(path, acme={"requests_per_second": 1, "requests_burst": 1})
    kept = quotas(clock, requests_burst=3, quotas_file=path)
    kept.request("acme")
    refusal(kept.request, "acme")
    for _ in range(3):
        kept.request("globex")
    refusal(kept.request, "globex")
    overridden(path, globex={"requests_per_second": 10, "bytes_per_day": 1})
    clock.now += LOOK_SECONDS
    for _ in range(2):
        kept.request("acme")
    refusal(kept.events, "globex", 1, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSON object"),
        ("[]", "JSON object"),
        ('{"acme": {"requests": 1}}', "requests"),
        ('{"acme": {"bytes_per_day": -1}}', "bytes_per_day"),
        ('{"a/b": {}}', "tenant 'a/b'"),
    ],
)
def test_a_wrong_file_is_refused_at_the_start_and_told_later(
    text: str, told: str, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "quotas.json"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match="MATIH_API_QUOTAS_FILE") as caught:
        quotas(clock, quotas_file=path)
    assert told in str(caught.value)
    overridden(path, acme={"requests_per_second": 1, "requests_burst": 1})
    kept = quotas(clock, quotas_file=path)
    kept.request("acme")
    path.write_text(text + " ")
    clock.now += LOOK_SECONDS / 2
    refusal(kept.request, "acme")
    assert not caplog.text
    clock.now += LOOK_SECONDS / 2
    kept.request("acme")
    refusal(kept.request, "acme")
    assert caplog.text.count("the quotas stay as they were") == 1


def test_a_file_that_is_not_there_is_told_by_its_variable(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="MATIH_API_QUOTAS_FILE"):
        quotas(clock, quotas_file=tmp_path / "none.json")
