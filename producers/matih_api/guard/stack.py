"""All of it around an app, and what uvicorn has to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_api.guard.answers import Answers
from matih_api.guard.browsers import Browsers
from matih_api.guard.context import Context
from matih_api.guard.limits import Limits
from matih_api.guard.logs import AccessLog, log_config
from matih_api.guard.metrics import Measured
from matih_api.guard.traces import Traced

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matih_api.guard.asgi import App
    from matih_api.guard.limits import BodyRule
    from matih_api.guard.metrics import Metrics
    from matih_api.guard.settings import LimitSettings


def guarded(
    app: App,
    settings: LimitSettings,
    metrics: Metrics,
    max_body_bytes: int,
    rules: Sequence[BodyRule] = (),
    hosts: Collection[str] | None = None,
) -> App:
    """The app behind all middlewares: the outermost gives ids and headers, the innermost makes answers of exceptions.

    Args:
        app: the routes, which set `request.state.tenant` and `.actor`.
        settings: the limits.
        metrics: where requests are counted.
        max_body_bytes: bytes of a JSON body.
        rules: paths that take other bodies.
        hosts: where nobody has to log in, the names of this server: pages of other sites are kept out. None elsewhere.
    """
    app = app if hosts is None else Browsers(app, hosts)
    limited = Limits(Answers(app), settings, max_body_bytes, rules)
    return Context(AccessLog(Measured(Traced(limited), metrics)))


def uvicorn_options(settings: LimitSettings, level: str = "INFO") -> dict[str, Any]:
    """Keyword arguments of `uvicorn.run` or `uvicorn.Config`."""
    return {
        "http": "matih_api.guard.protocol:GuardedProtocol",
        "ws": "none",
        "server_header": False,
        "access_log": False,
        "log_config": log_config(level, settings.log_lines),
        "timeout_keep_alive": 65,
    }
