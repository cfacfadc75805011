"""The publisher that goes through the API's event gateway: the same contract as with Kafka itself."""

from __future__ import annotations

import asyncio
import ssl
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import cramjam

from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_kafka.gateway.answers import Later, Refused, Taken, TooMuch, Trouble, Verdict, judge
from matih_kafka.gateway.http import FAILURES, Connection
from matih_kafka.lanes import Lane, Waiting
from matih_kafka.tasks import end
from matih_schemas.event_batch import CONTENT_TYPE, FRAME_BYTES, PATH, pack

if TYPE_CHECKING:
    from matih_kafka.gateway.settings import GatewaySettings
    from matih_kafka.publisher import Record

BATCH_BYTES: Final = 900_000
"""Bytes of a batch before compression: below what a gateway takes, and the proxies before it by default."""
REQUEST_TIMEOUT: Final = 15.0
PATIENCE: Final = 5.0
"""Seconds that a batch is sent again and again before it is said to be refused."""
RECONNECT: Final = 0.5
COMPRESSED_FROM: Final = 512


class GatewayPublisher:
    """Sends one batch at a time, so that all is in order, and fills the next one meanwhile.

    A batch whose answer was lost is sent again: its records may stand on the topic twice, the first copies in order.
    """

    def __init__(
        self, settings: GatewaySettings, request_timeout: float = REQUEST_TIMEOUT, patience: float = PATIENCE
    ) -> None:
        self._settings = settings
        self._request_timeout = request_timeout
        self._patience = patience
        self._batch_bytes = BATCH_BYTES
        self._lane = Lane(0)
        self._failure: Exception | None = BrokerUnavailable("not connected")
        self._carrier: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._token = ""
        self._not_before = 0.0

    @property
    def waiting_since(self) -> float | None:
        """See `Publisher.waiting_since`."""
        return self._lane.since

    async def connect(self) -> None:
        """Asks the gateway whether this token may send events, by an empty batch. See `Publisher.connect`.

        Waits first for as long as the gateway has asked for.

        Raises:
            InvalidSettings: the token can't be read.
        """
        await self.close()
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        self._token = self._settings.current_token()
        self._connection = Connection(f"{self._settings.url}{PATH}", self._request_timeout)
        verdict = await self._post([])
        if not isinstance(verdict, Taken):
            await self.close()
            if isinstance(verdict, Later):
                self._not_before = time.monotonic() + verdict.seconds
            raise BrokerUnavailable(self._told(verdict.why))
        self._failure = None

    def send(self, record: Record) -> asyncio.Future[None]:
        """See `Publisher.send`. The key and the headers are not sent: the gateway makes them of the event."""
        if self._failure:
            raise BrokerUnavailable(f"connect first: {self._failure}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._lane.put(Waiting(record, future))
        if self._carrier is None:
            self._carrier = loop.create_task(self._carry())
        return future

    async def close(self) -> None:
        """See `Publisher.close`."""
        self._fail(BrokerUnavailable("closed"))
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            await end([carrier])

    async def _carry(self) -> None:
        """Carries what waits, batch by batch, until nothing does."""
        while self._lane.queue:
            self._fill()
            verdict = await self._deliver()
            if isinstance(verdict, Taken):
                self._lane.acknowledge()
            elif isinstance(verdict, TooMuch):
                self._put_back()
            else:
                self._give_up(verdict)
        self._carrier = None

    def _fill(self) -> None:
        """Takes from the queue what fits into one batch, and one record in any case."""
        lane, size = self._lane, 0
        while lane.queue:
            size += len(lane.queue[0].record.value) + FRAME_BYTES
            if lane.on_its_way and size > self._batch_bytes:
                break
            lane.on_its_way.append(lane.queue.popleft())

    def _put_back(self) -> None:
        """Something takes no bodies of this size: smaller ones from now on."""
        lane = self._lane
        self._batch_bytes = sum(len(waiting.record.value) + FRAME_BYTES for waiting in lane.on_its_way) // 2
        lane.queue.extendleft(reversed(lane.on_its_way))
        lane.on_its_way = []

    async def _deliver(self) -> Verdict:
        """Sends the batch until it is taken, refused, or time is up."""
        values = [waiting.record.value for waiting in self._lane.on_its_way]
        give_up_at = time.monotonic() + self._patience
        while True:
            verdict = await self._post(values)
            if not isinstance(verdict, Later):
                return verdict
            now = time.monotonic()
            if now + verdict.seconds >= give_up_at:
                self._not_before = now + verdict.seconds
                return verdict
            await asyncio.sleep(verdict.seconds)

    async def _post(self, values: list[bytes]) -> Verdict:
        body, headers = self._request(values)
        assert self._connection is not None
        try:
            answer = await asyncio.wait_for(self._connection.post(body, headers), 2 * self._request_timeout)
        except (TimeoutError, asyncio.TimeoutError):  # a step of the request, or all of it
            self._connection.abort()
            self._connection = Connection(f"{self._settings.url}{PATH}", self._request_timeout)
            return Later(
                RECONNECT,
                f"no answer within {self._request_timeout:g} s: is it up, or does a firewall drop what is sent?",
            )
        except FAILURES as error:
            return Later(RECONNECT, _unreachable(error))
        return judge(answer, len(values), with_token=bool(self._token))

    def _request(self, values: list[bytes]) -> tuple[bytes, dict[str, str]]:
        body = pack(values)
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": f"matih-tracking/{_release()}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if len(body) >= COMPRESSED_FROM:
            headers["Content-Encoding"] = "zstd"
            body = bytes(cramjam.zstd.compress(body))
        return body, headers

    def _give_up(self, verdict: Later | Refused | Trouble) -> None:
        if isinstance(verdict, Refused):
            culprit = self._lane.on_its_way[verdict.index]
            reason = RecordRejected(self._told(verdict.why))
            self._fail(BrokerUnavailable("a record before this one was rejected"), culprit, reason)
        else:
            self._fail(BrokerUnavailable(self._told(verdict.why)))

    def _fail(self, error: Exception, culprit: Waiting | None = None, reason: Exception | None = None) -> None:
        self._failure = error
        self._lane.fail(error, culprit, reason)

    def _told(self, why: str) -> str:
        return f"the event gateway at {self._settings.url}: {why}"


async def check_gateway(settings: GatewaySettings, timeout: float = 3.0) -> None:
    """Asks the gateway whether events may be sent to it.

    Raises:
        BrokerUnavailable: it does not answer, or does not let us; the message says why.
        InvalidSettings: the token can't be read.
    """
    publisher = GatewayPublisher(settings, timeout)
    try:
        await publisher.connect()
    finally:
        await publisher.close()


def _unreachable(error: BaseException) -> str:
    what = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ssl.SSLError):
        return f"{what}: does SSL_CERT_FILE name the authority of its certificate?"
    return f"{what}: is it up, and is MATIH_API_URL right?"


def _release() -> str:
    try:
        return version("matih-tracking")
    except PackageNotFoundError:
        return "unknown"
