"""The first entries of a run's journal: everything that is needed to create the run, and its experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec.structs

from matih_schemas.clock import now_ms
from matih_schemas.limits import TAG_VALUE_MAX
from matih_tracking import packing, provenance
from matih_tracking.journal import entries
from matih_tracking.mend import clean, mend_tags, mend_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_tracking.configs import ExperimentConfig, RunConfig
    from matih_tracking.membership import Membership
    from matih_tracking.mend import Problem
    from matih_tracking.origin import Origin

_INLINE_TAGS_BYTES: Final = 48 << 10
"""Tags up to this size go with the run's creation: it has to fit into a journal's first segment."""


class Start(NamedTuple):
    """What somebody starts.

    Attributes:
        time_ms: when, ms since the epoch.
        experiment: with its description, tags and artifact location, in case it has to be created.
    """

    time_ms: int
    tenant: str
    experiment_id: str
    experiment: ExperimentConfig
    run: RunConfig
    member: Membership
    origin: Origin


class Beginning(NamedTuple):
    """How a journal of the run begins: in the process that started it, and in a forked child of that."""

    created: entries.Created
    tags: dict[str, str]

    def payloads(self, in_child: bool) -> Iterator[bytes]:
        """The first entries.

        Args:
            in_child: of the journal of a forked child, which is nobody's rank and never the owner.
        """
        if in_child:
            yield entries.encode(msgspec.structs.replace(self.created, time=now_ms(), owner=False, rank=None))
            return
        payload = entries.encode(msgspec.structs.replace(self.created, tags=self.tags))
        if len(payload) <= _INLINE_TAGS_BYTES:
            yield payload
        else:
            yield entries.encode(self.created)
            yield from packing.tags(self.tags, self.created.time)


def beginning(start: Start) -> tuple[Beginning, list[Problem]]:
    """The first entries, and what was wrong with what they were made of."""
    default = f"run-{start.member.run_id[:8]}"
    name, problems = mend_text(str(start.run.run_name or default), TAG_VALUE_MAX, "the run's name")
    note, note_problems = mend_text(str(start.run.description or ""), TAG_VALUE_MAX, "the run's description")
    tags = mend_tags(start.run.tags or {})
    created = entries.Created(
        time=start.time_ms,
        tenant_id=start.tenant,
        experiment_id=start.experiment_id,
        experiment_name=start.experiment.name,
        run_name=name,
        owner=start.member.owner,
        rank=start.member.rank,
        description=note,
        user_id=clean(start.run.user_id),
        job_id=clean(start.run.job_id),
        parent_run_id=clean(start.run.parent_run_id),
        experiment_description=start.experiment.description,
        experiment_tags=start.experiment.tags,
        artifact_location=start.experiment.artifact_location,
        claimed_user=start.origin.user,
        host=start.origin.host,
        sdk_version=start.origin.sdk_version,
    )
    # A rank that starts late must not set the owner's tags back to what they were at the start.
    mine = {**_provenance(start.run), **tags.kept} if start.member.owner else {}
    return Beginning(created, mine), [*problems, *note_problems, *tags.problems]


def _provenance(config: RunConfig) -> dict[str, str]:
    try:
        found = provenance.provenance()
    except Exception:  # noqa: BLE001  # whatever lies in this process's modules and folders: the run matters more
        return {}
    if config.user_id is not None:
        found[provenance.USER] = str(config.user_id)
    return {key: mend_text(value, TAG_VALUE_MAX, "")[0] for key, value in found.items()}
