"""The contract of a reader (matih_tracking/reading/protocol.py) on experiments, held against every reader."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from tests.reading.conftest import ids, listed, producer, spelled
from tests.workers.journals import Entry, experiment_event

from matih_schemas import events, identity, tags
from matih_tracking.reading.queries import ExperimentQuery
from matih_tracking.reading.views import ExperimentSummary

if TYPE_CHECKING:
    from tests.reading.conftest import Place


def test_an_experiment_as_the_worker_made_it(place: Place, tenant: str) -> None:
    given = {"description": "what für", "tags": {"team": "ü", "k" * 250: "v"}, "artifact_location": "s3://bucket/x"}
    ours = place.create(tenant, "team/project", **given)
    found = place.reader.experiment([tenant], ours)
    assert found is not None
    assert (found.experiment_id, found.tenant_id, found.name) == (ours, tenant, "team/project")
    assert (found.artifact_location, found.stage, found.description) == ("s3://bucket/x", "active", "what für")
    assert found.tags.items() >= {"team": "ü", "k" * 250: "v", tags.TENANT_ID: tenant}.items()
    stored = place.client.get_experiment(found.mlflow_id)
    assert stored.name == f"{tenant}/team/project"
    assert (found.created_at, found.last_updated) == (stored.creation_time, stored.last_update_time)
    assert found.tags == stored.tags


def test_an_experiment_made_by_hand_has_the_id_that_it_will_get(place: Place, tenant: str) -> None:
    number = place.client.create_experiment(f"{tenant}/by hand")
    ours = identity.experiment_id(tenant, "by hand")
    for which in (*spelled(ours), number):
        found = place.reader.experiment([tenant], which)
        assert found is not None, which
        assert (found.experiment_id, found.mlflow_id, found.tenant_id, found.name) == (ours, number, tenant, "by hand")
    who = producer(tenant, "by hand")
    place.apply(who.created())
    assert place.experiment(tenant, "by hand").mlflow_id == number
    assert place.run(who.run_id).experiment_id == ours


def test_an_experiment_without_a_prefix_is_the_default_tenants(place: Place, tenant: str) -> None:
    number = place.client.create_experiment(tenant)
    found = place.reader.experiment(["default"], number)
    assert found is not None
    assert (found.tenant_id, found.name) == ("default", tenant)
    assert place.reader.experiment_named("default", tenant) == found


def test_a_tag_says_whose_an_experiment_is_before_its_name(place: Place, tenant: str) -> None:
    number = place.client.create_experiment(f"elsewhere/{tenant}", tags={tags.TENANT_ID: tenant})
    found = place.reader.experiment([tenant], number)
    assert found is not None
    assert (found.tenant_id, found.name) == (tenant, f"elsewhere/{tenant}")
    assert place.reader.experiment(["elsewhere"], number) is None
    assert place.reader.experiment_named(tenant, f"elsewhere/{tenant}") == found
    assert place.reader.experiments([tenant], ExperimentQuery()).items == [found]


def test_experiments_are_found_by_every_spelling_of_their_id(place: Place, tenant: str) -> None:
    ours = place.create(tenant, "e")
    number = place.experiment(tenant, "e").mlflow_id
    for which in (*spelled(ours), number):
        assert place.reader.experiment([tenant], which) == place.experiment(tenant, "e"), which


@pytest.mark.parametrize("which", ["", " ", "no", "-1", "1e3", "9" * 40, "\x00", "\ud800", "%", "٣", "a" * 5000])
def test_what_is_no_id_is_not_found(place: Place, tenant: str, which: str) -> None:
    assert place.reader.experiment([tenant], which) is None
    assert place.reader.run([tenant], which) is None
    assert listed(place, tenant, experiment_id=which).total == 0
    assert listed(place, tenant, run_ids=(which,)).total == 0


def test_a_renamed_experiment_is_found_by_the_id_of_its_old_name(place: Place, tenant: str) -> None:
    ours = place.create(tenant, "old")
    place.apply(experiment_event(tenant, events.ExperimentUpdated(ours, name="new")))
    late = producer(tenant, "new")
    place.apply(late.created())  # met by its name, under the id that this name makes
    alias = identity.experiment_id(tenant, "new")
    found = place.experiment(tenant, "new")
    assert (found.experiment_id, found.name) == (ours, "new")
    assert place.experiment(tenant, "old") == found, "the name that it had before"
    for which in (ours, *spelled(alias)):
        assert place.reader.experiment([tenant], which) == found
    assert ids(listed(place, tenant, experiment_id=alias).items) == [late.run_id]


def test_the_name_an_experiment_has_now_is_stronger_than_one_it_had(place: Place, tenant: str) -> None:
    first = place.create(tenant, "a")
    place.apply(experiment_event(tenant, events.ExperimentUpdated(first, name="b")))
    number = place.client.create_experiment(f"{tenant}/a")
    assert place.experiment(tenant, "a").mlflow_id == number
    assert place.experiment(tenant, "b").experiment_id == first


def test_deleted_experiments_are_found_by_id_and_name(place: Place, tenant: str) -> None:
    ours = place.create(tenant, "gone")
    place.apply(experiment_event(tenant, events.ExperimentDeleted(ours)))
    found = place.reader.experiment([tenant], ours)
    assert found is not None
    assert found.stage == "deleted"
    assert place.experiment(tenant, "gone") == found
    place.apply(experiment_event(tenant, events.ExperimentRestored(ours)))
    assert place.experiment(tenant, "gone").stage == "active"


def test_a_long_name_is_whole_and_searched_whole(place: Place, tenant: str) -> None:
    name = "ä" * 200 + "Middle" + "z" * 300
    place.create(tenant, name)
    assert place.experiment(tenant, name).name == name
    assert len(place.client.get_experiment(place.experiment(tenant, name).mlflow_id).name) == 256
    for part in ("middle", "Z" * 300, "Ä" * 200 + "m"):
        assert place.reader.experiments([tenant], ExperimentQuery(search=part)).total == 1, part[:20]
    for part in ("~", tags.EXPERIMENT_NAME, tenant):
        assert place.reader.experiments([tenant], ExperimentQuery(search=part)).total == 0, part


def test_a_full_name_that_no_longer_holds_is_not_told(place: Place, tenant: str) -> None:
    place.create(tenant, "n" * 400)
    place.client.rename_experiment(place.experiment(tenant, "n" * 400).mlflow_id, f"{tenant}/short")
    assert place.experiment(tenant, "short").name == "short"
    assert place.reader.experiments([tenant], ExperimentQuery(search="nnn")).total == 0
    assert place.reader.experiments([tenant], ExperimentQuery(search="SHORT")).total == 1


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("", ["100%", "a_b", "axb", "Größe", "TEAM/x", r"back\slash"]),
        ("%", ["100%"]),
        ("_", ["a_b"]),
        ("\\", [r"back\slash"]),
        ("A", ["a_b", "axb", "TEAM/x", r"back\slash"]),
        ("GRÖSSE", []),
        ("GRÖ", ["Größe"]),
        ("m/X", ["TEAM/x"]),
        ("'", []),
        ("\x00", []),
        ("\ud800", []),
    ],
)
def test_search_is_literal_in_any_case_and_without_the_prefix(
    place: Place, tenant: str, part: str, wanted: list[str]
) -> None:
    for name in ("100%", "a_b", "axb", "Größe", "TEAM/x", r"back\slash"):
        place.create(tenant, name)
    found = place.reader.experiments([tenant], ExperimentQuery(search=part))
    assert sorted(item.name for item in found.items) == sorted(wanted)
    assert found.total == len(wanted)
    for prefix in (tenant, tenant[:6], f"{tenant}/", "/a"):
        assert place.reader.experiments([tenant], ExperimentQuery(search=prefix)).total == 0


def test_experiments_are_paged_by_stage_the_newest_first(place: Place, tenant: str) -> None:
    made = [place.create(tenant, f"e{number}") for number in range(7)]
    for gone in made[1:3]:
        place.apply(experiment_event(tenant, events.ExperimentDeleted(gone)))
    reader = place.reader
    everything = reader.experiments([tenant], ExperimentQuery(stage="all"))
    keys = [(item.created_at, int(item.mlflow_id)) for item in everything.items]
    assert keys == sorted(keys, reverse=True)
    assert [item.experiment_id for item in everything.items] == made[::-1]
    deleted = reader.experiments([tenant], ExperimentQuery(stage="deleted"))
    assert [item.experiment_id for item in deleted.items] == [made[2], made[1]]
    active = [item.experiment_id for item in reader.experiments([tenant], ExperimentQuery()).items]
    pages = [reader.experiments([tenant], ExperimentQuery(limit=2, offset=offset)) for offset in (0, 2, 4, 6)]
    assert [page.total for page in pages] == [5] * 4
    assert [item.experiment_id for page in pages for item in page.items] == active
    assert [len(page.items) for page in pages] == [2, 2, 1, 0]


def test_position_tags_never_come_out(place: Place, tenant: str) -> None:
    ours = place.create(tenant, "e", tags={"matih.positional": "stays", "Matih.position.x": "stays"})
    key = tags.position("cluster", "topic", 3)
    place.client.set_experiment_tag(place.experiment(tenant, "e").mlflow_id, key, "1")
    found = place.reader.experiment([tenant], ours)
    assert found is not None
    assert key not in found.tags
    assert found.tags.items() >= {"matih.positional": "stays", "Matih.position.x": "stays"}.items()


def test_summaries_tell_runs_and_best_values(place: Place, tenant: str) -> None:
    rows = [
        ({"f1": 0.5, "loss": math.inf, "only_nan": math.nan}, "FINISHED"),
        ({"f1": 0.9, "loss": -math.inf}, "FINISHED"),
        ({"f1": math.nan, "loss": 2.0}, "FINISHED"),
        ({"f1": 1.0, "loss": 3.0}, "FAILED"),
        ({"f1": 2.0}, None),
    ]
    for metrics, status in rows:
        who = producer(tenant)
        place.apply(who.created(), who.log(Entry(metrics)), *([who.ended(status)] if status else []))
    gone = producer(tenant)
    place.apply(gone.created(), gone.log(Entry({"f1": 7.0})), gone.ended(), gone.deleted())
    place.create(tenant, "empty")
    wanted = [place.experiment(tenant, name) for name in ("e", "empty")]
    assert place.reader.summaries(wanted) == {
        wanted[0].experiment_id: ExperimentSummary(5, {"f1": (0.9, 0.5), "loss": (math.inf, -math.inf)}),
        wanted[1].experiment_id: ExperimentSummary(0),
    }
    assert place.reader.summaries([]) == {}
    place.apply(experiment_event(tenant, events.ExperimentDeleted(wanted[0].experiment_id)))
    assert place.reader.summaries([place.experiment(tenant, "e")]) == {wanted[0].experiment_id: ExperimentSummary(0)}
