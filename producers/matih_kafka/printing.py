"""The catalogue written out for those who make topics by other means."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_schemas.topics import Topic


def strimzi(topics: Sequence[Topic]) -> str:
    """KafkaTopic resources for Strimzi's topic operator; set the label to your cluster's name."""
    return "---\n".join(_strimzi(topic) for topic in topics)


def terraform(topics: Sequence[Topic]) -> str:
    """Resources for Terraform's provider Mongey/kafka."""
    return "\n".join(_terraform(topic) for topic in topics)


def shell(topics: Sequence[Topic]) -> str:
    """Calls of Kafka's own kafka-topics.sh; set BOOTSTRAP first."""
    return "".join(_shell(topic) for topic in topics)


FORMATS = {"strimzi": strimzi, "terraform": terraform, "shell": shell}


def _strimzi(topic: Topic) -> str:
    settings = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in topic.settings().items())
    return (
        "apiVersion: kafka.strimzi.io/v1beta2\n"
        "kind: KafkaTopic\n"
        "metadata:\n"
        f"  name: {_resource_name(topic.name, '-')}\n"
        "  labels:\n"
        "    strimzi.io/cluster: my-cluster\n"
        "spec:\n"
        f"  topicName: {topic.name}\n"
        f"  partitions: {topic.partitions}\n"
        "  replicas: 3\n"
        "  config:\n" + settings
    )


def _terraform(topic: Topic) -> str:
    settings = "".join(f'    "{name}" = {json.dumps(value)}\n' for name, value in topic.settings().items())
    return (
        f'resource "kafka_topic" "{_resource_name(topic.name, "_")}" {{\n'
        f'  name               = "{topic.name}"\n'
        f"  partitions         = {topic.partitions}\n"
        "  replication_factor = 3\n"
        "  config = {\n" + settings + "  }\n}\n"
    )


def _shell(topic: Topic) -> str:
    settings = "".join(f" \\\n  --config {name}={value}" for name, value in topic.settings().items())
    return (
        'kafka-topics.sh --bootstrap-server "$BOOTSTRAP" --create --if-not-exists \\\n'
        f"  --topic {topic.name} --partitions {topic.partitions}{settings}\n"
    )


def _resource_name(name: str, separator: str) -> str:
    """The topic's name with only letters, digits and the separator, as resources may be called."""
    return re.sub(r"[^a-z0-9]+", separator, name.lower()).strip(separator)
