"""Nested configurations become flat params; none is lost, none raises."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.flatten import DEPTH_MAX, flatten

NESTED = st.recursive(
    st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(".ab", max_size=3) | st.integers(0, 2), inner, max_size=3),
    max_leaves=12,
)


@dataclass
class Optimizer:
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass
class Config:
    name: str = "base"
    optimizer: Optimizer = field(default_factory=Optimizer)


def leaves(tree):
    """How many there are; an empty mapping inside is one."""
    return sum(leaves(value) if isinstance(value, dict) and value else 1 for value in tree.values())


def test_dicts_namespaces_and_dataclasses_of_each_other():
    params = {"a": {"b": 1, "c": {"d": 2}}, "cfg": Config(), "args": argparse.Namespace(x=SimpleNamespace(y=3), z=[4])}
    assert flatten(params).kept == {
        "a.b": 1,
        "a.c.d": 2,
        "cfg.name": "base",
        "cfg.optimizer.lr": 0.1,
        "cfg.optimizer.betas": (0.9, 0.99),
        "args.x.y": 3,
        "args.z": [4],
    }
    assert flatten(argparse.Namespace(lr=1)).kept == {"lr": 1}
    assert flatten(Optimizer()).kept == {"lr": 0.1, "betas": (0.9, 0.99)}


def test_what_is_empty_or_a_class_is_a_leaf():
    assert flatten({"none": {}, "type": Config}).kept == {"none": {}, "type": Config}


def test_two_paths_to_one_key_stay_two():
    flat = flatten({"a": {"b": 1}, "a.b": 2})
    assert flat.kept.pop("a.b") == 1
    assert list(flat.kept.values()) == [2]
    assert [problem.kind for problem in flat.problems] == ["key_changed"]


@given(st.dictionaries(st.text(".ab", max_size=3) | st.integers(0, 2), NESTED, max_size=4))
def test_every_leaf_is_kept(tree):
    assert len(flatten(tree).kept) == leaves(tree)


def test_a_configuration_that_holds_itself_ends():
    config: dict[str, object] = {"lr": 1}
    config["self"] = config
    flat = flatten(config)
    assert len(flat.kept) == DEPTH_MAX + 1  # lr at each depth, and itself at the last
    assert flat.kept["lr"] == 1


def test_a_list_is_no_params():
    assert [problem.kind for problem in flatten([1, 2]).problems] == ["not_a_mapping"]
