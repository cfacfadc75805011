"""A client that costs little: requests over kept connections, as many at a time as there are connections."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONNECTIONS = 32


@dataclass(frozen=True)
class Load:
    """What came of some requests; `seconds` each took are sorted."""

    seconds: list[float]
    elapsed: float
    statuses: dict[int, int]

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.elapsed

    def percentile(self, part: float) -> float:
        """Seconds that this part of the requests took at most."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * part))]


def request_bytes(url: str, method: str, body: Any = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A request as it goes over the wire."""
    parts = urlsplit(url)
    data = b"" if body is None else json.dumps(body).encode()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    head = f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"{head}{more}Content-Length: {len(data)}\r\n\r\n".encode() + data


def send_all(
    url: str, requests: Sequence[bytes] | Callable[[int], bytes], count: int, connections: int, pause: float = 0.0
) -> Load:
    """Sends so many requests and waits for their answers; each connection pauses so many seconds between two."""
    return asyncio.run(_send_all(url, requests, count, connections, pause))


async def _send_all(
    url: str, requests: Sequence[bytes] | Callable[[int], bytes], count: int, connections: int, pause: float
) -> Load:
    make = requests if callable(requests) else lambda number: requests[number % len(requests)]
    numbers = iter(range(count))
    seconds: list[float] = []
    statuses: dict[int, int] = {}
    start = time.perf_counter()
    await asyncio.gather(*(_connection(url, make, numbers, seconds, statuses, pause) for _ in range(connections)))
    return Load(sorted(seconds), time.perf_counter() - start, statuses)


async def _connection(
    url: str, make: Callable[[int], bytes], numbers: Any, seconds: list[float], statuses: dict[int, int], pause: float
) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number in numbers:
        began = time.perf_counter()
        writer.write(make(number))
        status = await _answer(reader)
        seconds.append(time.perf_counter() - began)
        statuses[status] = statuses.get(status, 0) + 1
        await asyncio.sleep(pause)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while (size := int((await reader.readline()).strip() or b"0", 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(lines[0].split()[1])
