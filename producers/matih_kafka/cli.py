"""`matih topics create|check|print`."""

from __future__ import annotations

import asyncio
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, print_json
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.printing import FORMATS
from matih_kafka.settings import KafkaSettings, kafka_settings
from matih_schemas import schema
from matih_schemas.errors import InvalidName
from matih_schemas.topics import Framing, Topic, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from matih_kafka.registry.client import RegistryClient

T = TypeVar("T")
_PATIENCE_SECONDS: Final = 30.0
topics = typer.Typer(
    add_completion=False, help="The topics of the catalogue, on the Kafka that KAFKA_BOOTSTRAP_SERVERS names."
)


class Format(str, Enum):
    """What `print` writes."""

    strimzi = "strimzi"
    terraform = "terraform"
    shell = "shell"


@topics.command()
def create(
    json: JsonOption = False,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition; default 3, or the number of brokers if fewer.")
    ] = None,
) -> None:
    """Make the topics that are not there yet. Those that are there stay as they are: see `check`.

    With MATIH_EVENTS_FRAMING=confluent the schema is registered too.
    """
    from matih_kafka.admin import create_topics
    from matih_kafka.registry.subjects import register

    settings, wanted = _settings()
    registry = _registry(settings)
    made = _finish(create_topics(settings, wanted, replication))
    subjects = _told(lambda: {} if registry is None else register(registry, wanted))
    if json:
        print_json({"bootstrap_servers": settings.bootstrap_servers, "topics": made, "subjects": subjects})
        return
    for name, outcome in (made | subjects).items():
        console.print(f"{name}: {'is there already' if outcome == 'exists' else outcome}", soft_wrap=True)


@topics.command()
def check(json: JsonOption = False) -> int:
    """Compare partitions and settings with the catalogue; exit code 1 and a list if they differ."""
    from matih_kafka.admin import check_topics
    from matih_kafka.registry.subjects import check as check_subjects

    settings, wanted = _settings()
    registry = _registry(settings)
    differences = _finish(check_topics(settings, wanted))
    differences += _told(lambda: [] if registry is None else check_subjects(registry, wanted))
    if json:
        print_json({"ok": not differences, "differences": [vars(difference) for difference in differences]})
    else:
        for difference in differences:
            console.print(str(difference), soft_wrap=True)
        console.print(_verdict(differences, len(wanted)), soft_wrap=True)
    return 1 if differences else 0


@topics.command(name="print")
def print_(
    output: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.shell,
    json: JsonOption = False,
) -> None:
    """Write the catalogue for Strimzi, Terraform or a shell."""
    _, wanted = _settings()
    if json:
        print_json({"topics": [_as_json(topic) for topic in wanted]})
    else:
        sys.stdout.write(FORMATS[output.value](wanted))


@topics.command(name="schema")
def schema_() -> None:
    """Write the Avro schema of the events, as consumers need it."""
    sys.stdout.write(schema.text())


def _settings() -> tuple[KafkaSettings, tuple[Topic, ...]]:
    try:
        settings = kafka_settings()
        return settings, catalogue(settings.events_topic, settings.events_partitions, settings.framing)
    except (InvalidSettings, InvalidName) as error:
        raise WrongUse(str(error)) from error


def _registry(kafka: KafkaSettings) -> RegistryClient | None:
    """The registry, if the topic's framing needs one."""
    if kafka.framing is not Framing.CONFLUENT:
        return None
    from matih_kafka.registry.client import RegistryClient
    from matih_kafka.registry.settings import required_settings

    try:
        settings = required_settings()
        # Registering takes longer than looking up, and somebody waits for the answer.
        return RegistryClient(settings.model_copy(update={"timeout": max(settings.timeout, _PATIENCE_SECONDS)}))
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error


def _finish(work: Coroutine[Any, Any, T]) -> T:
    return _told(lambda: asyncio.run(work))


def _told(work: Callable[[], T]) -> T:
    try:
        return work()
    except KafkaError as error:
        raise CommandFailed(str(error)) from error


def _verdict(differences: list[Any], checked: int) -> str:
    if not differences:
        return f"{checked} topics are as the catalogue has them"
    if any(difference.setting == "partitions" for difference in differences):
        return "another number of partitions can't be mended: move to a new topic (MATIH_EVENTS_TOPIC)"
    if any(difference.setting in {"exists", "schema", "compatibility"} for difference in differences):
        return "`matih topics create` makes what is missing"
    return "alter these settings, or make the topics by `matih topics print`"


def _as_json(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "owner": topic.owner,
        "partitions": topic.partitions,
        "framing": topic.framing.value,
        "dead_letters": topic.dead_letters,
        "config": topic.settings(),
    }
