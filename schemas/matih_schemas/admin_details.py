"""What the details of an admin action hold, by name. Pure.

A list is JSON of names in order, `LISTED_MAX` at most; `<name>_in_all` then says how many there are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RUNS: Final = "runs"
EXPERIMENTS: Final = "experiments"
TENANTS: Final = "tenants"
LISTS: Final = (RUNS, EXPERIMENTS, TENANTS)
KAFKA_USER: Final = "kafka_user"
"""Whose credentials towards Kafka were used: the SASL user, or the file of a certificate."""
LISTED_MAX: Final = 1000
"""Names in one list: an event has to stay far below the topic's greatest record."""


def listed(name: str, values: Iterable[str]) -> dict[str, str]:
    """A list as details; none if it is empty."""
    found = sorted(set(values))
    more = {f"{name}_in_all": str(len(found))} if len(found) > LISTED_MAX else {}
    return {name: json.dumps(found[:LISTED_MAX]), **more} if found else {}


def names_in(details: Mapping[str, str], name: str) -> frozenset[str]:
    """The list in the details of that name; empty if there is none."""
    try:
        found = json.loads(details.get(name, "[]"))
    except ValueError:
        return frozenset()
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()
