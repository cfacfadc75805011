"""`matih replay`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, print_json
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.framing import environment_ids, reframer
from matih_kafka.recording import Reason, Unrecorded, reason_for, record_if_there_is_kafka
from matih_kafka.settings import kafka_settings
from matih_schemas.errors import InvalidName
from matih_workers.audit.errors import AuditError
from matih_workers.cli import settle_interpreter
from matih_workers.moment_option import moment_option
from matih_workers.replay import printing
from matih_workers.replay.selection import KINDS, Selection
from matih_workers.settings import make_store, worker_settings
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from matih_kafka.admin_actions import Deed
    from matih_workers.audit.reading import ArchiveReader
    from matih_workers.replay.access import Access, Ends
    from matih_workers.replay.deeds import Recorded
    from matih_workers.replay.session import Order

T = TypeVar("T")


def replay(
    full: Annotated[bool, typer.Option("--full", help="Rebuild everything, into an empty store.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Bring what the store has not seen by its positions: after a backup.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is told.")] = False,
    reason: Reason = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's; may be repeated.")] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only of this experiment, by name or id; may be repeated.")
    ] = None,
    run: Annotated[list[str] | None, typer.Option(help="Only of this run, by its id; may be repeated.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help=f"Only events of this kind: {', '.join(KINDS)}.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what Kafka received at or after: 2026-01-31, 2026-01-31T08:00, 2h, 3d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only what it received before; as --since.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Events per second at most, so that live events are not delayed.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--id", help="The replay's own name; without one it is made of the other arguments.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew what was interrupted.")] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="With --missing: settle as lost what is nowhere any more.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the MLflow of --against; with --full after that.")
    ] = False,
    against: Annotated[str | None, typer.Option(metavar="URI", help="The tracking URI of the old MLflow.")] = None,
    archive: Annotated[
        str | None,
        typer.Option(help="A folder or s3://bucket/folder: what stands there is read there, the rest from Kafka."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="From the archive (--archive, MATIH_AUDIT_ARCHIVE) alone, without Kafka.")
    ] = False,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> int:
    """The events once more, into MATIH_STORE_URI: fills what is missing there, and touches nothing that is there.

    Interrupted or killed, the same command goes on where it was.
    """
    selection = _selection(tenant, run, experiment, kind, since, until)
    _check_use(full, missing, give_up, verify, against, selection, offline, unrecorded)
    why = reason_for("replay --yes", reason) if yes else ""
    place = _place(archive) if offline else archive
    settle_interpreter()
    from matih_workers.replay.deeds import deed
    from matih_workers.replay.session import Order

    sets = {"tenant": tenant, "experiment": experiment, "run": run, "kind": kind, "since": since, "until": until}
    modes = {"full": full, "missing": missing, "verify": verify, "offline": offline, "yes": yes}
    with _reading(place, {**modes, **sets}) as reader:
        if missing:
            access = _access(reader)
            asked = deed("missing", selection, access.settings, why, archive=place, give_up=give_up)
            return _mend(access, rate, _recorded(asked) if yes else None, archive, give_up=give_up, json=json)
        ends: Ends = _offline(reader) if offline and reader is not None else _access(reader)
        if verify and not full:
            return _compare(ends, against or "", json=json)
        order = Order("full" if full else "fill", selection, name, restart, rate)
        asked = deed(order.mode, selection, ends.settings, why, archive=place, offline=offline)
        recorded = _recorded(asked, offline=offline, unrecorded=unrecorded) if yes else None
        return _replay(ends, order, against if yes else None, recorded, archive, json=json)


def _recorded(asked: Deed, *, offline: bool = False, unrecorded: bool = False) -> Recorded:
    """Has the deed recorded; offline that may be left, as in all that works without Kafka."""
    from matih_kafka.admin_actions import record

    if offline:
        return lambda: asyncio.to_thread(record_if_there_is_kafka, asked, unrecorded=unrecorded)
    return lambda: record(kafka_settings(), asked)


def _replay(
    access: Ends, order: Order, against: str | None, recorded: Recorded | None, archive: str | None, *, json: bool
) -> int:
    """Does it if that is to be recorded, else tells what would be done; then compares with what there is to compare."""
    from matih_workers.replay.session import Session

    session = Session(access)
    with _bar(json) as begin:
        report = _finish(session.survey(order, begin) if recorded is None else session.run(order, begin, recorded))
    report["archive"] = archive
    if against:
        report["verify"] = _finish(_verify(access, against))
    _print(report, printing.replay, json=json)
    return 1 if against and report["verify"]["differences"] else 0


def _compare(access: Ends, against: str, *, json: bool) -> int:
    report = _finish(_verify(access, against))
    _print(report, printing.verification, json=json)
    return 1 if report["differences"] else 0


def _mend(
    access: Access, rate: float | None, recorded: Recorded | None, archive: str | None, *, give_up: bool, json: bool
) -> int:
    """Brings what is missing if that is to be recorded, else says what is."""
    from matih_workers.replay.restoring import Restoring

    restoring = Restoring(access)
    with _bar(json) as begin:
        work = restoring.missing() if recorded is None else restoring.mend(rate, begin, recorded, give_up=give_up)
        report = {**_finish(work), "archive": archive}
    _print(report, printing.mending, json=json)
    return 1 if report.get("left") or report.get("former_left") else 0


def _print(report: dict[str, Any], for_people: Callable[[dict[str, Any]], None], *, json: bool) -> None:
    if json:
        print_json(report)
    else:
        for_people(report)


async def _verify(access: Ends, against: str) -> dict[str, Any]:
    from matih_workers.replay.session import Session
    from matih_workers.replay.verifying import verified

    return await verified(Session(access), old=against, new=access.settings.store_uri)


def _check_use(
    full: bool,
    missing: bool,
    give_up: bool,
    verify: bool,
    against: str | None,
    selection: Selection,
    offline: bool,
    unrecorded: bool,
) -> None:
    if full and missing:
        raise WrongUse("replay: --full or --missing, not both")
    if missing and not selection.is_all:
        raise WrongUse("replay --missing: brings all that is missing; the filters are for replays without it")
    if missing and offline:
        raise WrongUse("replay --missing: needs Kafka; without it fill: `matih replay --offline --yes --reason TEXT`")
    if unrecorded and not offline:
        raise WrongUse("replay --unrecorded: goes with --offline only; all else needs Kafka anyway")
    if give_up and not missing:
        raise WrongUse("replay --give-up: goes with --missing only")
    if verify and (missing or not selection.is_all):
        raise WrongUse("replay --verify: compares everything: without filters, alone or after --full")
    if verify != bool(against):
        raise WrongUse("replay: --verify and --against URI go together")


def _selection(
    tenant: list[str] | None,
    run: list[str] | None,
    experiment: list[str] | None,
    kind: list[str] | None,
    since: str | None,
    until: str | None,
) -> Selection:
    unknown = sorted(set(kind or ()) - set(KINDS))
    if unknown:
        raise WrongUse(f"no kind {unknown[0]!r}: there are {', '.join(KINDS)}")
    return Selection(
        frozenset(tenant or ()),
        frozenset(run or ()),
        frozenset(experiment or ()),
        moment_option("--since", since),
        moment_option("--until", until),
        frozenset(kind or ()),
    )


@contextmanager
def _reading(archive: str | None, asked: Mapping[str, Any]) -> Iterator[ArchiveReader | None]:
    """The archive, if there is one: that it is read is noted there, as for all that read it."""
    from matih_workers.audit.access_log import noted
    from matih_workers.audit.reading import ArchiveReader
    from matih_workers.audit.settings import audit_settings
    from matih_workers.audit.storage import open_storage

    if archive is None:
        yield None
        return
    with _told_of(archive):
        storage, place = open_storage(archive), audit_settings().audit_access_log
        reader = ArchiveReader(storage)
    with noted(place, storage, "replay", asked) as access:
        try:
            yield reader
        finally:
            access.rows = reader.given


def _access(reader: ArchiveReader | None) -> Access:
    from matih_workers.replay.access import Access, no_archive
    from matih_workers.replay.archive import archived_topics

    with _told_of():
        settings = worker_settings()
        find = no_archive if reader is None else archived_topics(reader)
        return Access(kafka_settings(), settings, make_store(settings), find, reframer(environment_ids()))


def _place(archive: str | None) -> str:
    """The archive's address: the one that is named, else the environment's."""
    from matih_workers.audit.options import settings_for

    with _told_of(archive):
        return settings_for(archive).audit_archive


def _offline(reader: ArchiveReader) -> Ends:
    from matih_workers.replay.offline import OfflineAccess

    with _told_of():
        settings = worker_settings()
        folder, reframe = settings.worker_datadir / "replay", reframer(environment_ids())
        return OfflineAccess(reader, kafka_settings().events_topic, settings, make_store(settings), folder, reframe)


@contextmanager
def _told_of(archive: str | None = None) -> Iterator[None]:
    try:
        yield
    except (InvalidSettings, InvalidName) as error:
        raise WrongUse(str(error)) from error
    except AuditError as error:
        raise CommandFailed(f"archive {archive or 'MATIH_AUDIT_ARCHIVE'}: {error}") from error


def _finish(work: Coroutine[Any, Any, T]) -> T:
    from matih_workers.replay.comparison import NotReadable
    from matih_workers.replay.session import NotEmpty

    try:
        return asyncio.run(work)
    except StoreUnavailable as error:
        raise CommandFailed(f"the store is unavailable: {error}; check MATIH_STORE_URI, and run it again") from error
    except (KafkaError, AuditError, NotEmpty, NotReadable) as error:
        raise CommandFailed(str(error)) from error


@contextmanager
def _bar(json: bool) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """A progress bar on stderr, if somebody sits there."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = sys.stderr.isatty() and not json
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:

        def begin(total: int) -> Callable[[int], None]:
            task = bar.add_task("events", total=total)
            return lambda more: bar.advance(task, more)

        yield begin
