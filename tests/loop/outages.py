"""When which part of the whole is killed, and how long it stays away: by a seed, so that it can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass

SERVERS = ("kafka", "mlflow", "worker", "postgres")
VICTIMS = ("trainer", "shipper", *SERVERS)
GAP_SECONDS = (1.0, 14.0)
"""Between one kill and the next: less than most outages last, so they overlap."""
DOWN_SECONDS = (0.0, 20.0)


@dataclass(frozen=True)
class Outage:
    """One kill.

    Attributes:
        at: seconds after the beginning.
        seconds: until it may start again; 0 for a trainer or a shipper, which are started by whoever misses them.
    """

    victim: str
    at: float
    seconds: float


def outages(seed: int, seconds: float) -> list[Outage]:
    """The kills within so many seconds, in their order; nothing is killed that is away."""
    dice = random.Random(f"outages-{seed}")
    found: list[Outage] = []
    back = dict.fromkeys(VICTIMS, 0.0)
    at = dice.uniform(*GAP_SECONDS)
    while at < seconds:
        victim = dice.choice([one for one in VICTIMS if back[one] <= at])
        away = dice.uniform(*DOWN_SECONDS) if victim in SERVERS else 0.0
        back[victim] = at + away
        found.append(Outage(victim, at, away))
        at += dice.uniform(*GAP_SECONDS)
    return found
