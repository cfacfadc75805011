"""Confluent's own deserializer, as an audit consumer has it, reads what we write as we do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from matih_schemas import examples

if TYPE_CHECKING:
    from tests.registry.topic import ConfluentTopic

    from matih_schemas.events import TrackingEvent


def plain(event: TrackingEvent) -> dict[str, Any]:
    """The event as a reader without our classes sees it: its kind is which of the union's records it is."""
    return asdict(event)


def read(topic: ConfluentTopic, count: int) -> dict[str, dict[str, Any]]:
    """The events by id, by Confluent's client and deserializer alone."""
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": topic.registry}), return_record_name=True)
    consumer = Consumer(
        {"bootstrap.servers": topic.brokers, "group.id": f"foreign-{topic.name}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic.name])
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        message = consumer.poll(30)
        assert message is not None, f"{len(found)} of {count}"
        assert message.error() is None
        value: Any = deserialize(message.value(), SerializationContext(topic.name, MessageField.VALUE))
        found[value["event_id"]] = value
    consumer.close()
    return found


def test_every_kind_of_event_is_read_as_it_was_written(confluent: ConfluentTopic) -> None:
    events = {event.event_id: event for event in examples.examples()}
    confluent.publish(events.values())
    found = read(confluent, len(events))
    assert found.keys() == events.keys()
    for event_id, event in events.items():
        kind, payload = found[event_id].pop("payload")
        wanted = plain(event)
        assert kind == f"ai.matih.tracking.{event.kind}"
        assert payload == wanted.pop("payload")
        assert found[event_id] == wanted
    assert {event.event_id: event for event in confluent.events()} == events
