"""`matih topics` against a real broker, and the comparison as a pure function."""

import asyncio
import json
import uuid
from dataclasses import replace

import pytest
import yaml

from matih_console.main import main
from matih_kafka.admin import Difference, check_topics, compare, create_topics
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.settings import KafkaSettings
from matih_schemas.topics import catalogue

EVENTS, DEAD = catalogue("c.events.v1")


def test_a_topic_as_the_catalogue_has_it_does_not_differ():
    assert compare(EVENTS, 12, {**EVENTS.settings(), "max.message.bytes": "1"}) == []


def test_each_difference_is_told():
    found = {**EVENTS.settings(), "message.timestamp.type": "CreateTime"}
    del found["retention.ms"]
    assert compare(EVENTS, 6, found) == [
        Difference("c.events.v1", "partitions", "12", "6"),
        Difference("c.events.v1", "retention.ms", str(30 * 24 * 3600 * 1000), "not set"),
        Difference("c.events.v1", "message.timestamp.type", "LogAppendTime", "CreateTime"),
    ]


@pytest.fixture
def environment(kafka, monkeypatch):
    """A topic name that nobody else has, on the real broker."""
    name = f"cli-{uuid.uuid4().hex[:8]}.events.v1"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", name)
    return KafkaSettings(bootstrap_servers=kafka, events_topic=name)


def json_of(capsys, *arguments):
    code = main(["topics", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_create_then_check(environment, capsys):
    events, dead = (topic.name for topic in catalogue(environment.events_topic))
    code, report = json_of(capsys, "check")
    assert (code, report["ok"]) == (1, False)
    assert [(found["topic"], found["setting"]) for found in report["differences"]] == [
        (events, "exists"),
        (dead, "exists"),
    ]
    assert json_of(capsys, "create")[1]["topics"] == {events: "created", dead: "created"}
    assert json_of(capsys, "create")[1]["topics"] == {events: "exists", dead: "exists"}
    assert json_of(capsys, "check") == (0, {"ok": True, "differences": []})


def test_check_finds_what_is_different_on_the_broker(environment, capsys):
    events, dead = catalogue(environment.events_topic)
    other = replace(events, partitions=3, config={"message.timestamp.type": "CreateTime"})
    asyncio.run(create_topics(environment, [other, dead]))
    assert asyncio.run(check_topics(environment, [events, dead])) == [
        Difference(events.name, "partitions", "12", "3"),
        Difference(events.name, "message.timestamp.type", "LogAppendTime", "CreateTime"),
    ]
    assert main(["topics", "check"]) == 1
    assert f"{events.name}: partitions is 3, should be 12" in capsys.readouterr().out


def test_asking_makes_no_topic(environment):
    wanted = catalogue(environment.events_topic)
    for _ in range(2):
        assert {found.setting for found in asyncio.run(check_topics(environment, wanted))} == {"exists"}


def test_too_many_replicas_is_told(environment):
    with pytest.raises(BrokerUnavailable, match="InvalidReplicationFactor"):
        asyncio.run(create_topics(environment, [EVENTS], replication=99))


def test_no_broker_is_one_line_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    assert main(["topics", "check"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "127.0.0.1:9" in told


def test_wrong_settings_are_wrong_use(monkeypatch, capsys):
    monkeypatch.setenv("MATIH_EVENTS_TOPIC", "no such topic")
    assert main(["topics", "print"]) == 2
    assert "'no such topic'" in capsys.readouterr().err


def test_print_for_strimzi_is_the_catalogue(capsys):
    assert main(["topics", "print", "--format", "strimzi"]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [(item["spec"]["topicName"], item["spec"]["partitions"], item["spec"]["config"]) for item in documents] == [
        (topic.name, topic.partitions, topic.settings()) for topic in catalogue()
    ]


@pytest.mark.parametrize("form", ["terraform", "shell"])
def test_print_has_every_setting(capsys, form):
    assert main(["topics", "print", "--format", form]) == 0
    text = capsys.readouterr().out
    for topic in catalogue():
        assert all(word in text for word in (topic.name, *topic.settings(), *topic.settings().values()))


def test_print_as_json(capsys):
    code, report = json_of(capsys, "print")
    assert code == 0
    assert [topic["name"] for topic in report["topics"]] == [topic.name for topic in catalogue()]
