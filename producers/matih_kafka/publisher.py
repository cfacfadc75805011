"""The contract between who publishes records and what carries them to a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


@dataclass(frozen=True, slots=True)
class Record:
    """One record to be published.

    Attributes:
        key: decides the partition, by Kafka's murmur2.
        timestamp_ms: ms since the epoch, kept only by topics with CreateTime; None means now.
    """

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None

    def __len__(self) -> int:
        """Its size in bytes, without Kafka's own framing."""
        return len(self.key) + len(self.value)


class Publisher(Protocol):
    """Carries records to one topic. All calls come from one event loop.

    The contract, which `tests/kafka/test_publisher_contract.py` holds every implementation to:

    - A future of `send` has no exception only after all in-sync replicas have the record.
    - Records of one key stand in the topic in the order of `send`, and are acknowledged in that order.
    - After one record has failed, every record that was not acknowledged fails too, and `send` raises, until `connect`
      has succeeded again. So the caller goes back to its first unacknowledged record, calls `connect`, and sends again
      from there: then nothing is lost, a record may stand in the topic twice, and the first copies are in order.
    - An outage alone fails nothing for a while: it may end by itself. `waiting_since` tells how long it lasts.
    """

    async def connect(self) -> None:
        """Connects (again), forgets what was not acknowledged, and looks at the topic.

        Raises:
            BrokerUnavailable: not reachable, or not allowed; try again later.
            WrongTopic: the topic is missing or has another number of partitions than the catalogue.
        """
        ...

    def send(self, record: Record) -> asyncio.Future[None]:
        """Hands one record over; never waits. The caller bounds what is on its way.

        The future fails with `RecordRejected` if it was this record, with `BrokerUnavailable` otherwise.

        Raises:
            BrokerUnavailable: not connected, or a record has failed since.
        """
        ...

    @property
    def waiting_since(self) -> float | None:
        """The moment (of `time.monotonic()`) since when records wait with no acknowledgement; None if none waits."""
        ...

    async def close(self) -> None:
        """Ends the connection at once; what was not acknowledged by now fails."""
        ...
