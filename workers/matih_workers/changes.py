"""What an event asks of the store, as plain values: the words that the pure middle and the stores share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matih_schemas.status import StatusOrder

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
Lifecycle = Literal["delete", "restore"]


class Metric(NamedTuple):
    """One point; timestamp in ms since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int


class Tag(NamedTuple):
    """A tag as its producer wrote it: by its `sequence`-th entry."""

    sequence: int
    key: str
    value: str


@dataclass(frozen=True)
class StatusChange:
    """A status that applies if its order is greater than the run's.

    Attributes:
        end_time: ms since the epoch; None for RUNNING.
        reason: for people; may be empty.
    """

    order: StatusOrder
    status: RunStatus
    end_time: int | None = None
    reason: str = ""


@dataclass
class Logged:
    """What consecutive entries of one producer brought; their numbers are `first_sequence` to `last_sequence`."""

    producer_id: str
    first_sequence: int
    last_sequence: int
    metrics: list[Metric] = field(default_factory=list)
    params: list[tuple[str, str]] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)


@dataclass(frozen=True)
class ExperimentSpec:
    """What is needed to create an experiment.

    Attributes:
        fill: the replay that makes it, None for none.
    """

    experiment_id: str
    name: str
    description: str = ""
    artifact_location: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    fill: str | None = None


@dataclass(frozen=True)
class Creation:
    """A producer's part of a run begins; the run is made if it is not there.

    Attributes:
        start_time: ms since the epoch, the run's if it has to be made.
        owner: its name and tags are the run's; another producer's only fill what is missing.
        parent_run_id: our id of the parent, or MLflow's.
    """

    experiment: ExperimentSpec
    producer_id: str
    sequence: int
    start_time: int
    owner: bool
    run_name: str = ""
    parent_run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunChange:
    """What one event does to one run.

    Attributes:
        problems: what was invalid and left out, for people.
        sign_of_life: it brings no data: for a run that takes nothing it is dropped, and refused to nobody.
        redriven: it was a dead letter: that later entries were applied says nothing about it.
        fill: the replay that brings it and touches nothing that was there before; None: it comes in the usual way.
    """

    tenant_id: str
    run_id: str
    creation: Creation | None = None
    logged: tuple[Logged, ...] = ()
    status: StatusChange | None = None
    lifecycle: Lifecycle | None = None
    problems: tuple[str, ...] = ()
    redriven: bool = False
    sign_of_life: bool = False
    fill: str | None = None


@dataclass(frozen=True)
class ExperimentChange:
    """What one event does to one experiment: make it, change it, or hide and show it.

    Attributes:
        create: makes the experiment if it is not there; an existing one keeps what it has, and gets what it lacks.
        name, description: None leaves them.
        tags: set; others stay.
        problems: what was invalid and left out, for people.
        redriven: it was a dead letter: later changes may have been applied, so its tags only fill.
        fill: as for a run.
    """

    tenant_id: str
    experiment_id: str
    create: ExperimentSpec | None = None
    name: str | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    lifecycle: Lifecycle | None = None
    problems: tuple[str, ...] = ()
    redriven: bool = False
    fill: str | None = None


Change = RunChange | ExperimentChange


def filling(change: Change, replay: str) -> Change:
    """The change as the replay of this id brings it, which only fills what is missing."""
    if isinstance(change, ExperimentChange):
        create = change.create and replace(change.create, fill=replay)
        return replace(change, create=create, fill=replay)
    creation = change.creation
    if creation is not None:
        creation = replace(creation, experiment=replace(creation.experiment, fill=replay))
    return replace(change, creation=creation, fill=replay)
