"""Experiments and runs as they are for whoever asks now: what MLflow has, and what is acknowledged and on its way."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from matih_api.pending.fold import fold_experiment, fold_run, with_experiment
from matih_api.pending.pendings import RunFacts
from matih_api.pending.points import with_pending
from matih_api.problems import Problem, unavailable
from matih_api.reads import is_outage
from matih_schemas.events import RunDeleted, RunRestored
from matih_schemas.identity import experiment_id
from matih_tracking.reading.views import History

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from matih_api.pending.pendings import Pendings
    from matih_api.reads import Reads
    from matih_schemas.events import TrackingEvent
    from matih_tracking.reading.views import ExperimentView, RunView

CATCH_UP_SECONDS: Final = 2.0
POLL_SECONDS: Final = (0.02, 0.02, 0.03, 0.05, 0.08, 0.12)
"""How long between two looks whether something is visible; the last for ever."""

WAITS_MAX: Final = 32
"""So many requests wait to see what they wrote at a time, each asking MLflow again and again; others do not wait."""

Seen = TypeVar("Seen")


class Following(Protocol):
    """Whether all is known that stood on the topic at a moment (`matih_kafka.following.TopicFollowing`)."""

    problem: str | None

    async def caught_up(self, timeout: float) -> bool:
        """Waits until all is taken that stands on the topic now; False if that is not so in time."""


class Objects:
    """Finds. What was acknowledged by any API process before the call is found, or the answer is 503."""

    def __init__(self, reads: Reads, following: Following, pendings: Pendings) -> None:
        self.reads = reads
        self.pendings = pendings
        self._following = following
        self._waits = 0

    async def experiment(self, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
        """The experiment with this id.

        Raises:
            Problem: 503, MLflow can't be read; or Kafka can't, and it is not there without what Kafka may hold.
        """
        fresh = await self.fresh()
        stored = await self.reads.call(self.reads.reader.experiment, tenants, which)
        found = self._folded_experiment(tenants, stored.experiment_id if stored else dashed(which), stored)
        self._check_fresh(found, fresh)
        if found is not None:
            self.pendings.experiments.meet(found)
        return found

    async def experiment_for_write(self, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
        """As `experiment`; while MLflow is away as it was met last, here or on the topic.

        Raises:
            Problem: 503, Kafka can't be asked; or MLflow can't, and nobody here has met the experiment.
        """
        try:
            return await self.experiment(tenants, which)
        except Problem as problem:
            met = self.pendings.experiments.get(tenants, dashed(which))
            found = self._folded_experiment(tenants, dashed(which), met)
            if found is None or not is_outage(problem):
                raise
            return found

    async def experiment_named(self, tenant: str, name: str) -> ExperimentView | None:
        """The tenant's experiment that has this name, or had it; None also where MLflow is away and nobody knows.

        Raises:
            Problem: 503, Kafka can't be asked.
        """
        await self.must_be_fresh()
        given = self.pendings.overlay.experiment_named(tenant, name)
        try:
            stored = await self._stored_experiment_named(tenant, name, given)
        except Problem as problem:
            if not is_outage(problem):
                raise
            stored = self.pendings.experiments.get({tenant}, given) if given is not None else None
        wanted = given or (stored.experiment_id if stored else experiment_id(tenant, name))
        return self._folded_experiment({tenant}, wanted, stored)

    async def _stored_experiment_named(self, tenant: str, name: str, given: str | None) -> ExperimentView | None:
        """The experiment that a pending event gives the name to, which MLflow may know by another one; else by name."""
        if given is not None:
            return await self.reads.call(self.reads.reader.experiment, {tenant}, given)
        return await self.reads.call(self.reads.reader.experiment_named, tenant, name)

    async def run(self, tenants: Collection[str] | None, which: str) -> RunView | None:
        """The run with this id.

        Raises:
            Problem: as `experiment`.
        """
        fresh = await self.fresh()
        stored = await self.reads.call(self.reads.reader.run, tenants, which)
        found = self._folded_run(tenants, stored.run_id if stored else plain(which), stored)
        self._check_fresh(found, fresh)
        return found

    async def run_for_write(self, tenants: Collection[str] | None, which: str) -> RunFacts | None:
        """What a write has to know of the run; None: it is not there.

        Raises:
            Problem: 503, Kafka can't be asked; or MLflow can't, and nobody here has met the run (`is_outage`).
        """
        await self.must_be_fresh()
        known = self.pendings.run(plain(which))
        if known is None:
            known = await self._look_for_run(tenants, which)
        return known if known is None or tenants is None or known.tenant_id in tenants else None

    async def _look_for_run(self, tenants: Collection[str] | None, which: str) -> RunFacts | None:
        try:
            stored = await self.reads.call(self.reads.reader.run, tenants, which)
        except Problem as problem:
            found = self._run_in_life(tenants, plain(which), None)
            met = RunFacts.of(found) if found is not None else self.pendings.run(plain(which), however_old=True)
            met = met or self._deleted_unseen(tenants, plain(which))
            if met is None or not is_outage(problem):
                raise
            return met
        found = self._run_in_life(tenants, stored.run_id if stored else plain(which), stored)
        if found is None:
            return None
        facts = RunFacts.of(found)
        self.pendings.remember(facts)
        return facts

    async def visible_experiment(
        self, tenant: str, wanted: str, seconds: float, stage: str | None = None
    ) -> ExperimentView | None:
        """Waits until MLflow shows the experiment, in this stage if one is given.

        None if it does not in time, or too many wait already.
        """

        async def look() -> ExperimentView | None:
            found = await self.reads.call(self.reads.reader.experiment, {tenant}, wanted)
            return found if found is None or stage in (None, found.stage) else None

        return await self._visible(look, seconds)

    def _deleted_unseen(self, tenants: Collection[str] | None, run_id: str) -> RunFacts | None:
        """A run of which no more is known than that somebody has deleted it."""
        last = next((one for one in reversed(self.pendings.overlay.of(tenants, run_id)) if _lifecycle(one)), None)
        if last is None or not isinstance(last.payload, RunDeleted):
            return None
        return RunFacts(run_id, last.tenant_id, "", deleted=True, attempt=None, start_time=0)

    async def visible_run(
        self, tenant: str, wanted: str, seconds: float, tag: str = "", least: int = 0
    ) -> RunView | None:
        """As `visible_experiment`: the run, with a number of at least so much in a tag."""

        async def look() -> RunView | None:
            found = await self.reads.call(self.reads.reader.run, {tenant}, wanted)
            return found if found is None or not tag or int(found.tags.get(tag, "-1")) >= least else None

        return await self._visible(look, seconds)

    async def _visible(self, look: Callable[[], Awaitable[Seen | None]], seconds: float) -> Seen | None:
        if self._waits >= WAITS_MAX:
            return None
        self._waits += 1
        try:
            return await visible(look, seconds)
        finally:
            self._waits -= 1

    def pending_experiment(self, tenants: Collection[str] | None, wanted: str) -> ExperimentView | None:
        """The experiment as far as the topic alone says."""
        return self._folded_experiment(tenants, wanted, None)

    def pending_run(self, tenants: Collection[str] | None, wanted: str) -> RunView | None:
        """The run as far as the topic alone says."""
        return self._folded_run(tenants, wanted, None)

    def pending_again(self, run: RunFacts, events: Sequence[TrackingEvent]) -> list[TrackingEvent]:
        """Of events that are made anew for a repeated request, the last one as it is pending; none if it is applied."""
        last = events[-1].event_id
        kept = self.pendings.overlay.of({run.tenant_id}, run.run_id)
        return [event for event in kept if event.event_id == last][:1]

    def folded(self, run: RunView) -> RunView:
        """The run with what is pending for it."""
        return self._folded_run({run.tenant_id}, run.run_id, run) or run

    def folded_experiment(self, found: ExperimentView) -> ExperimentView:
        """The experiment with what is pending for it."""
        return self._folded_experiment({found.tenant_id}, found.experiment_id, found) or found

    async def history(
        self, run: RunView, key: str, most: int, steps: tuple[int | None, int | None] = (None, None)
    ) -> History:
        """A metric's points in a range of steps, with those that are pending; `run` was read before.

        Raises:
            Problem: 503.
        """
        unseen = not run.mlflow_experiment_id
        reader = self.reads.reader
        stored = History([], 0) if unseen else await self.reads.call(reader.history, run, key, most, *steps)
        return with_pending(stored, run.tags, self.pendings.overlay.of({run.tenant_id}, run.run_id), key, most, steps)

    async def fresh(self) -> bool:
        """Whether everything is known that any API process has acknowledged before this call."""
        return await self._following.caught_up(CATCH_UP_SECONDS)

    async def must_be_fresh(self) -> None:
        """Returns once everything is known that any API process has acknowledged before this call.

        Raises:
            Problem: 503, Kafka can't be asked.
        """
        if not await self.fresh():
            raise self._stale()

    def _folded_experiment(
        self, tenants: Collection[str] | None, wanted: str, stored: ExperimentView | None
    ) -> ExperimentView | None:
        return fold_experiment(stored, self.pendings.overlay.of(tenants, wanted))

    def _folded_run(self, tenants: Collection[str] | None, wanted: str, stored: RunView | None) -> RunView | None:
        return self._after(stored, self.pendings.overlay.of(tenants, wanted))

    def _run_in_life(self, tenants: Collection[str] | None, wanted: str, stored: RunView | None) -> RunView | None:
        """The run as far as its creations, ends and deletions say: all that a write has to know."""
        return self._after(stored, self.pendings.overlay.lifecycle_of(tenants, wanted))

    def _after(self, stored: RunView | None, pending: Sequence[TrackingEvent]) -> RunView | None:
        found = fold_run(stored, pending)
        if found is None:
            return None
        stage = self.pendings.overlay.stage(found.tenant_id, found.experiment_id)
        return found if stage is None else with_experiment(found, stage)

    def _check_fresh(self, found: object | None, fresh: bool) -> None:
        if found is None and not fresh:
            raise self._stale()

    def _stale(self) -> Problem:
        why = self._following.problem or "it does not answer"
        return unavailable("event-log-unavailable", f"Kafka can't be asked what was acknowledged: {why}; try again", 2)


async def visible(look: Callable[[], Awaitable[Seen | None]], seconds: float) -> Seen | None:
    """Looks until something is seen; None if nothing is in time, or if it can't be looked at to begin with."""
    loop = asyncio.get_running_loop()
    deadline, pauses, pause = loop.time() + seconds, iter(POLL_SECONDS), POLL_SECONDS[0]
    answered = False
    while (left := deadline - loop.time()) > 0:
        pause = next(pauses, pause)
        await asyncio.sleep(min(pause, left))
        try:
            if (found := await look()) is not None:
                return found
            answered = True
        except Problem:
            if not answered:  # an outage, which others have met too; one slow answer is no reason to give up
                return None
    return None


def _lifecycle(event: TrackingEvent) -> bool:
    return isinstance(event.payload, RunDeleted | RunRestored)


def dashed(which: str) -> str:
    """An experiment's id in the form that events have."""
    try:
        return str(uuid.UUID(which))
    except ValueError:
        return which


def is_run_id(which: str) -> bool:
    """Whether it has the form of a run's id."""
    try:
        return bool(uuid.UUID(which))
    except ValueError:
        return False


def plain(which: str) -> str:
    """A run's id in the form that events have."""
    try:
        return uuid.UUID(which).hex
    except ValueError:
        return which
