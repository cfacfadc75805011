"""What a journal's entries say: one msgpack array each, `[kind, time, ...]`.

The contract between the SDK, which writes them, and the shipper, which makes events of them. An entry's number is its
place in the journal and never part of it. Fields may be added at the end, with a default; nothing else ever changes.
Times are ms since the epoch, by the writer's clock.
"""

from __future__ import annotations

import msgspec

METRICS_KIND = 1
"""`[METRICS_KIND, time, step, metrics]` decodes as `Metrics`: the log call packs that tuple itself."""


class Created(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Entry 0 of a run's journal: this process begins to log into the run (RunCreated)."""

    time: int
    tenant_id: str
    experiment_id: str
    experiment_name: str
    run_name: str
    owner: bool
    rank: int | None = None
    description: str = ""
    user_id: str | None = None
    job_id: str | None = None
    parent_run_id: str | None = None
    tags: dict[str, str] = {}
    experiment_description: str = ""
    experiment_tags: dict[str, str] = {}
    artifact_location: str | None = None
    claimed_user: str | None = None
    host: str = ""
    sdk_version: str = ""


class Metrics(msgspec.Struct, frozen=True, array_like=True, tag=METRICS_KIND, gc=False):
    """Metrics of one step; the context is (model_id, dataset_name, dataset_digest)."""

    time: int
    step: int
    metrics: dict[str, float]
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Params(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Params, as strings."""

    time: int
    params: dict[str, str]


class Tags(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Tags, as strings; the SDK's own `matih.*` and `mlflow.*` among them."""

    time: int
    tags: dict[str, str]


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """The last entry of a run's journal: how this process's part ended (RunEnded)."""

    time: int
    status: str
    reason: str = ""


class Experiment(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """An experiment exists (ExperimentCreated): in a journal without a run, which may hold many."""

    time: int
    tenant_id: str
    experiment_id: str
    name: str
    description: str = ""
    artifact_location: str | None = None
    tags: dict[str, str] = {}
    claimed_user: str | None = None
    host: str = ""
    sdk_version: str = ""


Entry = Created | Metrics | Params | Tags | Ended | Experiment

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)

encode = _encoder.encode
"""An entry's (or such a tuple's) payload for `JournalWriter.append`."""


class UnknownEntry(ValueError):
    """A payload of a kind that this release does not know, or of none at all."""


def decode(payload: bytes) -> Entry:
    """The entry in a payload.

    Raises:
        UnknownEntry: it is of a newer release, or no entry.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UnknownEntry(f"{len(payload)} bytes are no entry of this release: {error}") from error
