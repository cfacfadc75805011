"""A worker on a tenant's own topic: others' events are dead letters, whoever wrote them there."""

from __future__ import annotations

import pytest
from tests.workers.journals import Entry, Producer

from matih_kafka.errors import InvalidSettings
from matih_schemas import codec
from matih_workers.reaper.ticks import tick
from matih_workers.records import Received, read
from matih_workers.settings import worker_settings

ACME = frozenset({"acme"})


def received(event: object) -> Received:
    return Received("acme.events.v1", 0, 0, codec.event_key(event), codec.encode(event))  # type: ignore[arg-type]


def test_the_tenants_own_events_pass_and_others_do_not() -> None:
    own, foreign = Producer(tenant="acme"), Producer(tenant="red")
    for event in (own.created(), own.log(Entry({"a": 1.0})), own.ended()):
        assert read(received(event), ACME) == read(received(event))
    for event in (foreign.created(), foreign.log(Entry({"a": 1.0})), foreign.ended()):
        assert read(received(event)).invalid is None
        invalid = read(received(event), ACME).invalid
        assert invalid is not None
        assert invalid.reason == "tenant_mismatch"
        assert invalid.detail == "tenant 'red' may not write to acme.events.v1, acme may"


def test_what_asks_for_nothing_is_no_dead_letter() -> None:
    assert read(received(tick(0, 12, 1)), ACME).invalid is None


@pytest.mark.parametrize(("text", "tenants"), [("", set()), ("acme", {"acme"}), (" acme , red,", {"acme", "red"})])
def test_the_setting_is_a_comma_list(text: str, tenants: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATIH_WORKER_TENANTS", text)
    assert worker_settings().worker_tenants == tenants


@pytest.mark.parametrize("text", ["a/b", ",", "acme,-"])
def test_a_list_that_can_not_be_stops_the_worker(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATIH_WORKER_TENANTS", text)
    with pytest.raises(InvalidSettings, match="MATIH_WORKER_TENANTS"):
        worker_settings()
