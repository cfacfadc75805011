"""The server: uvicorn, in as many processes as are wanted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matih_api.auth.opening import is_open, open_mode_refusal
from matih_api.auth.settings import auth_settings
from matih_api.guard.multiprocess import share_metrics
from matih_api.guard.settings import limit_settings
from matih_kafka.errors import InvalidSettings

if TYPE_CHECKING:
    from matih_api.settings import ApiSettings

APP = "matih_api.app:create"
STOP_SECONDS = 10
"""Seconds that requests under way have to end when the server is told to stop."""


def serve(settings: ApiSettings) -> None:
    """Answers requests until SIGTERM or SIGINT; processes that die are started again.

    Raises:
        InvalidSettings: nobody has to log in, and it would listen for more than this machine.
    """
    auth = auth_settings()
    refusal = open_mode_refusal(settings.host, auth.api_open) if is_open(auth) else None
    if refusal is not None:
        raise InvalidSettings(refusal)
    # What the processes read again: their settings come from the environment.
    os.environ["MATIH_API_HOST"], os.environ["MATIH_API_PORT"] = settings.host, str(settings.port)
    os.environ["MATIH_API_PROCESSES"] = str(settings.processes)
    if settings.processes > 1:
        share_metrics()
    import uvicorn

    from matih_api.guard.stack import uvicorn_options

    uvicorn.run(
        APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        timeout_graceful_shutdown=STOP_SECONDS,
        **uvicorn_options(limit_settings()),
    )
