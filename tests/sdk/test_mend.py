"""The table of bad input: what is mended, what is dropped, and that no two keys ever become one."""

from __future__ import annotations

import math
import posixpath
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_schemas.limits import KEY_MAX, PARAM_VALUE_MAX, STEP_MAX, STEP_MIN, TAG_VALUE_MAX
from matih_tracking import mend
from matih_tracking.tally import GUIDE, Tally

NOW = 1_700_000_000_000
KEYS = st.text(max_size=300) | st.text("./@ a:\n", max_size=12)
THINGS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
THINGS |= st.decimals() | st.fractions() | st.lists(st.floats(), max_size=2) | st.datetimes()


def mlflow_takes(key: str) -> bool:
    """MLflow's own rule (mlflow.utils.validation), with the end of the text meant as such."""
    norm = posixpath.normpath(key)
    return (
        re.fullmatch(r"[/\w.\- :]*", key) is not None
        and norm == key
        and norm != "."
        and not norm.startswith(("..", "/"))
        and len(key) <= 250
    )


class Rude:
    """Whatever is asked of it, it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __float__ = __index__ = __int__ = __str__  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        raise AttributeError(name) if name.startswith("__") else RuntimeError(name)


class Scalar:
    """A tensor of one element, as torch's."""

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value


@given(KEYS)
def test_a_key_is_legal_exactly_where_mlflow_takes_it(key):
    assert mend.is_legal_key(key) == mlflow_takes(key)


@given(KEYS)
def test_a_mended_key_is_legal_and_a_legal_one_stays(key):
    mended = mend.mend_key(key)
    assert mlflow_takes(mended)
    assert mended == key or not mlflow_takes(key)


@given(st.sets(KEYS | st.integers() | st.none() | st.booleans(), max_size=30))
def test_two_keys_never_become_one(keys):
    assert len({mend.mend_key(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("loss@a", "loss#a"),
        ("a/../b", "a/./b"),
        ("/loss", "loss/"),
        ("a//b", "a/_/b"),
        ("../x", "_/x"),
        ("k" * 300, "k" * 301),
        ("loss\0", "loss\n"),
        ("", "_"),
        ("1", 1),
        ("None", None),
        ("é@", "e@"),
    ],
)
def test_keys_that_look_alike_once_mended_stay_two(one, other):
    kept = mend.mend_metrics({one: 1.0, other: 2.0}).kept
    assert sorted(kept.values()) == [1.0, 2.0]
    assert all(mlflow_takes(key) for key in kept)


def test_a_changed_key_ends_in_the_hash_of_the_given_one():
    assert re.fullmatch(r"loss_a_[0-9a-f]{8}", mend.mend_key("loss@a"))
    assert len(mend.mend_key("k" * 300)) == KEY_MAX
    assert mend.mend_key(np.str_("val/loss")) == "val/loss"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1, 1.0),
        (True, 1.0),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (np.float32(0.25), 0.25),
        (np.float64(0.25), 0.25),
        (np.int64(3), 3.0),
        (np.bool_(True), 1.0),
        (np.array(0.25), 0.25),
        (np.array([0.25]), 0.25),
        (Scalar(0.25), 0.25),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (Decimal("-Infinity"), -math.inf),
    ],
)
def test_numbers_of_every_kind_become_floats(value, stored):
    mended = mend.mend_metrics({"m": value})
    assert mended.kept == {"m": stored}
    assert type(mended.kept["m"]) is float
    assert mended.problems == []


def test_nan_is_kept():
    assert math.isnan(mend.mend_metrics({"m": math.nan}).kept["m"])
    assert math.isnan(mend.mend_metrics({"m": np.float32("nan")}).kept["m"])


@pytest.mark.parametrize(
    "value",
    ["0.5", b"0.5", np.str_("0.5"), None, 1j, np.complex64(1), [0.5], np.array([1.0, 2.0]), 10**400, object(), Rude()],
)
def test_what_is_no_number_is_dropped_and_the_rest_is_kept(value):
    mended = mend.mend_metrics({"good": 0.5, "bad": value})
    assert mended.kept == {"good": 0.5}
    assert [problem.kind for problem in mended.problems] == ["metric_not_a_number"]
    assert "'bad'" in mended.problems[0].subject


@given(st.dictionaries(KEYS | st.integers(), THINGS, max_size=5))
def test_metrics_never_raise_and_count_every_loss(metrics):
    mended = mend.mend_metrics(metrics)
    lost = [problem for problem in mended.problems if problem.kind in mend.DROPS]
    assert len(mended.kept) + len(lost) == len(metrics)
    assert all(mlflow_takes(key) and type(value) is float for key, value in mended.kept.items())


