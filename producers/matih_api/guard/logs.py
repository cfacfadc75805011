"""The log: JSON, one line a request and one for everything else. Never credentials, cookies, bodies or queries."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from matih_api.guard.asgi import ACTOR, ERROR_KIND, REQUEST_ID, TENANT, route_template, state

if TYPE_CHECKING:
    from matih_api.guard.asgi import App, Message, Receive, Scope, Send

access: Final = logging.getLogger("matih_api.access")
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: told only when they fail."""
_SHOWN: Final = 500
_EXTRAS: Final = ("request_id", "suppressed")


class JsonFormatter(logging.Formatter):
    """A record as one JSON object on one line; the access log's fields stand in the object itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        line.update({name: getattr(record, name) for name in _EXTRAS if getattr(record, name, None)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


class AccessLog:
    """The middleware that writes one line a request, when its answer is sent."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, seen = time.perf_counter(), {"status": 0, "bytes_in": 0, "bytes_out": 0}

        async def received() -> Message:
            message = await receive()
            seen["bytes_in"] += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            seen["bytes_out"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            _write(scope, seen, time.perf_counter() - began)


def _write(scope: Scope, seen: dict[str, int], seconds: float) -> None:
    status = seen["status"]
    level = logging.ERROR if status >= 500 or not status else logging.INFO
    if not access.isEnabledFor(level) or (scope["path"] in QUIET and 0 < status < 400):
        return
    fields = access_fields(scope, seen, seconds)
    access.log(level, "%s %s %s", fields["method"], fields["route"], status or "no answer", extra={"fields": fields})


def access_fields(scope: Scope, seen: dict[str, int], seconds: float) -> dict[str, Any]:
    """What the line says; `status` is 0 if the client went away, or the server's work ended, before an answer."""
    known = state(scope)
    fields = {
        "request_id": known.get(REQUEST_ID),
        "tenant": known.get(TENANT),
        "actor": known.get(ACTOR),
        "method": scope["method"],
        "route": route_template(scope),
        "path": scope["path"][:_SHOWN],
        "client": (scope.get("client") or (None,))[0],
        "duration_ms": round(seconds * 1000, 3),
        **seen,
    }
    return {**fields, "error": known[ERROR_KIND]} if ERROR_KIND in known else fields


def log_config(level: str = "INFO", lines: int = 200) -> dict[str, Any]:
    """For `logging.config.dictConfig`, and uvicorn's `log_config`: all of it as JSON on stderr.

    Args:
        level: the least that is told.
        lines: per second and process, above which lines are counted only.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "matih_api.guard.logs.JsonFormatter"}},
        "filters": {"floods": {"()": "matih_api.guard.floods.FloodFilter", "lines": lines}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "json",
                "filters": ["floods"],
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "uvicorn": {"level": level},
            "uvicorn.access": {"level": "CRITICAL"},  # the access log is ours
            "aiokafka": {"level": "ERROR"},
        },
    }
