"""Sending records to the end, in order, for a command: an outage that lasts is an error here, not a wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_kafka.publisher import Publisher, Record

TRIES: Final = 12
"""Tries in a row that may bring nothing forward; a batch that is too large takes several to become small enough."""


async def deliver(publisher: Publisher, records: Sequence[Record]) -> dict[int, str]:
    """Returns once all in-sync replicas have every record that the topic takes; one may stand there twice.

    Args:
        publisher: connected.
        records: those of one key arrive in this order.

    Returns:
        Why a record was refused, by its index.

    Raises:
        BrokerUnavailable: Kafka takes nothing for a while.
    """
    refused: dict[int, str] = {}
    left = list(range(len(records)))
    backoff = Backoff(0.1, 2.0)
    while left:
        answers = await asyncio.gather(*[publisher.send(records[index]) for index in left], return_exceptions=True)
        outcomes = list(zip(left, answers, strict=True))
        refused |= {index: str(answer) for index, answer in outcomes if isinstance(answer, RecordRejected)}
        failed = {index: answer for index, answer in outcomes if isinstance(answer, BrokerUnavailable)}
        if len(failed) < len(left):
            backoff.reset()
        left = list(failed)
        if left and backoff.tries >= TRIES:
            raise failed[left[0]]
        if left or refused:  # a refusal, too, ends the connection
            await asyncio.sleep(backoff.next())
            await publisher.connect()
    return refused
