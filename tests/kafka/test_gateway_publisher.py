"""The publisher through a gateway on real sockets: outages, TLS, proxies, tokens, and whatever answers in between."""

from __future__ import annotations

import asyncio
import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.gateway_app import Serving, app, tokens_in
from tests.kafka.secure_broker import Authority

from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_kafka.gateway import publisher as module
from matih_kafka.gateway.publisher import GatewayPublisher
from matih_kafka.gateway.settings import GatewaySettings
from matih_kafka.memory import MemoryPublisher
from matih_kafka.publisher import Record
from matih_schemas import codec
from matih_schemas.event_batch import unpack
from matih_schemas.events import ExperimentDeleted, TrackingEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


def record(number: int, tenant: str = "acme") -> Record:
    event = TrackingEvent(str(number), tenant, 1, ExperimentDeleted("e"))
    return Record(codec.event_key(event), codec.encode(event))


def numbers(topic: MemoryPublisher) -> list[int]:
    return [int(codec.decode(item.value).event_id) for partition in topic.partitions for item in partition]


def run(scenario: Callable[[GatewayPublisher], Awaitable[None]], url: str, **more: Any) -> None:
    settings = {name: more.pop(name) for name in ("token", "token_file") if name in more}

    async def all_of_it() -> None:
        publisher = GatewayPublisher(GatewaySettings(url=url, **settings), **more)
        try:
            await scenario(publisher)
        finally:
            await publisher.close()

    asyncio.run(asyncio.wait_for(all_of_it(), 30))


class Scripted:
    """A server that answers as it is told to, and takes what it answers 200 to.

    Attributes:
        answers: what to answer, one after the other: status and headers; None ends the connection. Then 200 for ever.
    """

    def __init__(self, *answers: tuple[int, dict[str, str]] | None) -> None:
        self.answers = list(answers)
        self.taken: list[int] = []
        self.connections: set[Any] = set()
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.requests += 1
                outer.connections.add(self.client_address)
                values = list(unpack(self.rfile.read(int(self.headers["Content-Length"]))))
                told = outer.answers.pop(0) if outer.answers and values else (200, {})
                if told is None:
                    self.close_connection = True
                    return
                status, headers = told
                body = json.dumps({"accepted": len(values)} if status == 200 else {"detail": "on purpose"}).encode()
                if status == 200:
                    outer.taken += [int(codec.decode(value).event_id) for value in values]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = headers.get("Connection") == "close" or "secretly" in headers

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Scripted:
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(autouse=True)
def small_batches_uncompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPRESSED_FROM", 1 << 30)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def all_sent(publisher: GatewayPublisher, count: int) -> list[Any]:
    return await asyncio.gather(*(publisher.send(record(number)) for number in range(count)), return_exceptions=True)


def test_one_connection_serves_all_batches() -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        for number in range(20):
            await publisher.send(record(number))

    with Scripted() as server:
        run(scenario, server.url)
        assert server.taken == list(range(20))
        assert (len(server.connections), server.requests) == (1, 21)


