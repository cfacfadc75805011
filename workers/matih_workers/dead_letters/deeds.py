"""What a command is about to do with dead letters, as the event says that records it. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from matih_kafka.admin_actions import Deed
from matih_schemas.admin_details import EXPERIMENTS, RUNS, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_workers.dead_letters.letter import Letter

_RUN_ID_LENGTH: Final = 32


def deed(action: str, letters: Sequence[Letter], reason: str) -> Deed:
    """The deed on these letters: how many for which of their reasons, and of which runs and experiments.

    Args:
        action: dlq.redrive or dlq.purge.
        letters: those that are meant.
        reason: why it is done.
    """
    by_reason = dict(Counter(one.reason for one in letters).most_common())
    runs = {one.subject for one in letters if len(one.subject) == _RUN_ID_LENGTH}
    others = {one.subject for one in letters} - runs
    details = {"letters": str(len(letters)), "by_reason": json.dumps(by_reason)}
    return Deed(
        action,
        f"{len(letters)} dead letters",
        reason,
        frozenset(one.tenant_id for one in letters),
        details | listed(RUNS, runs) | listed(EXPERIMENTS, others),
    )
