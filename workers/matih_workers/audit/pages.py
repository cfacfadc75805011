"""The archiver's pages: /healthz (it lives), /readyz (it works, or why not), /metrics (Prometheus)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from matih_workers.metrics import CONTENT_TYPE
from matih_workers.web import Served

if TYPE_CHECKING:
    from matih_workers.audit.archiver import Archiver


class Pages(Served):
    """Serves an archiver's state over HTTP."""

    def __init__(self, archiver: Archiver) -> None:
        self._archiver = archiver
        super().__init__({"/readyz": self._readyz, "/metrics": self._metrics}, "MATIH_AUDIT_PORT")

    async def _readyz(self, _request: web.Request) -> web.Response:
        problem = self._archiver.problem
        return web.json_response({"ready": problem is None, "problem": problem}, status=503 if problem else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        metrics = self._archiver.metrics
        metrics.up.set(0 if self._archiver.problem else 1)
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})