@pytest.mark.parametrize(
    "trouble", [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"}), (502, {"Retry-After": "0"}), None]
)
def test_what_passes_by_itself_is_waited_out_in_order(trouble: Any) -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        assert await all_sent(publisher, 50) == [None] * 50

    with Scripted(trouble, trouble, trouble) as server:
        run(scenario, server.url)
        assert server.taken == list(range(50))


def test_a_connection_that_the_server_has_ended_meanwhile_is_opened_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RECONNECT", 60.0)

    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        for number in range(5):
            await publisher.send(record(number))

    with Scripted(*[(200, {"secretly": "closed"})] * 5) as server:
        run(scenario, server.url)
        assert server.taken == list(range(5))


def test_a_long_wait_fails_what_waits_and_is_kept_by_the_next_connect() -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        ends = await all_sent(publisher, 3)
        assert {type(end) for end in ends} == {BrokerUnavailable}
        assert "429" in str(ends[0])
        assert "on purpose" in str(ends[0])
        before = time.monotonic()
        await publisher.connect()
        assert time.monotonic() - before > 0.5
        assert await all_sent(publisher, 3) == [None] * 3

    with Scripted((429, {"Retry-After": "1"})) as server:
        run(scenario, server.url, patience=0.5)
        assert server.taken == [0, 1, 2]


def test_a_body_too_large_for_what_stands_in_between_is_parted() -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        await publisher.send(record(0))
        assert await all_sent(publisher, 100) == [None] * 100

    with Scripted((200, {}), (413, {}), (413, {}), (413, {})) as server:
        run(scenario, server.url)
        assert server.taken == [0, *range(100)]
        assert server.requests > 10


def test_one_record_too_large_for_what_stands_in_between_is_named() -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        (end,) = await all_sent(publisher, 1)
        assert isinstance(end, RecordRejected)

    with Scripted((413, {})) as server:
        run(scenario, server.url)


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_unknown_answers_keep_everything(status: int) -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        ends = await all_sent(publisher, 3)
        assert {type(end) for end in ends} == {BrokerUnavailable}
        assert str(status) in str(ends[0])
        assert "MATIH_API_URL" in str(ends[0])
        await publisher.connect()
        assert await all_sent(publisher, 3) == [None] * 3

    with Scripted((status, {})) as server:
        run(scenario, server.url)
        assert server.taken == [0, 1, 2]


def test_a_host_that_can_be_none_is_an_outage_too() -> None:
    async def scenario(publisher: GatewayPublisher) -> None:
        with pytest.raises(BrokerUnavailable, match="MATIH_API_URL"):
            await publisher.connect()

    run(scenario, f"http://{'a' * 70}.example")


def test_nobody_there_is_an_outage_that_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def scenario(publisher: GatewayPublisher) -> None:
        with pytest.raises(BrokerUnavailable, match=f"{url}: .*refused"):
            await publisher.connect()

    run(scenario, url)


def test_a_server_that_never_answers_holds_up_neither_connect_nor_close() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def scenario(publisher: GatewayPublisher) -> None:
            with pytest.raises(BrokerUnavailable, match="no answer within"):
                await publisher.connect()
            connecting = asyncio.ensure_future(publisher.connect())
            await asyncio.sleep(0.05)
            connecting.cancel()
            before = time.monotonic()
            await publisher.close()
            assert time.monotonic() - before < 0.2

        run(scenario, f"http://127.0.0.1:{silent.getsockname()[1]}", request_timeout=0.3)


def test_a_token_is_read_anew_from_its_file_and_never_told(tmp_path: Path) -> None:
    tokens, file, topic = tmp_path / "tokens.json", tmp_path / "token", MemoryPublisher()
    tokens.write_text(json.dumps({"n3w-s3cret": ["ada", {"acme": "WRITER"}]}))
    file.write_text("0ld-s3cret\n")

    async def scenario(publisher: GatewayPublisher) -> None:
        with pytest.raises(BrokerUnavailable, match=r"401.*MATIH_API_TOKEN_FILE") as raised:
            await publisher.connect()
        assert "s3cret" not in str(raised.value)
        file.write_text("n3w-s3cret\n")
        await publisher.connect()
        assert await all_sent(publisher, 3) == [None] * 3
        with pytest.raises(BrokerUnavailable, match="set MATIH_TENANT=acme"):
            await publisher.send(record(9, "default"))
        await publisher.connect()

    with Serving(app(lambda: topic, tokens_in(tokens))) as serving:
        run(scenario, f"http://127.0.0.1:{serving.port}", token_file=file)
    assert numbers(topic) == [0, 1, 2]


@contextmanager
def proxy() -> Iterator[tuple[int, list[str]]]:
    """A proxy that knows CONNECT only, and the first lines of what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Proxy-Authorization')}")
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port))) as far:
                self.send_response(200)
                self.end_headers()
                threads = [
                    threading.Thread(target=_pump, args=pair, daemon=True)
                    for pair in ((self.connection, far), (far, self.connection))
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_tls_is_verified_and_goes_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Authority(tmp_path).issue("server")
    topic = MemoryPublisher()
    options = {"ssl_certfile": str(tmp_path / "server.crt"), "ssl_keyfile": str(tmp_path / "server.key")}

    async def distrusted(publisher: GatewayPublisher) -> None:
        with pytest.raises(BrokerUnavailable, match=r"certificate verify failed.*SSL_CERT_FILE"):
            await publisher.connect()

    async def trusted(publisher: GatewayPublisher) -> None:
        await publisher.connect()
        assert await all_sent(publisher, 3) == [None] * 3

    with Serving(app(lambda: topic), **options) as serving, proxy() as (port, asked):
        url = f"https://127.0.0.1:{serving.port}"
        run(distrusted, url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        run(trusted, url)
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:pw@127.0.0.1:{port}")
        run(trusted, url)
        assert asked == [f"127.0.0.1:{serving.port} Basic YWRhOnB3"]
    assert sorted(numbers(topic)) == [0, 0, 1, 1, 2, 2]
