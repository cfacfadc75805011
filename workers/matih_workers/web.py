"""The worker's pages: /healthz (it lives), /readyz (it works, or why not), /status (counts), /metrics (Prometheus)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from matih_schemas.errors import MatihError
from matih_workers.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from matih_workers.health import Health

    Page = Callable[[web.Request], Awaitable[web.Response]]


class PortTaken(MatihError):
    """The pages' port can't be had."""


class Served:
    """Pages over HTTP: /healthz, which says that the process lives, and those of a subclass."""

    def __init__(self, pages: Mapping[str, Page], setting: str) -> None:
        """Listens to nothing yet.

        Args:
            pages: what answers, by path.
            setting: the variable that names the port, for the message when it is taken.
        """
        self._setting = setting
        application = web.Application()
        application.add_routes([web.get(path, page) for path, page in {"/healthz": _healthz, **pages}.items()])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which is another one if 0 was asked for.

        Raises:
            PortTaken: somebody else listens there.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            raise PortTaken(f"port {port} on {host}: {error.strerror}; name another in {self._setting}") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


class Pages(Served):
    """Serves a `Health` over HTTP. Up before Kafka and the store are, so that it can say what is missing."""

    def __init__(self, health: Health) -> None:
        self._health = health
        pages = {"/readyz": self._readyz, "/status": self._status, "/metrics": self._metrics}
        super().__init__(pages, "MATIH_WORKER_PORT")

    async def _readyz(self, _request: web.Request) -> web.Response:
        problems = self._health.problems()
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(self._health.report())

    async def _metrics(self, _request: web.Request) -> web.Response:
        self._health.metrics.ready.set(0 if self._health.problems() else 1)
        self._health.metrics.kafka_up.set(1 if self._health.kafka_works() else 0)
        return web.Response(body=self._health.metrics.text(), headers={"Content-Type": CONTENT_TYPE})
