"""`matih api`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from matih_api.settings import api_settings
from matih_console.errors import WrongUse
from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import MatihError


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on (MATIH_API_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (MATIH_API_PORT).")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes that answer (MATIH_API_PROCESSES).")] = None,
) -> None:
    """Answer the REST API, until it is told to stop (SIGTERM, Ctrl-C)."""
    from matih_api.app import create
    from matih_api.server import serve

    given: dict[str, Any] = {"host": host, "port": port, "processes": processes}
    try:
        settings = api_settings().model_copy(update={name: value for name, value in given.items() if value is not None})
        create()  # what is wrong with the settings is said once and here, not by every process
        serve(settings)
    except (InvalidSettings, MatihError) as error:
        raise WrongUse(str(error)) from error
