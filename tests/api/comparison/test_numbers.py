"""Params that are numbers come as numbers, and as the same ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.comparison.tables import FLOATS, TEXTS

from matih_api.comparison.numbers import EXACT, floats, number, numbers
from matih_api.jsonable import plain


@pytest.mark.parametrize("text", ["0", "-7", "12", str(EXACT), str(-EXACT)])
def test_integers(text):
    assert (number(text), type(number(text))) == (int(text), int)


@pytest.mark.parametrize(
    "text", ["0.5", "-0.0", "1.0", "1e5", "1E+2", "1.5e-7", "1.7976931348623157e308", "0e9", "0.00e-999"]
)
def test_floats(text):
    assert (number(text), type(number(text))) == (float(text), float)


STAY = [
    "",
    "007",
    "-007",
    "True",
    "true",
    "None",
    "null",
    "NaN",
    "nan",
    "Infinity",
    "inf",
    "+1",
    ".5",
    "1.",
    " 1",
    "1 ",
]
STAY += [
    "1_000",
    "1\n",
    "0x10",
    "1e",
    "٣",
    "1,5",
    "1e400",
    "1e-400",
    "0.001e-400",
    str(EXACT + 1),
    str(-EXACT - 1),
    "9" * 5000,
]


@pytest.mark.parametrize("text", STAY)
def test_what_is_no_number_or_would_be_another_stays_text(text):
    assert number(text) == text
    assert isinstance(number(text), str)


@given(TEXTS)
def test_a_number_is_what_json_reads(text):
    found = number(text)
    if isinstance(found, str):
        assert found == text
    else:
        assert json.loads(text) == found


@given(st.integers(-EXACT, EXACT) | st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_comes_back(value):
    assert number(repr(value)) == value


@given(st.lists(st.none() | TEXTS))
def test_a_column_is_its_texts_one_by_one(texts):
    assert numbers(texts) == [None if text is None else number(text) for text in texts]


def test_a_param_for_statistics_may_have_gaps_and_large_integers():
    found = floats(numbers(["1", None, "None", "nan", "", "-inf", "1e400", "123456789012345678901234"]))
    np.testing.assert_array_equal(found, [1.0, *[math.nan] * 6, 123456789012345678901234.0])


@pytest.mark.parametrize("texts", [[], [None], ["None", "nan"], ["adam", "1", "2"], ["007", "8"], ["True", "1"]])
def test_a_param_that_is_not_numeric(texts):
    assert floats(numbers(texts)) is None


NESTED = st.recursive(
    FLOATS | st.none() | st.integers() | st.text() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(NESTED)
def test_a_plain_value_is_json_and_nothing_else_changed(value):
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == plain(value)


def test_the_names_of_what_json_has_no_number_for():
    assert plain({"a": [math.nan, (math.inf, -math.inf, 1.5)], "b": "NaN"}) == {
        "a": ["NaN", ["Infinity", "-Infinity", 1.5]],
        "b": "NaN",
    }
