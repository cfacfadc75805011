"""Which way a metric is better, and which one stands for an experiment."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.comparison.direction import UnknownGoal, best_metric, direction, goal_direction, preferred
from matih_api.comparison.metric_words import MAXIMISED, MINIMISED
from matih_tracking.reading.views import ExperimentSummary

SMALLER = """
    loss val_loss eval/loss train-loss log_loss logloss validation_0-mlogloss valLoss valid_0.binary_logloss rmse MSE
    val_MAE mape mean_squared_error error_rate word_error_rate perplexity eval_perplexity latency latency_p99
    inference_time train_runtime duration_seconds time false_positive_rate false_negative_rate brier_score fid_score
    negative_log_likelihood accuracy_std time_to_accuracy accuracy_loss f1_loss merror l2 MSELoss
"""
GREATER = """
    accuracy val_acc eval/accuracy f1 f1_score valF1 F1Score auc roc_auc test-auroc r2 r2_score precision@5 recall bleu
    mean_average_precision ndcg@10 mcc explained_variance neg_log_loss neg_mean_squared_error log_likelihood
    tokens_per_second train_samples_per_second true_negative_rate reward loss_improvement something_unknown x
"""


@pytest.mark.parametrize("metric", SMALLER.split())
def test_smaller_is_better(metric):
    assert direction(metric) == "minimize"


@pytest.mark.parametrize("metric", [*GREATER.split(), "", "日本"])
def test_greater_is_better(metric):
    assert direction(metric) == "maximize"


def test_no_word_says_both():
    assert not MINIMISED & MAXIMISED


@pytest.mark.parametrize(
    "goal", ["min", "MIN", "minimize", "Minimise", "minimized", "minimum", "lower", "lower_is_better"]
)
def test_goals_to_minimise(goal):
    assert direction("accuracy", goal) == "minimize"


@pytest.mark.parametrize("goal", ["max", "MAXIMIZE", "maximise", "maximization", "higher", "higher-is-better"])
def test_goals_to_maximise(goal):
    assert direction("loss", goal) == "maximize"


@pytest.mark.parametrize("goal", ["best", "minute", "maximize minimize", "?"])
def test_a_goal_that_is_none_is_told(goal):
    with pytest.raises(UnknownGoal, match="minimize or maximize"):
        goal_direction(goal)


@pytest.mark.parametrize("goal", ["", None])
def test_no_goal_is_the_name(goal):
    assert direction("val_loss", goal) == "minimize"


@given(st.text())
def test_every_name_has_a_direction(metric):
    assert direction(metric) in {"minimize", "maximize"}


def test_f1_goes_before_auc_before_accuracy_before_loss():
    order = ["f1_score", "roc_auc", "accuracy", "precision", "r2", "rmse", "loss"]
    for place, metric in enumerate(order):
        assert preferred(order[place:][::-1]) == metric


def test_validation_goes_before_test_before_training():
    names = ["val_accuracy", "test_accuracy", "accuracy", "train_accuracy"]
    for place, metric in enumerate(names):
        assert preferred(names[place:][::-1]) == metric


def test_unknown_and_system_metrics_stand_for_nothing():
    assert preferred(["lr", "epoch", "system/gpu_memory_loss"]) is None


def summary(**best):
    return ExperimentSummary(3, best)


def test_best_metric_follows_the_tag():
    runs = summary(f1=(0.9, 0.1), val_loss=(2.0, 0.5))
    assert best_metric(runs, {"matih.primary_metric": "val_loss"}) == {"val_loss": 0.5}
    assert best_metric(runs, {"matih.primary_metric": "val_loss", "matih.primary_metric_goal": "Maximise"}) == {
        "val_loss": 2.0
    }


def test_a_goal_without_a_metric_or_a_wrong_one_changes_nothing():
    runs = summary(f1=(0.9, 0.1))
    assert best_metric(runs, {"matih.primary_metric_goal": "min"}) == {"f1": 0.9}
    assert best_metric(runs, {"matih.primary_metric": "f1", "matih.primary_metric_goal": "best"}) == {"f1": 0.9}


def test_a_metric_that_the_tag_names_and_no_run_has_is_not_replaced():
    assert best_metric(summary(f1=(0.9, 0.1)), {"matih.primary_metric": "auc"}) == {}


def test_without_a_tag_the_order_decides():
    assert best_metric(summary(loss=(2.0, 0.5), f1=(0.9, 0.1), auc=(1.0, 0.0)), {}) == {"f1": 0.9}
    assert best_metric(summary(loss=(math.inf, -1.0)), {}) == {"loss": -1.0}
    assert best_metric(summary(), {}) == {}
    assert best_metric(summary(epoch=(3.0, 1.0)), {}) == {}
