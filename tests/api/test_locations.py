"""Who may name which place for the files of runs: at the REST API and at the event gateway."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.workers.journals import Producer

from matih_api.auth.principal import ANYBODY, Principal, Role
from matih_api.gateway import checked
from matih_api.locations import may_name_local, place_problem
from matih_api.models.v1 import ExperimentIn
from matih_api.problems import Problem
from matih_api.routes.experiments import _check_location
from matih_api.settings import ApiSettings
from matih_schemas import codec
from matih_schemas.event_batch import pack
from matih_schemas.events import ExperimentCreated, TrackingEvent

if TYPE_CHECKING:
    from collections.abc import Callable

ADA = Principal("ada", {"acme": Role.WRITER})
EVERYBODYS = ["s3://b/a", "gs://b/a", "abfss://c@a/x", "wasbs://c@a/x", "hdfs://n:8020/a", "mlflow-artifacts:/a"]
LOCAL = ["file:///etc", "file:/etc", "file:etc"]
PATHS = ["/etc", "//host/etc"]
NOBODYS = ["http://host/a", "ftp://host/a", "FILE:///etc", "File:/etc", "dbfs:/a", "C:\\a", "s3://b/%2e%2e/a"]
NONE_AT_ALL = ["not a uri", "/", "", "s3://b/../a", "file:/x/../etc", "./mlruns", "s3://b/a?b", "s3://b/" + "a" * 157]


def experiment(location: str) -> TrackingEvent:
    return TrackingEvent("0" * 32, "acme", 1, ExperimentCreated("e", "e", artifact_location=location))


def run(location: str) -> TrackingEvent:
    return Producer(tenant="acme").created(artifact_location=location)


def shipped(*events: TrackingEvent, local: bool) -> list[TrackingEvent]:
    return checked(pack(map(codec.encode, events)), ADA, local=local)


def api(principal: Principal, **settings: Any) -> Any:
    return SimpleNamespace(principal=principal, services=SimpleNamespace(settings=ApiSettings(**settings)))


def test_the_servers_disk_is_for_open_mode_on_the_loopback_or_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert may_name_local(ANYBODY, ApiSettings())
    assert not may_name_local(ANYBODY, ApiSettings(host="0.0.0.0"))
    # A proxy on this machine lets in others, and the API listens on the loopback.
    assert not may_name_local(ADA, ApiSettings())
    monkeypatch.setenv("MATIH_API_LOCAL_ARTIFACTS", "1")
    assert may_name_local(ADA, ApiSettings())
    assert may_name_local(ANYBODY, ApiSettings(host="0.0.0.0"))


@pytest.mark.parametrize("location", EVERYBODYS)
def test_everybody_may_name_these(location: str) -> None:
    assert ExperimentIn(name="e", artifact_location=location).artifact_location == location
    _check_location(api(ADA), location)
    assert len(shipped(experiment(location), run(location), local=False)) == 2


@pytest.mark.parametrize("location", LOCAL)
def test_the_rest_api_refuses_the_servers_disk(location: str) -> None:
    assert place_problem(location) is None
    _check_location(api(ANYBODY), location)
    _check_location(api(ADA, local_artifacts=True), location)
    with pytest.raises(Problem) as raised:
        _check_location(api(ADA), location)
    assert (raised.value.status, raised.value.errors[0].loc) == (422, ("body", "artifact_location"))
    assert "MATIH_API_LOCAL_ARTIFACTS" in raised.value.detail


@pytest.mark.parametrize("event", [experiment, run])
@pytest.mark.parametrize("location", [*LOCAL, *PATHS])
def test_the_gateway_refuses_the_servers_disk_and_names_the_event(
    event: Callable[[str], TrackingEvent], location: str
) -> None:
    assert len(shipped(event(location), local=True)) == 1
    with pytest.raises(Problem) as raised:
        shipped(run("s3://b/a"), event(location), local=False)
    assert (raised.value.status, [error.loc for error in raised.value.errors]) == (422, [("body", "events", 1)])
    assert "on the server's own disk" in raised.value.detail
    assert "MATIH_API_LOCAL_ARTIFACTS" in raised.value.detail
    assert "nothing of the batch was published" in raised.value.detail


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("location", NOBODYS)
def test_nobody_may_name_these(location: str, local: bool) -> None:
    assert place_problem(location) is not None
    with pytest.raises(Problem) as raised:
        shipped(experiment(location), local=local)
    assert raised.value.status == 422


@pytest.mark.parametrize("location", NONE_AT_ALL)
def test_what_is_no_place_at_all_holds_up_no_shipper(location: str) -> None:
    """The worker leaves it out, and tells: a run's data never waits for it."""
    assert place_problem(location) is not None
    assert len(shipped(experiment(location), run(location), local=False)) == 2


def test_what_names_no_place_passes() -> None:
    """That is what the SDK sends unless somebody says a place."""
    assert len(shipped(Producer(tenant="acme").created(), local=False)) == 1
