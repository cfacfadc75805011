"""Which run this process joins: the pure rules of ranks.py and membership.py, with this process's environment."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING

from matih_schemas.identity import run_id_from
from matih_tracking import ranks
from matih_tracking.membership import Asked, Membership, join
from matih_tracking.process_group import agreed_word
from matih_tracking.processes import launched_by, this_process

if TYPE_CHECKING:
    from matih_tracking.configs import RunConfig

_lock = Lock()
_started: dict[Asked, int] = {}


def _renew_lock() -> None:
    global _lock  # in a forked child, the copy may be held by a thread that isn't there
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def join_run(tenant: str, experiment: str, config: RunConfig) -> Membership:
    """The run to log into, and this process's part in it. Uses MATIH_RUN_ID up."""
    with _lock:
        mine = ranks.place(os.environ)
        given = str(config.run_id) if config.run_id else _take_given()
        common = None if given else ranks.shared(os.environ, mine, agreed_word, launched_by)
        asked = Asked(tenant, experiment, str(config.run_name or ""))
        nth = _started[asked] = _started.get(asked, 0) + 1
        return join(Asked(tenant, experiment, asked.run_name, nth), given, mine, common)


def leave_run(tenant: str, experiment: str, config: RunConfig, member: Membership) -> None:
    """Takes `join_run` back: the next start_run of the same joins the same run."""
    asked = Asked(tenant, experiment, str(config.run_name or ""))
    with _lock:
        _started[asked] = max(0, _started.get(asked, 0) - 1)
        if not config.run_id and _is_of_environment(tenant, member):
            os.environ.pop(ranks.RUN_ID_USED_BY, None)


def _is_of_environment(tenant: str, member: Membership) -> bool:
    given = os.environ.get(ranks.RUN_ID, "").strip()
    return bool(given) and run_id_from(given, tenant) == member.run_id


def _take_given() -> str | None:
    given = ranks.given_run_id(os.environ)
    if given:
        os.environ[ranks.RUN_ID_USED_BY] = this_process()
    return given
