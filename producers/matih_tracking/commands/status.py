"""`matih status`: the spool, its shipper, its journals, the broker."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from matih_kafka.errors import BrokerUnavailable, InvalidSettings
from matih_tracking.shipper import state
from matih_tracking.shipper.carriers import carrier
from matih_tracking.shipper.command import own_spool
from matih_tracking.shipper.survey import Found, survey
from matih_tracking.spool import other_boots

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.shipper.carriers import Carrier


def status() -> dict[str, Any]:
    """The report.

    Raises:
        SpoolUnusable: a setting of the spool is wrong.
        InvalidSettings: the environment's settings of Kafka or the gateway are wrong.
    """
    carries = carrier()
    spool = own_spool()
    key = carries.target.spool_key.hash16
    return {
        "spool": str(spool),
        "shipper": _shipper(spool),
        "journals": [_journal(found) for found in survey([spool, *other_boots(spool)], key)],
        "broker": _broker(carries),
    }


def _shipper(spool: Path) -> dict[str, Any]:
    """What the spool's shipper said last, if it runs; else that there is none, and its last trouble."""
    told = state.read(spool)
    if not state.is_running(spool):
        return {"state": "none", "error": told.error if told is not None else None}
    return asdict(told) if told is not None else {"state": "starting", "error": None}


def _journal(found: Found) -> dict[str, Any]:
    return {
        "run": found.run_id,
        "producer": found.producer_id,
        "state": found.life,
        "entries": found.entries,
        "acked": found.acked,
        "lag": found.lag,
        "bytes": found.size,
        "path": str(found.path),
        "reason": found.reason or None,
    }


def _broker(carries: Carrier) -> dict[str, Any]:
    where = carries.target
    kind = "gateway" if where.gateway else "kafka"
    report: dict[str, Any] = {"kind": kind, "address": where.gateway or where.brokers, "topic": where.topic or None}
    try:
        asyncio.run(_check(carries))
    except (BrokerUnavailable, InvalidSettings) as error:
        return {**report, "reachable": False, "error": str(error)}
    return {**report, "reachable": True, "error": None}


async def _check(carries: Carrier) -> None:
    await carries.check()
