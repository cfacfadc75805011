"""`/api/v1/experiments`, clause by clause: each test's name or first line is the clause."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.api.calls import ML, RUNS, V1, Calls, good, locs, made, problem

SHAPE = {
    "id",
    "name",
    "description",
    "artifact_location",
    "lifecycle_stage",
    "created_at",
    "last_updated",
    "tags",
}


def names(answer: Any) -> list[str]:
    return [one["name"] for one in good(answer)["experiments"]]


def test_post_answers_201_with_exactly_these_fields(calls: Calls) -> None:
    body = {"name": "churn", "description": "who leaves", "tags": {"team": "growth"}}
    found = made(calls.post(V1, body))
    assert set(found) == SHAPE
    assert {key: found[key] for key in body} == body
    assert found["lifecycle_stage"] == "active"
    assert found["id"] == str(uuid.UUID(found["id"]))
    assert good(calls.get(f"{V1}/{found['id']}")) == found


def test_post_defaults_description_empty_tags_empty_and_artifact_location_never_null(calls: Calls) -> None:
    found = made(calls.post(V1, {"name": "churn"}))
    assert (found["description"], found["tags"]) == ("", {})
    assert found["artifact_location"].startswith("mlflow-artifacts:/")


def test_post_exists_409_with_the_id(calls: Calls) -> None:
    found = calls.experiment()
    for family in (V1, ML):
        assert problem(calls.post(family, {"name": "churn"}), 409)["id"] == found["id"]


def test_post_deleted_409_restore_it(calls: Calls) -> None:
    found = calls.experiment()
    assert calls.delete(f"{V1}/{found['id']}").status_code == 204
    answer = problem(calls.post(V1, {"name": "churn"}), 409)
    assert answer["id"] == found["id"]
    assert "restore it" in answer["detail"]


@pytest.mark.parametrize("bad", ["", " \t ", "a\x00b", "a\nb", "a\x7fb", "x" * 256, None, 7])
def test_post_name_1_to_255_blank_nul_control_characters_422(calls: Calls, bad: Any) -> None:
    for family in (V1, ML):
        found = problem(calls.post(family, {"name": bad}), 422)["errors"]
        assert found[0]["loc"] in (["body", "name"], ["body"])  # NUL is found before anybody knows fields


def test_post_name_of_255_characters_and_of_any_alphabet(calls: Calls) -> None:
    for name in ("n" * 255, "Ärger über 模型 🚀", "team/project", "a%b_c"):
        found = calls.experiment(name)
        assert found["name"] == name
        assert names(calls.get(V1, search=name)) == [name]


def test_post_description_at_most_1000(calls: Calls) -> None:
    assert calls.experiment("a", description="d" * 1000)["description"] == "d" * 1000
    assert locs(calls.post(V1, {"name": "b", "description": "d" * 1001})) == [["body", "description"]]


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/a",
        "gs://bucket/a",
        "abfss://c@account.dfs.core.windows.net/a",
        "wasbs://c@account.blob.core.windows.net/a",
        "hdfs://name:8020/a",
        "mlflow-artifacts:/a",
        "file:///tmp/a",
    ],
)
def test_post_artifact_location_of_these_schemes(calls: Calls, place: str) -> None:
    assert calls.experiment(artifact_location=place)["artifact_location"] == place


@pytest.mark.parametrize(
    "place",
    [
        "ftp://host/a",
        "http://host/a",
        "javascript:alert(1)",
        "/tmp/a",
        "s3",
        "s3://bucket/../a",
        "s3://bucket/..",
        "s3://bucket/%2e%2e/a",
        "s3://bucket/a#b",
        "s3://bucket/a?b=c",
        "s3://bucket/" + "a" * 157,
        "",
    ],
)
def test_post_artifact_location_422(calls: Calls, place: str) -> None:
    assert locs(calls.post(V1, {"name": "a", "artifact_location": place})) == [["body", "artifact_location"]]


def test_list_full_shape_total_limit_offset(calls: Calls) -> None:
    found = [calls.experiment(name) for name in ("a", "b", "c")]
    listed = good(calls.get(V1))
    assert listed == {"experiments": found[::-1], "total": 3, "limit": 100, "offset": 0}
    assert good(calls.get(V1, limit=1, offset=1)) == {"experiments": [found[1]], "total": 3, "limit": 1, "offset": 1}


def test_list_lifecycle_stage_active_deleted_all(calls: Calls) -> None:
    calls.experiment("kept")
    gone = calls.experiment("gone")
    calls.delete(f"{V1}/{gone['id']}")
    assert names(calls.get(V1)) == names(calls.get(V1, lifecycle_stage="active")) == ["kept"]
    assert names(calls.get(V1, lifecycle_stage="deleted")) == ["gone"]
    assert names(calls.get(V1, lifecycle_stage="all")) == ["gone", "kept"]
    assert locs(calls.get(V1, lifecycle_stage="dead")) == [["query", "lifecycle_stage"]]


def test_search_case_insensitive_substring_of_the_display_name(calls: Calls) -> None:
    for name in ("Churn 2024", "fraud", "prechurned"):
        calls.experiment(name)
    assert names(calls.get(V1, search="CHURN")) == ["prechurned", "Churn 2024"]
    assert good(calls.get(V1, search="churn", limit=1))["total"] == 2
    assert names(calls.get(V1, search="")) == ["prechurned", "fraud", "Churn 2024"]


def test_search_wildcards_taken_literally(calls: Calls) -> None:
    for name in ("50% off", "500 off", "a_b", "axb", "back\\slash", "a*b"):
        calls.experiment(name)
    for search, wanted in (("0%", "50% off"), ("a_b", "a_b"), ("k\\s", "back\\slash"), ("a*b", "a*b")):
        assert names(calls.get(V1, search=search)) == [wanted]


def test_search_never_matches_the_tenant_prefix(calls: Calls) -> None:
    calls.experiment("a")
    for search in (calls.tenant, calls.tenant[:5], f"{calls.tenant}/a", "/"):
        assert names(calls.get(V1, search=search)) == []


@pytest.mark.parametrize("by", ["query", "json"])
def test_patch_by_query_and_by_json(calls: Calls, by: str) -> None:
    found = calls.experiment(tags={"team": "growth"})
    said = {"name": "churn 2", "description": "new"}
    path = f"{V1}/{found['id']}"
    answer = good(calls.patch(path, **said) if by == "query" else calls.patch(path, said))
    assert set(answer) == SHAPE
    assert {**answer, "last_updated": ""} == {**found, **said, "last_updated": ""}
    assert {**good(calls.get(path)), "last_updated": ""} == {**answer, "last_updated": ""}
    assert names(calls.get(V1)) == ["churn 2"]


def test_patch_tags_are_added_to(calls: Calls) -> None:
    found = calls.experiment(tags={"a": "1", "b": "2"})
    assert good(calls.patch(f"{V1}/{found['id']}", {"tags": {"b": 3, "c": True}}))["tags"] == {
        "a": "1",
        "b": "3",
        "c": "True",
    }


def test_patch_description_may_become_empty(calls: Calls) -> None:
    found = calls.experiment(description="old")
    assert good(calls.patch(f"{V1}/{found['id']}", {"description": ""}))["description"] == ""
    assert good(calls.get(f"{V1}/{found['id']}"))["description"] == ""


def test_patch_both_and_differing_400_both_and_the_same_200(calls: Calls) -> None:
    path = f"{V1}/{calls.experiment()['id']}"
    for field in ("name", "description"):
        problem(calls.patch(path, {field: "b"}, **{field: "c"}), 400)
        assert good(calls.patch(path, {field: "b"}, **{field: "b"}))[field] == "b"
    mixed = good(calls.patch(path, {"description": "d"}, name="e"))
    assert (mixed["name"], mixed["description"]) == ("e", "d")


def test_patch_name_taken_409(calls: Calls) -> None:
    taken, other = calls.experiment("a"), calls.experiment("b")
    assert problem(calls.patch(f"{V1}/{other['id']}", {"name": "a"}), 409)["id"] == taken["id"]
    calls.delete(f"{V1}/{taken['id']}")
    assert problem(calls.patch(f"{V1}/{other['id']}", name="a"), 409)["id"] == taken["id"]


def test_patch_deleted_409(calls: Calls) -> None:
    found = calls.experiment()
    calls.delete(f"{V1}/{found['id']}")
    assert problem(calls.patch(f"{V1}/{found['id']}", {"name": "b"}), 409)["id"] == found["id"]


def test_patch_nothing_200_unchanged(calls: Calls) -> None:
    found = calls.experiment()
    path = f"{V1}/{found['id']}"
    assert good(calls.patch(path)) == good(calls.patch(path, {})) == good(calls.patch(path, name="churn")) == found
    assert good(calls.get(path)) == found


@pytest.mark.parametrize("bad", ["", " ", "x" * 256, "a\nb"])
def test_patch_bad_names_422(untouched: tuple[Calls, dict[str, Any]], bad: str) -> None:
    calls, run = untouched
    path = f"{V1}/{run['experiment_id']}"
    assert locs(calls.patch(path, name=bad)) == [["query", "name"]]
    assert locs(calls.patch(path, {"name": bad})) == [["body", "name"]]


def test_a_renamed_experiment_keeps_its_old_name_as_an_alias(calls: Calls) -> None:
    """Creating under an alias is a 409 that names the experiment"""
    found = calls.experiment("a")
    path = f"{V1}/{found['id']}"
    good(calls.patch(path, name="b"))
    for family in (V1, ML):
        assert problem(calls.post(family, {"name": "a"}), 409)["id"] == found["id"]
    other = calls.experiment("c")
    assert problem(calls.patch(f"{V1}/{other['id']}", name="a"), 409)["id"] == found["id"]
    assert good(calls.patch(path, name="a"))["name"] == "a"
    assert good(calls.get(path))["name"] == "a"
    assert names(calls.get(V1)) == ["c", "a"]


def test_an_experiment_by_the_id_of_its_new_name_as_nobody_made_it(calls: Calls) -> None:
    """The id wins: an experiment keeps its id for ever"""
    found = calls.experiment("a")
    good(calls.patch(f"{V1}/{found['id']}", name="b"))
    run = calls.run(found["id"])
    assert run["experiment_id"] == found["id"]
    assert good(calls.get(RUNS, experiment_id=found["id"]))["total"] == 1


def test_delete_204_again_204_then_get_shows_deleted(calls: Calls) -> None:
    path = f"{V1}/{calls.experiment()['id']}"
    for _ in range(2):
        answer = calls.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert good(calls.get(path))["lifecycle_stage"] == "deleted"


def test_restore_200(calls: Calls) -> None:
    found = calls.experiment()
    path = f"{V1}/{found['id']}"
    calls.delete(path)
    answer = good(calls.post(f"{path}/restore"))
    assert {**answer, "last_updated": ""} == {**found, "last_updated": ""}
    assert good(calls.post(f"{path}/restore"))["lifecycle_stage"] == "active"
    assert names(calls.get(V1)) == ["churn"]


def test_restore_runs_that_were_deleted_one_by_one_stay_deleted(calls: Calls) -> None:
    home = calls.experiment()["id"]
    gone, kept = calls.run(home), calls.run(home)
    calls.delete(f"{RUNS}/{gone['id']}")
    calls.delete(f"{V1}/{home}")
    assert good(calls.get(RUNS, experiment_id=home))["total"] == 0
    problem(calls.post(f"{RUNS}/{kept['id']}/log-metrics", {"metrics": {"loss": 1}}), 409)
    problem(calls.post(f"{RUNS}/{gone['id']}/restore"), 409)
    calls.post(f"{V1}/{home}/restore")
    assert [one["id"] for one in good(calls.get(RUNS, experiment_id=home))["runs"]] == [kept["id"]]
    calls.log(kept, {"loss": 1})
    assert [one["id"] for one in good(calls.get(RUNS, experiment_id=home))["runs"]] == [kept["id"]]
    assert problem(calls.post(f"{RUNS}/{gone['id']}/log-metrics", {"metrics": {"loss": 1}}), 409)["id"] == gone["id"]


def test_names_may_hold_a_slash(calls: Calls) -> None:
    found = calls.experiment("team/project")
    assert good(calls.get(f"{V1}/{found['id']}"))["name"] == "team/project"
    assert names(calls.get(V1, search="m/pro")) == ["team/project"]
    assert good(calls.patch(f"{V1}/{found['id']}", name="team/a/b"))["name"] == "team/a/b"
