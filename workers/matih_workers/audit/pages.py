"""The archiver's pages: /healthz (it lives), /readyz (it works, or why not), /metrics (Prometheus)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from matih_workers.metrics import CONTENT_TYPE
from matih_workers.web import PortTaken

if TYPE_CHECKING:
    from matih_workers.audit.archiver import Archiver


class Pages:
    """Serves an archiver's state over HTTP."""

    def __init__(self, archiver: Archiver) -> None:
        self._archiver = archiver
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
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
            raise PortTaken(f"port {port} on {host}: {error.strerror}; name another in MATIH_AUDIT_PORT") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        problem = self._archiver.problem
        return web.json_response({"ready": problem is None, "problem": problem}, status=503 if problem else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        metrics = self._archiver.metrics
        metrics.up.set(0 if self._archiver.problem else 1)
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})
