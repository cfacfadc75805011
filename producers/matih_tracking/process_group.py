"""What the ranks of an initialised torch.distributed agree on; torch is never imported for it."""

from __future__ import annotations

import os
import sys
from typing import Final

_KEY: Final = "matih/job"


def agreed_word() -> str | None:
    """A word that all ranks of the process group get alike, and no other job's; None without an initialised one.

    Whoever asks first sets it, so no rank waits for another.
    """
    distributed = sys.modules.get("torch.distributed")
    c10d = sys.modules.get("torch.distributed.distributed_c10d")
    if distributed is None or c10d is None:
        return None
    try:
        if not distributed.is_available() or not distributed.is_initialized():
            return None
        word: bytes = c10d._get_default_store().compare_set(_KEY, "", os.urandom(16).hex())
        return word.decode()
    except Exception:  # noqa: BLE001  # another release's or a broken store may raise anything: then nothing is agreed
        return None