@given(st.dictionaries(KEYS | st.integers(), THINGS, max_size=5))
def test_params_never_raise_and_lose_nothing(params):
    kept = mend.mend_params(params).kept
    assert len(kept) == len(params)
    for key, value in kept.items():
        assert mlflow_takes(key)
        assert "\0" not in value
        assert len(value) <= PARAM_VALUE_MAX
        value.encode()


@pytest.mark.parametrize("given_", [None, "loss", 5, [1.0], ("a", 1)])
def test_what_is_no_mapping_is_dropped(given_):
    for mended in (mend.mend_metrics(given_), mend.mend_params(given_), mend.mend_tags(given_)):
        assert mended.kept == {}
        assert [problem.kind for problem in mended.problems] == ["not_a_mapping"]


def test_texts_are_cut_and_cleaned_as_the_store_needs_them():
    mended = mend.mend_params({"nul": "a\0b", "lone": "a\ud800b", "long": "x" * 7000, "bad": Rude(), "ok": 0.1})
    assert mended.kept == {"nul": "a\ufffdb", "lone": "a\ufffdb", "long": "x" * PARAM_VALUE_MAX, "ok": "0.1"}
    assert [p.kind for p in mended.problems] == ["text_replaced", "text_replaced", "text_cut", "unprintable"]
    assert len(mend.mend_tags({"long": "x" * 9000}).kept["long"]) == TAG_VALUE_MAX


@pytest.mark.parametrize(
    "key",
    ["password", "db.password", "db/password", "DB_PASSWORD", "apiKey", "openai_api_key", "api-key", "client.secret",
     "HF_ACCESS_TOKEN", "accessToken", "auth_token"],
)  # fmt: skip
def test_secrets_are_redacted(key):
    mended = mend.mend_params({key: "hunter2"})
    assert list(mended.kept.values()) == [mend.REDACTED]
    assert [problem.kind for problem in mended.problems] == ["secret_redacted"]
    assert "hunter2" not in str(mended.problems)
    assert list(mend.mend_params({key: "hunter2"}, redact=False).kept.values()) == ["hunter2"]


@pytest.mark.parametrize("key", ["max_tokens", "token", "secretary", "password_length", "n_secrets", "tokenizer"])
def test_what_only_resembles_a_secret_is_kept(key):
    assert mend.mend_params({key: "x"}).kept == {key: "x"}


def test_only_texts_are_secrets():
    assert mend.mend_params({"use.password": True, "auth_token": None}).kept == {
        "use.password": "True",
        "auth_token": "None",
    }


def test_matih_tags_are_ours_but_for_two():
    mended = mend.mend_tags({"matih.status": "1", "matih.primary_metric": "f1", "mlflow.note.content": "n", "team": 3})
    assert mended.kept == {"matih.primary_metric": "f1", "mlflow.note.content": "n", "team": "3"}
    assert [problem.kind for problem in mended.problems] == ["reserved_tag"]


@pytest.mark.parametrize(
    ("step", "stored"),
    [(None, 0), (0, 0), (7, 7), (-3, -3), (True, 1), (3.0, 3), (np.int32(9), 9), (STEP_MAX, STEP_MAX),
     (STEP_MIN, STEP_MIN)],
)  # fmt: skip
def test_steps(step, stored):
    assert mend.mend_step(step) == stored


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 2.5, math.nan, math.inf, "3", b"3", [], Rude(), 1e30])
def test_a_step_that_is_none_is_neither_clamped_nor_parsed(step):
    assert mend.mend_step(step) is None


@pytest.mark.parametrize(("given_", "stored"), [(None, NOW), (5, 5), (5.9, 5), (0, 0), (np.int64(8), 8)])
def test_timestamps(given_, stored):
    assert mend.mend_timestamp(given_, NOW) == (stored, None)


@pytest.mark.parametrize("given_", [-1, "yesterday", 2**70, math.nan, Rude()])
def test_an_impossible_timestamp_becomes_now(given_):
    stored, problem = mend.mend_timestamp(given_, NOW)
    assert stored == NOW
    assert problem is not None
    assert problem.kind == "timestamp_replaced"


@given(THINGS)
def test_steps_and_timestamps_never_raise(thing):
    step = mend.mend_step(thing)
    assert step is None or STEP_MIN <= step <= STEP_MAX
    assert 0 <= mend.mend_timestamp(thing, NOW)[0] <= STEP_MAX


def test_every_kind_stands_in_the_tables():
    guide = (Path(__file__).parents[2] / GUIDE).read_text()
    assert mend.__doc__ is not None
    for kind in mend.Kind.__args__:
        assert f"`{kind}`" in mend.__doc__
        assert f"`{kind}`" in guide
    for kind in re.findall(r"`([a-z]+_[a-z]+)`", Tally.__doc__ or ""):
        assert f"`{kind}`" in guide
