"""Fetches what a system needs and wheels don't bring, and shows how far it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from matih_local import apicurio
from matih_local.cache import cache_folder
from matih_local.jars import KAFKAS, JarCache, ensure_jars, locked_jars

if TYPE_CHECKING:
    from matih_local.jars import Jar


def fetch(*, schema_registry: bool = False) -> None:
    """Brings Kafka's jars into the cache if they are not there, with a progress bar on stderr.

    Args:
        schema_registry: Apicurio Registry too.

    Raises:
        JarsMissing: they can't be had; the message says why and what to do.
        LocalError: there is no folder to put them.
    """
    cache = JarCache(cache_folder())
    if absent := cache.missing(locked_jars()):
        _fetch_visibly(cache, absent, KAFKAS)
    if schema_registry and not apicurio.program_folder(cache).is_dir():
        packed = (apicurio.archive(),)
        if cache.missing(packed):
            _fetch_visibly(cache, packed, "Apicurio Registry's files")
        apicurio.unpack(cache)


def _fetch_visibly(cache: JarCache, absent: tuple[Jar, ...], what: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(f"{what} ({len(absent)})", total=sum(jar.size for jar in absent))
        ensure_jars(cache, progress=lambda received: bar.advance(task, received), jars=absent, what=what)
