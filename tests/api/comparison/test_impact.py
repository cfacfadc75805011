"""Correlations agree with scipy's on whatever can be computed; importance finds the param that matters."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.api.comparison.tables import reordered, table, tables

from matih_api.comparison import importance
from matih_api.comparison.correlation import correlation, ranks, unit
from matih_api.comparison.impact import parameter_impact

TAME = st.integers(-1000, 1000).map(lambda value: value / 8)
PAIRS = st.lists(st.tuples(st.none() | TAME, st.none() | TAME), max_size=40)


def columns(pairs):
    return np.array([x for x, _ in pairs], dtype=float), np.array([y for _, y in pairs], dtype=float)


def whole(pairs):
    there = [(x, y) for x, y in pairs if x is not None and y is not None]
    return columns(there)


@given(PAIRS)
def test_correlations_are_those_of_scipy_over_the_pairs(pairs):
    found = correlation(*columns(pairs))
    x, y = whole(pairs)
    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
        return
    pearson, spearman = scipy.stats.pearsonr(x, y), scipy.stats.spearmanr(x, y)
    assert found.n == len(x)
    assert found.pearson == pytest.approx(pearson.statistic, abs=1e-9)
    assert found.spearman == pytest.approx(spearman.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(pearson.pvalue, rel=1e-6, abs=1e-6)


@given(PAIRS, st.randoms())
def test_the_order_of_the_pairs_plays_no_part(pairs, shuffler):
    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    assert_same(correlation(*columns(pairs)), correlation(*columns(shuffled)))


@given(PAIRS, st.sampled_from([1e-300, 1e-9, 3.0, 1e12, 1e300]), st.sampled_from([-1, 1]))
def test_the_unit_of_a_column_plays_no_part_but_for_the_sign(pairs, factor, sign):
    x, y = columns(pairs)
    found, other = correlation(x, y), correlation(x * factor * sign, y)
    assert_same(found and found._replace(pearson=sign * found.pearson, spearman=sign * found.spearman), other)


def assert_same(one, other):
    assert (one is None) == (other is None)
    if one is not None:
        assert tuple(one) == pytest.approx(tuple(other), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3), st.data())
def test_any_finite_floats_have_coefficients(values, data):
    others = data.draw(st.lists(st.floats(), min_size=len(values), max_size=len(values)))
    found = correlation(np.array(values), np.array(others))
    if found is not None:
        assert -1 <= found.pearson <= 1
        assert -1 <= found.spearman <= 1
        assert 0 <= found.p_value <= 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, unique=True))
def test_the_unit_scale_keeps_the_order(values):
    assume(len(set(values)) > 1)
    scaled = unit(np.array(values))
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert (np.diff(scaled[np.argsort(values)]) >= 0).all()


@given(st.lists(TAME | st.just(math.nan), max_size=40))
def test_ranks_are_those_of_scipy(values):
    np.testing.assert_array_equal(ranks(np.array(values)), scipy.stats.rankdata(values, nan_policy="omit"))


def test_near_values_far_from_zero_are_not_constant():
    x = np.array([1e15, 1e15 + 1, 1e15 + 2, 1e15 + 3])
    assert correlation(x, np.array([1.0, 2.0, 3.0, 4.0])).pearson == pytest.approx(1)


def grid(runs=200, seed=1):
    draw = random.Random(seed)
    lr = [draw.random() for _ in range(runs)]
    noise = [draw.random() for _ in range(runs)]
    f1 = [(x - 0.5) ** 2 + 0.01 * draw.random() for x in lr]
    return table({"f1_score": f1}, {"lr": list(map(repr, lr)), "noise": list(map(repr, noise))})


def test_importance_finds_what_no_correlation_does():
    found = parameter_impact(grid(), None, "f1_score")
    assert abs(found["lr"].correlation) < 0.3
    assert found["lr"].importance > 0.5
    assert abs(found["noise"].importance) < 0.1
    assert found["lr"].importance_r_squared > 0.7
    assert (found["lr"].importance_runs, found["lr"].importance_seed) == (200, importance.SEED)


def test_the_answer_of_a_param():
    answer = parameter_impact(grid(), ["lr"], "f1_score")["lr"].answer()
    assert answer["correlation_with_f1"] == answer["correlation"]
    assert (answer["metric"], answer["method"], answer["n"]) == ("f1_score", "pearson", 200)
    assert {"p_value", "spearman", "importance"} <= answer.keys()


def test_the_order_of_the_runs_plays_no_part_in_importance_either():
    runs = grid(60)
    order = list(range(60))
    random.Random(3).shuffle(order)
    assert parameter_impact(reordered(runs, order), None, "f1_score") == parameter_impact(runs, None, "f1_score")


def test_another_seed_is_told():
    assert {found.importance_seed for found in parameter_impact(grid(), None, "f1_score", seed=7).values()} == {7}


def test_what_has_no_impact_is_left_out():
    runs = table(
        {"f1": [0.1, 0.2, 0.3, 0.4], "flat": [1.0] * 4, "nan": [math.nan] * 4},
        {
            "lr": ["1", "2", "3", "5"],
            "constant": ["1"] * 4,
            "optimizer": ["adam", "sgd", "adam", "sgd"],
            "two": ["1", "2", None, None],
            "three": ["1", "2", None, "4"],
            "never": [None] * 4,
        },
    )
    assert set(parameter_impact(runs, None, "f1")) == {"lr", "three"}
    assert set(parameter_impact(runs, ["three", "absent", "lr"], "f1")) == {"three", "lr"}
    for metric in ("flat", "nan", "unknown"):
        assert parameter_impact(runs, None, metric) == {}


def test_gaps_nan_and_infinities_are_left_out_pairwise():
    runs = table(
        {"f1": [1.0, math.nan, 3.0, math.inf, None, 6.0, 7.0]},
        {"a": ["1", "2", "3", "4", "5", "None", "nan"], "b": ["2", "1", "4", "3", "5", "8", "7"]},
    )
    found = parameter_impact(runs, None, "f1")
    assert set(found) == {"b"}
    assert found["b"].n == 4
    assert found["b"].correlation == pytest.approx(scipy.stats.pearsonr([2, 4, 8, 7], [1, 3, 6, 7]).statistic)


@pytest.mark.parametrize(("runs", "told"), [(19, False), (20, True)])
def test_importance_takes_twenty_runs(runs, told):
    found = parameter_impact(grid(runs), None, "f1_score")
    assert all((impact.importance is not None) == told for impact in found.values())


def test_importance_samples_at_most_so_many_runs():
    column = np.arange(float(importance.MOST_RUNS + 500))
    assert importance.importances([column], column).runs == importance.MOST_RUNS


def test_too_many_params_have_no_importance():
    column = np.arange(30.0)
    assert importance.importances([column] * importance.MOST_PARAMS, column) is not None
    assert importance.importances([column] * (importance.MOST_PARAMS + 1), column) is None


def test_a_model_that_knows_nothing_says_nothing():
    draw = np.random.default_rng(5)
    found = importance.importances([draw.random(40)], draw.random(40))
    assert found.r_squared <= 0
    assert found.by_param == [0.0]


@settings(max_examples=60, deadline=None)
@given(tables(most=25))
def test_nothing_raises_and_all_is_finite(runs):
    for metric in runs.metrics:
        for found in parameter_impact(runs, None, metric).values():
            told = [found.correlation, found.p_value, found.spearman, found.importance or 0.0]
            assert all(map(math.isfinite, told))
            assert found.n >= 3


def test_warming_up_is_done_in_a_thread():
    thread = importance.warm_up()
    thread.join(60)
    assert not thread.is_alive()
