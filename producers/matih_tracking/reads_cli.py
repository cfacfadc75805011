"""`matih experiments list` and `matih runs list|show|watch|compare|export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json

experiments = typer.Typer(add_completion=False, help="Experiments, as MLFLOW_TRACKING_URI has them.")
runs = typer.Typer(add_completion=False, help="Runs, as MLFLOW_TRACKING_URI has them.")

Tenant = Annotated[str | None, typer.Option(help="Whose; default MATIH_TENANT.")]
Experiment = Annotated[str | None, typer.Option("--experiment", "-e", help="Its name or id; default: all.")]
Status = Annotated[str | None, typer.Option(help="running, finished (completed), failed, killed.")]
Sort = Annotated[
    str, typer.Option(help="metrics.KEY, params.KEY, tags.KEY, start_time, end_time, duration_seconds, status, name.")
]
Order = Annotated[str, typer.Option(help="asc or desc; what is missing or NaN comes last in both.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", "-m", help="A metric's key; may be repeated.")]
Params = Annotated[list[str] | None, typer.Option("--param", "-p", help="A param's key; may be repeated.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
LIMIT = typer.Option(min=1, help="At most so many.")


class Format(str, Enum):
    """What `export` writes."""

    csv = "csv"
    parquet = "parquet"


class Stage(str, Enum):
    """Which experiments are listed."""

    active = "active"
    deleted = "deleted"
    all = "all"


@experiments.callback()
def experiments_group() -> None:
    """Experiments, as MLFLOW_TRACKING_URI has them."""


@experiments.command(name="list")
def list_experiments(
    search: Annotated[str, typer.Argument(help="A part of the name, in any case.")] = "",
    stage: Annotated[Stage, typer.Option(help="Which.")] = Stage.active,
    limit: Annotated[int, LIMIT] = 50,
    tenant: Tenant = None,
    json: JsonOption = False,
) -> None:
    """The tenant's experiments, newest first."""
    from matih_tracking.commands import reading, run_reports
    from matih_tracking.reading.errors import NotReadable
    from matih_tracking.reading.queries import ExperimentQuery

    with reading.reader() as reader:
        page = reader.experiments([reading.tenant_of(tenant)], ExperimentQuery(search, stage.value, limit))
        try:
            found = reader.summaries(page.items)
        except NotReadable as error:
            found = {}
            note(f"the runs are not counted: {error}")
    if json:
        items = [run_reports.experiment_json(view, found.get(view.experiment_id)) for view in page.items]
        print_json({"experiments": items, "total": page.total})
        return
    console.print(run_reports.experiments_table(page.items, found))
    _print_count(len(page.items), page.total, "experiments")


@runs.command(name="list")
def list_runs(
    experiment: Experiment = None,
    status: Status = None,
    sort: Sort = "start_time",
    order: Order = "desc",
    limit: Annotated[int, LIMIT] = 20,
    metric: Metrics = None,
    param: Params = None,
    tenant: Tenant = None,
    json: JsonOption = False,
) -> None:
    """The tenant's runs, newest first unless sorted."""
    from matih_tracking.commands import reading, run_reports

    key, whose = reading.sort_of(sort, order), reading.tenant_of(tenant)
    with reading.reader() as reader:
        page = reader.runs([whose], reading.query_of(reader, whose, experiment, status, key, limit))
    if json:
        print_json({"runs": [run_reports.run_json(run) for run in page.items], "total": page.total})
        return
    metrics = metric or run_reports.chosen_metrics(page.items, key)
    shown = param or ([key.key] if key.kind == "param" else [])
    console.print(run_reports.runs_table(page.items, metrics, shown))
    _print_count(len(page.items), page.total, "runs")


@runs.command()
def show(run: RunId, tenant: Tenant = None, json: JsonOption = False) -> None:
    """One run: status, latest metrics, params, tags."""
    from matih_tracking.commands import reading, run_reports

    with reading.reader() as reader:
        found = reading.run_of(reader, reading.tenant_of(tenant), run)
    if json:
        print_json(run_reports.run_json(found))
        return
    for part in run_reports.run_tables(found):
        console.print(part)


@runs.command()
def watch(
    run: RunId,
    metric: Metrics = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    tenant: Tenant = None,
    json: JsonOption = False,
) -> None:
    """A run's curves, live, until it ends or Ctrl-C. With --json a line for each change."""
    from matih_tracking.commands import reading
    from matih_tracking.commands import watch as work

    with reading.reader() as reader:
        found = reading.run_of(reader, reading.tenant_of(tenant), run)
        (work.follow if json else work.watch)(reader, found, metric or [], interval)


@runs.command()
def compare(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of two runs or more.")],
    metric: Metrics = None,
    param: Params = None,
    tenant: Tenant = None,
    json: JsonOption = False,
) -> None:
    """Runs side by side; params that differ stand out."""
    from matih_tracking.commands import reading, run_reports
    from matih_tracking.comparison import compared

    with reading.reader() as reader:
        whose = reading.tenant_of(tenant)
        found = compared([reading.run_of(reader, whose, one) for one in run], metric, param)
    if json:
        print_json(run_reports.comparison_json(found))
    else:
        console.print(run_reports.comparison_table(found))


@runs.command()
def export(
    format_: Annotated[Format, typer.Option("--format", help="csv or parquet.")] = Format.csv,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A file; default stdout.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="All points of the metrics instead of the runs.")] = False,
    metric: Metrics = None,
    experiment: Experiment = None,
    status: Status = None,
    sort: Sort = "start_time",
    order: Order = "asc",
    limit: Annotated[int | None, LIMIT] = None,
    tenant: Tenant = None,
    json: JsonOption = False,
) -> None:
    """Runs with params, latest metrics and tags, or all points of metrics, as a table for other programs."""
    from matih_tracking.commands import export as work
    from matih_tracking.commands import reading

    if json and output is None:
        raise WrongUse("--json reports what was written: give --output FILE")
    if metric and not history:
        raise WrongUse("--metric chooses whose points --history writes: give both, or none")
    key, whose = reading.sort_of(sort, order), reading.tenant_of(tenant)
    try:
        with reading.reader() as reader, work.target_of(output, format_.value) as target:
            found = work.every(reader, whose, reading.query_of(reader, whose, experiment, status, key, 1), limit)
            if history:
                count = work.export_points(reader, found, metric or [], target, format_.value)
            else:
                count = work.export_runs(found, target, format_.value)
    except ModuleNotFoundError as error:
        raise CommandFailed(f"Parquet needs {error.name}: pip install 'matih-tracking[reads]'") from error
    if json:
        print_json({"output": str(output), "format": format_.value, "rows": count})
    elif output is not None:
        note(f"{count} {'points' if history else 'runs'} are in {output}")


def _print_count(shown: int, total: int, what: str) -> None:
    more = f" of {total}: --limit shows more" if shown < total else ""
    console.print(f"[dim]{shown} {what}{more}[/]")
