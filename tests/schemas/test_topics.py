"""The topic catalogue."""

from __future__ import annotations

import pytest

from matih_schemas import topics
from matih_schemas.errors import InvalidName


def test_events_and_dead_letters_are_a_pair() -> None:
    events, dead = topics.catalogue()
    assert (events.name, events.dead_letters) == ("matih.tracking.events.v1", "matih.tracking.dlq.v1")
    assert dead.name == events.dead_letters
    assert events.partitions == dead.partitions == topics.PARTITIONS


def test_received_time_is_the_brokers_and_a_dead_letter_keeps_it() -> None:
    events, dead = topics.catalogue()
    assert events.settings()["message.timestamp.type"] == "LogAppendTime"
    assert dead.settings()["message.timestamp.type"] == "CreateTime"


@pytest.mark.parametrize(
    ("name", "dead"),
    [("x.events.v2", "x.dlq.v2"), ("plain", "plain.dlq"), ("a.events.b.events.v1", "a.events.b.dlq.v1")],
)
def test_name_of_the_dead_letters(name: str, dead: str) -> None:
    assert topics.dead_letter_name(name) == dead


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 246, "ä b"])
def test_a_name_kafka_would_refuse(name: str) -> None:
    with pytest.raises(InvalidName, match="topic"):
        topics.catalogue(name)


def test_which_of_some_topics_are_of_dead_letters() -> None:
    names = ["a.events.v1", "a.dlq.v1", "other", "other.dlq", "b.dlq.v1"]
    assert topics.dead_letter_names(names) == {"a.dlq.v1", "other.dlq"}
    assert topics.dead_letter_names([]) == frozenset()
