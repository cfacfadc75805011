"""Who runs a command: what it says of itself in events, certificates and logs."""

from __future__ import annotations

import getpass
import os
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings


class Operator(NamedTuple):
    """Nobody has authenticated him but Kafka, whose user he is there: the rest is what his process says."""

    user: str
    host: str
    kafka_user: str = ""
    release: str = ""


def operator(settings: KafkaSettings | None = None) -> Operator:
    """Who runs this process, and whose credentials it uses towards Kafka."""
    try:
        release = version("matih-tracking")
    except PackageNotFoundError:  # run from a checkout
        release = ""
    return Operator(user_name(), socket.gethostname(), settings.principal if settings else "", release)


def user_name() -> str:
    """The system's name of who runs this process; its number where the system has none for it (a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
