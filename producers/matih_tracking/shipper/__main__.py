"""`python -m matih_tracking.shipper`: the same as `matih shipper`, started faster."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 5


def main() -> int:
    """Runs a shipper; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m matih_tracking.shipper", description=__doc__)
    parser.add_argument("--spool", type=Path, help="the spool's folder; default: the environment's")
    parser.add_argument("--forever", action="store_true", help="stay when there is nothing to do")
    parser.add_argument("--idle", type=float, metavar="SECONDS", help="stay so long when there is nothing to do")
    parser.add_argument("--with-parent", action="store_true", help="stay as long as the process that started it")
    parser.add_argument("--any-target", action="store_true", help="ship what was written for another Kafka, too")
    parser.add_argument("--rate", type=float, default=0, metavar="N", help="entries a second at most, on average")
    parser.add_argument("--detached", action="store_true", help="log into the spool, and make way for the training")
    words = parser.parse_args()
    if words.detached:
        with suppress(OSError, AttributeError):  # a convenience; Windows has no niceness
            os.nice(NICENESS)
    from matih_tracking.shipper.command import ship
    from matih_tracking.shipper.service import IDLE_SECONDS, Options

    idle = IDLE_SECONDS if words.idle is None else words.idle
    options = Options(words.forever, words.with_parent, idle, any_target=words.any_target, rate=words.rate)
    return ship(words.spool, options, to_spool=words.detached)


if __name__ == "__main__":
    sys.exit(main())
