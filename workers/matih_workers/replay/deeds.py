"""What a replay is about to do, as the event says that records it. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matih_kafka.admin_actions import Deed
from matih_schemas.admin_details import EXPERIMENTS, RUNS, listed
from matih_schemas.rfc3339 import rfc3339

if TYPE_CHECKING:
    from matih_workers.replay.selection import Selection
    from matih_workers.settings import WorkerSettings


Recorded = Callable[[], Awaitable[object]]
"""Records a deed when it is about to be done; raises `KafkaError` if it can't, and then it must not be done."""


async def unrecorded() -> None:
    """For what is no deed of an operator: a dry run, a comparison, a test."""


def deed(
    mode: str,
    selection: Selection,
    settings: WorkerSettings,
    reason: str,
    archive: str | None = None,
    *,
    give_up: bool = False,
    offline: bool = False,
) -> Deed:
    """The deed of a replay: in which mode, of which events, from where and into which store.

    Args:
        mode: fill, full or missing.
        selection: which events.
        settings: name the store.
        reason: why it is done.
        archive: where events come from besides Kafka.
        give_up: what is nowhere any more is settled as lost.
        offline: all comes from the archive, nothing from Kafka.
    """
    store = address_of(settings.store_uri)
    details = {"mode": mode, "store": store}
    details |= {} if archive is None else {"archive": archive}
    details |= {"give_up": "true"} if give_up else {}
    details |= {"offline": "true"} if offline else {}
    for name, bound in (("since", selection.since), ("until", selection.until)):
        details |= {} if bound is None else {name: rfc3339(bound)}
    details |= listed("kinds", selection.kinds)
    details |= listed(RUNS, selection.runs) | listed(EXPERIMENTS, selection.experiments)
    return Deed("replay", f"store {store}", reason, selection.tenants, details)


def address_of(uri: str) -> str:
    """A store's address without user, password and query."""
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{'' if parts.port is None else f':{parts.port}'}{parts.path}"
