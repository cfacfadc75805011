"""A shipper as a process: its lock, its signals, its state file, and when it goes away."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from matih_schemas.clock import now_ms
from matih_tracking.journal import listing
from matih_tracking.journal.ownership import Lock
from matih_tracking.shipper import state
from matih_tracking.spool import JOURNALS, SpoolUnusable, open_spool, other_boots, spool_key_of

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.shipper.carriers import Carrier
    from matih_tracking.shipper.process import Shipper

IDLE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 10.0
LOCK_RETRY_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How long a shipper stays.

    Attributes:
        forever: it ends only when it is told to, and waits for another one to go away.
        with_parent: it stays at least as long as the process that started it.
        idle_seconds: how long it stays when there is no journal.
        drain_seconds: how long it goes on after SIGTERM, if there is something left.
        any_target: it ships journals that were written for another Kafka, topic or user, too.
        rate: entries a second that it delivers on average; 0 for as many as it can.
    """

    forever: bool = False
    with_parent: bool = False
    idle_seconds: float = IDLE_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    any_target: bool = False
    rate: float = 0


class Service:
    """Ships one spool until there is nothing left to do, or SIGTERM."""

    def __init__(self, spool: Path, carrier: Carrier, options: Options) -> None:
        self._spool = spool
        self._carrier = carrier
        self._options = options
        self._parent = os.getppid()
        self._lock: Lock | None = None
        self._stopped = False
        self._told: state.ShipperState | None = None
        self._written: state.ShipperState | None = None

    def run(self) -> bool:
        """Ships. Returns False if another shipper holds the spool.

        Raises:
            SpoolUnusable: the spool can't be made or trusted.
        """
        _check(self._spool)
        _allow_many_files()
        if _has_signals():
            # Ctrl-C is meant for the training, which ends by it and logs that: this has to be delivered.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        while self._take_lock():
            listing.sweep(self._spool)
            try:
                asyncio.run(self._ship())
            finally:
                self._release()
            # A journal may have come between the last look and the release; its writer saw a shipper then.
            if self._stopped or not self._has_work():
                return True
        return self._told is not None

    def _has_work(self) -> bool:
        left_alone = self._told.unreadable if self._told is not None else {}
        return any(str(path) not in left_alone for path in listing.journals(self._spool))

    def _take_lock(self) -> bool:
        while True:
            self._lock = Lock.acquire(self._spool / state.LOCK_FILE)
            if self._lock is not None or not self._options.forever:
                return self._lock is not None
            time.sleep(LOCK_RETRY_SECONDS)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _ship(self) -> None:
        from matih_tracking.shipper.journals import Journals
        from matih_tracking.shipper.process import Shipper

        journals = Journals([self._spool, *other_boots(self._spool)], self._spool_key())
        shipper = Shipper(
            journals, self._carrier.publisher(), self._is_done, self._tell, self._carrier.framer, self._options.rate
        )
        self._told = self._first_words()
        self._listen_to_signals(shipper)
        where = self._carrier.target
        _log.info("shipping %s to %s%s", self._spool, where, f", topic {where.topic}" if where.topic else "")
        await shipper.run()
        self._tell(shipper)
        _log.info("%d entries delivered; %d journals left", shipper.counts.entries, len(listing.journals(self._spool)))

    def _spool_key(self) -> str | None:
        """What journals must have been written for, to be shipped by these settings."""
        return None if self._options.any_target else self._carrier.target.spool_key.hash16

    def _listen_to_signals(self, shipper: Shipper) -> None:
        if _has_signals():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, partial(self._stop, shipper))

    def _stop(self, shipper: Shipper) -> None:
        self._stopped = True
        shipper.stop(self._options.drain_seconds)

    def _is_done(self, shipper: Shipper) -> bool:
        if self._lock is None or not self._lock.is_in_place():
            _log.warning("the spool was deleted: this shipper ends, its writers start a new one")
            self._stopped = True
            return True
        if self._options.forever or shipper.journals.tails:
            return False
        if self._options.with_parent and os.getppid() == self._parent:
            return False
        return time.monotonic() - shipper.busy_at > self._options.idle_seconds

    def _first_words(self) -> state.ShipperState:
        return state.ShipperState(
            pid=os.getpid(),
            started=now_ms(),
            log=str(self._spool / state.LOG_FILE),
            brokers=self._carrier.target.gateway or self._carrier.target.brokers,
            topic=self._carrier.target.topic,
        )

    def _tell(self, shipper: Shipper) -> None:
        """Writes the state file, if there is news."""
        told = self._told
        assert told is not None
        told.state = "waiting" if shipper.outage.reason else "delivering"
        told.error = shipper.outage.reason or shipper.outage.last_error
        told.entries, told.skipped = shipper.counts.entries, shipper.counts.skipped
        told.lost_bytes, told.removed = shipper.counts.lost_bytes, shipper.journals.removed
        told.unreadable = {str(path): reason for path, reason in shipper.journals.unreadable.items()}
        if told != self._written:
            with suppress(OSError):  # the disk is full, or the spool is gone: the next second tries again
                state.write(self._spool, told)
                self._written = state.ShipperState(**vars(told))


def _check(spool: Path) -> None:
    """Makes the spool, or takes a folder of any other name that somebody has copied one to, as it is."""
    if spool.parent.name == spool_key_of(spool):
        open_spool(spool)
    elif not (spool / JOURNALS).is_dir():
        raise SpoolUnusable(f"{spool} is no spool: it has no folder {JOURNALS!r}", "Name the folder that has one")


def _has_signals() -> bool:
    """Whether signals are ours to handle: not in a thread of somebody else's process, and not on Windows."""
    return sys.platform != "win32" and threading.current_thread() is threading.main_thread()


def _allow_many_files() -> None:
    """Two open files per journal: with hundreds of ranks on a host that is more than the usual 1 024."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
