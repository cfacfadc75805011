"""What compare answers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.comparison.tables import FLOATS, table, tables

from matih_api.comparison.compare import best_run, compare
from matih_api.comparison.direction import UnknownGoal
from matih_api.models.comparison import ComparedRun, ComparisonBody, ComparisonResponse, ParameterImpact

IDS = table({"x": [None] * 9}).run_ids


def three():
    return table(
        {"f1_score": [0.7, 0.9, 0.8], "loss": [0.1, None, math.nan], "other": [None, None, None]},
        {"lr": ["0.1", "0.01", None], "code": ["007", "1", "2"], "opt": ["adam", "sgd", "sgd"]},
    )


def test_the_answer_is_the_documented_one():
    found = compare(three(), ["f1_score", "loss", "other", "unknown"], ["lr", "code", "opt", "absent"])
    assert found.answer() == {
        "comparison": {
            "runs": [
                {
                    "run_id": IDS[0],
                    "f1_score": 0.7,
                    "loss": 0.1,
                    "metrics": {"f1_score": 0.7, "loss": 0.1},
                    "parameters": {"lr": 0.1, "code": "007", "opt": "adam"},
                },
                {
                    "run_id": IDS[1],
                    "f1_score": 0.9,
                    "metrics": {"f1_score": 0.9},
                    "parameters": {"lr": 0.01, "code": 1, "opt": "sgd"},
                },
                {
                    "run_id": IDS[2],
                    "f1_score": 0.8,
                    "loss": "NaN",
                    "metrics": {"f1_score": 0.8, "loss": "NaN"},
                    "parameters": {"code": 2, "opt": "sgd"},
                },
            ],
            "best_run": IDS[1],
            "parameter_impact": {},
        }
    }


def test_the_impact_is_on_the_first_metric():
    runs = table({"loss": [1.0, 2.0, 4.0], "f1_score": [0.1, 0.5, 0.2]}, {"lr": ["1", "2", "4"]})
    found = compare(runs, ["f1_score", "loss"]).answer()["comparison"]["parameter_impact"]
    assert found["lr"]["metric"] == "f1_score"
    assert found["lr"]["correlation_with_f1"] == pytest.approx(found["lr"]["correlation"])
    assert compare(runs, ["loss"]).impact["lr"].correlation == pytest.approx(1)


def test_a_metric_never_takes_the_place_of_a_key():
    runs = table({"run_id": [1.0], "metrics": [2.0], "parameters": [3.0], "x": [4.0]}, {"lr": ["1"]})
    (found,) = compare(runs, ["run_id", "metrics", "parameters", "x"]).runs
    assert found == {
        "run_id": IDS[0],
        "x": 4.0,
        "metrics": {"run_id": 1.0, "metrics": 2.0, "parameters": 3.0, "x": 4.0},
        "parameters": {"lr": 1},
    }


@pytest.mark.parametrize(
    ("metric", "goal", "values", "best"),
    [
        ("f1", None, [0.1, 0.9, 0.5], 1),
        ("loss", None, [0.1, 0.9, 0.5], 0),
        ("loss", "max", [0.1, 0.9, 0.5], 1),
        ("f1", "Minimise", [0.1, 0.9, 0.5], 0),
        ("f1", None, [math.nan, 0.2, None], 1),
        ("loss", None, [math.nan, math.inf, 3.0], 2),
        ("loss", None, [math.nan, math.inf, None], 1),
        ("f1", None, [0.5, 0.5, 0.1], 1),  # newest first: the second started earlier
        ("loss", None, [0.5, 0.7, 0.5], 2),
        ("f1", None, [math.nan, None, math.nan], None),
    ],
)
def test_the_best_run(metric, goal, values, best):
    found = compare(table({metric: values}), [metric], goal=goal)
    assert found.best_run == (None if best is None else IDS[best])


def test_no_run_is_best_by_a_metric_that_nobody_logged_not_even_by_another():
    found = compare(three(), ["other", "f1_score"])
    assert (found.best_run, found.impact) == (None, {})
    assert found.runs[0]["metrics"] == {"f1_score": 0.7}


def test_without_metrics_all_are_compared_and_the_one_that_says_most_decides():
    runs = table({"loss": [0.1, 0.9], "f1_score": [0.2, 0.8], "epoch": [1.0, 2.0]})
    found = compare(runs)
    assert (found.metric, found.best_run) == ("f1_score", IDS[1])
    assert set(found.runs[0]["metrics"]) == {"loss", "f1_score", "epoch"}
    assert compare(runs, []).metric == "f1_score"


def test_without_metrics_the_tag_decides():
    runs = table({"loss": [0.1, 0.9], "f1_score": [0.2, 0.8]})
    assert compare(runs, tags={"matih.primary_metric": "loss"}).best_run == IDS[0]
    tags = {"matih.primary_metric": "loss", "matih.primary_metric_goal": "max"}
    assert compare(runs, tags=tags).best_run == IDS[1]
    assert compare(runs, ["loss"], goal="min", tags=tags).best_run == IDS[0]
    assert compare(runs, ["f1_score"], tags={**tags, "matih.primary_metric_goal": "min"}).best_run == IDS[1]


def test_a_wrong_goal_is_told():
    with pytest.raises(UnknownGoal):
        compare(three(), ["f1_score"], goal="fast")


def test_no_params_wanted_are_none():
    found = compare(three(), ["f1_score"], [])
    assert [run["parameters"] for run in found.runs] == [{}, {}, {}]
    assert found.impact == {}


@given(st.lists(st.none() | FLOATS, max_size=20), st.sampled_from(["minimize", "maximize"]))
def test_no_run_is_better_than_the_best(values, towards):
    best = best_run(table({"m": values}), "m", towards)
    there = [value for value in values if value is not None and not math.isnan(value)]
    if not there:
        assert best is None
        return
    value = values[int(best, 16)]
    assert value == (max(there) if towards == "maximize" else min(there))
    assert value not in values[int(best, 16) + 1 :]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_any_table_has_an_answer_of_the_documented_shape(runs):
    answer = compare(runs).answer()
    parsed = ComparisonResponse.model_validate_json(json.dumps(answer, allow_nan=False))
    assert [run.run_id for run in parsed.comparison.runs] == runs.run_ids
    for place, run in enumerate(answer["comparison"]["runs"]):
        logged = {key for key, values in runs.metrics.items() if values[place] is not None}
        assert run["metrics"].keys() == logged
        assert run.keys() == {"run_id", "metrics", "parameters"} | logged
        assert run["parameters"].keys() == {key for key, values in runs.params.items() if values[place] is not None}


def test_the_examples_are_answers():
    for model in (ComparisonResponse, ComparisonBody, ComparedRun, ParameterImpact):
        example = model.model_config["json_schema_extra"]["example"]
        assert model.model_validate(example).model_dump() == example
