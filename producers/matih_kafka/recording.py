"""How a command says why, and has its deed recorded before it is done."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import note
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.settings import kafka_settings
from matih_schemas.errors import InvalidName

if TYPE_CHECKING:
    from matih_kafka.admin_actions import Deed

Reason = Annotated[str | None, typer.Option("--reason", help="Why you do it: it stands in the event that records it.")]
Unrecorded = Annotated[
    bool, typer.Option("--unrecorded", help="Do it although Kafka does not answer: no event will tell of it.")
]


def reason_for(command: str, given: str | None) -> str:
    """The reason that was given.

    Raises:
        WrongUse: there is none.
    """
    if given is None or not given.strip():
        raise WrongUse(f"{command}: say why: add --reason TEXT, which stands in the event that records it")
    return given.strip()


def record(deed: Deed) -> None:
    """Records a deed of a command that needs Kafka anyway; nothing has been done yet.

    Raises:
        WrongUse: Kafka's settings can't be.
        CommandFailed: Kafka does not take it.
    """
    from matih_kafka import admin_actions

    try:
        asyncio.run(admin_actions.record(kafka_settings(), deed))
    except (InvalidSettings, InvalidName) as error:
        raise WrongUse(str(error)) from error
    except KafkaError as error:
        raise CommandFailed(f"nothing was done, for it can't be recorded: {error}") from error


def record_if_there_is_kafka(deed: Deed, *, unrecorded: bool) -> None:
    """Records a deed of a command that works without Kafka; where none is configured it says that nothing is recorded.

    Args:
        deed: what is about to be done.
        unrecorded: whether it shall be done although Kafka does not answer.

    Raises:
        WrongUse: Kafka's settings can't be.
        CommandFailed: Kafka is configured and does not take it.
    """
    if not os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        note(f"{deed.action} is not recorded as an event: KAFKA_BOOTSTRAP_SERVERS is not set")
        return
    try:
        record(deed)
    except CommandFailed as error:
        if not unrecorded:
            raise CommandFailed(f"{error}; --unrecorded does it all the same") from error
        note(f"{deed.action} is not recorded as an event: {error.__cause__}")
