"""The events, as types. The truth is avsc/tracking_event.avsc; tests hold these against it, field by field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ends."""


@dataclass(frozen=True)
class ExperimentCreated:
    """An experiment exists from now on; if it does already, it keeps its attributes."""

    experiment_id: str
    name: str
    description: str = ""
    artifact_location: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentUpdated:
    """What is not None changes; the tags given are set, others stay."""

    experiment_id: str
    name: str | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentDeleted:
    """The experiment and its runs are hidden, until restored."""

    experiment_id: str


@dataclass(frozen=True)
class ExperimentRestored:
    """The experiment is visible again, with the runs that were not deleted one by one."""

    experiment_id: str


@dataclass(frozen=True)
class RunCreated:
    """A process begins to log into a run: the first event of every producer, and a resume.

    Attributes:
        producer_id: 16 hex characters, one per process and run.
        sequence: this entry's number in the producer's journal (0).
        experiment_name: with the experiment_* fields what is needed to create the experiment.
        attempt: ms since the epoch at which the owner began: greater for each later attempt at the same run.
        owner: this producer decides how the run ends.
        rank: its place in a distributed job, None outside one.
    """

    run_id: str
    producer_id: str
    sequence: int
    experiment_id: str
    experiment_name: str
    run_name: str
    attempt: int
    owner: bool
    rank: int | None = None
    description: str = ""
    user_id: str | None = None
    job_id: str | None = None
    parent_run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    experiment_description: str = ""
    experiment_tags: dict[str, str] = field(default_factory=dict)
    artifact_location: str | None = None


@dataclass
class Pair:
    """A param or a tag; `entry` is the index of its entry in the group."""

    entry: int
    key: str
    value: str


@dataclass
class MetricContext:
    """What the metrics of one entry were measured on; `entry` is its index in the group."""

    entry: int
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


@dataclass
class EntryGroup:
    """Consecutive entries of one producer for one run, in columns; entry i has sequence `first_sequence + i`.

    Attributes:
        shapes: the distinct lists of metric keys.
        shape: per entry, the index of its list in `shapes` (that of the empty list if it has no metrics).
        time: per entry, ms since the epoch.
        step: per entry, int64.
        value: the metrics' values, entry by entry, in the order of the entry's list.
        params, tags, contexts: sparse, with their entry's index.
    """

    producer_id: str
    first_sequence: int
    shapes: list[list[str]] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    params: list[Pair] = field(default_factory=list)
    tags: list[Pair] = field(default_factory=list)
    contexts: list[MetricContext] = field(default_factory=list)

    @property
    def last_sequence(self) -> int:
        """The number of the last entry."""
        return self.first_sequence + len(self.shape) - 1


@dataclass
class RunLogged:
    """Metrics, params and tags of one run, from one or more producers."""

    run_id: str
    groups: list[EntryGroup]


@dataclass(frozen=True)
class RunEnded:
    """A producer's end. The owner's sets the run's status; another rank's becomes the tag `matih.rank.<rank>`.

    Attributes:
        attempt: that of the producer's RunCreated.
        inferred: nobody said it: the process died without a word.
        silent: inferred from silence, by the reaper: a later sign of life takes it back.
        end_time: ms since the epoch.
        reason: for people; may be empty.
    """

    run_id: str
    producer_id: str
    sequence: int
    status: Status
    attempt: int
    owner: bool
    end_time: int
    rank: int | None = None
    inferred: bool = False
    reason: str = ""
    silent: bool = False


@dataclass(frozen=True)
class RunDeleted:
    """The run is hidden, until restored."""

    run_id: str


@dataclass(frozen=True)
class RunRestored:
    """The run is visible again."""

    run_id: str


@dataclass(frozen=True)
class Heartbeat:
    """The run's producer lives: once a minute, from its host's shipper.

    Attributes:
        owner: whether it is the run's owner: only then it says that the run is RUNNING.
    """

    run_id: str
    producer_id: str
    attempt: int
    owner: bool = False


@dataclass(frozen=True)
class ArtifactLogged:
    """A file is in the artifact store."""

    run_id: str
    path: str
    uri: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetLogged:
    """The run used a dataset; the fields are MLflow's."""

    run_id: str
    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class AdminAction:
    """Somebody with rights did something to the system itself (key `tenant/admin`)."""

    action: str
    reason: str
    target: str
    details: dict[str, str] = field(default_factory=dict)


Payload = (
    ExperimentCreated
    | ExperimentUpdated
    | ExperimentDeleted
    | ExperimentRestored
    | RunCreated
    | RunLogged
    | RunEnded
    | RunDeleted
    | RunRestored
    | Heartbeat
    | ArtifactLogged
    | DatasetLogged
    | AdminAction
)

PAYLOADS: Final[tuple[type, ...]] = get_args(Payload)
"""The branches, in the order of the schema's union."""


@dataclass(frozen=True)
class TrackingEvent:
    """The envelope.

    Attributes:
        event_id: a UUID; an event published twice has the same.
        tenant_id: whose it is; it stands in the record's key too.
        occurred_at: ms since the epoch, by the producer's clock.
        payload: what happened.
        actor: the authenticated principal; set by the API and the gateway only.
        claimed_user: who the producer says it is.
        host: the producer's host.
        sdk_version: the producer's release.
    """

    event_id: str
    tenant_id: str
    occurred_at: int
    payload: Payload
    actor: str | None = None
    claimed_user: str | None = None
    host: str = ""
    sdk_version: str = ""

    @property
    def kind(self) -> str:
        """The payload's name, as it stands in the schema."""
        return type(self.payload).__name__
