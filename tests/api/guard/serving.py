"""The tiny app on a real uvicorn, as the API is started: `python -m tests.api.guard.serving`; its port is on stdout."""

from __future__ import annotations

import socket
import sys

import uvicorn
from tests.api.guard.apps import MAX_BODY, routes

from matih_api.guard.metrics import Metrics
from matih_api.guard.settings import limit_settings
from matih_api.guard.stack import guarded, uvicorn_options


def main() -> None:
    """Serves until it is terminated."""
    limits, metrics = limit_settings(), Metrics()
    app = guarded(routes(), limits, metrics, MAX_BODY)
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, **uvicorn_options(limits))).run(sockets=[listener])  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
