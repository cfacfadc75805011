"""What a replay reports, for people."""

from __future__ import annotations

from typing import Any

from matih_console.output import console

SHOWN = 20


def replay(report: dict[str, Any]) -> None:
    """Of a fill or a full replay, dry or done."""
    if report.get("dry_run"):
        _survey(report)
    else:
        _say(f"{report['events']} events with {report['metrics']} metrics were replayed ({report['mode']})")
        _refused(report)
    for partition, offsets in report["gone"].items():
        told = f"partition {partition}: the events {offsets} are gone from {report['topic']}: retention took them"
        _say(f"{told}{_where_else(report)}")
    if "verify" in report:
        verification(report["verify"])


def mending(report: dict[str, Any]) -> None:
    """Of `--missing`, dry or done."""
    if not (report["missing"] or report["lost"] or report["former_topics"]):
        _say("nothing is missing")
        return
    for partition, offsets in report["partitions"].items():
        _say(f"{report['topic']}/{partition}: the events {offsets} are missing, and can be brought")
    for partition, offsets in report["lost"].items():
        told = f"{report['topic']}/{partition}: the events {offsets} are missing, and Kafka has them no more"
        _say(f"{told}{_where_else(report)}")
    for partition, former in report["former_topics"].items():
        _say(
            f"{report['topic']}/{partition}: the topic was made anew; of the former one ({former['topic_id']}) the "
            f"events from {former['from']} on are not here, if there were any"
        )
    if report.get("dry_run"):
        _say("nothing was done: add --yes and --reason TEXT")
        return
    _say(f"{report['missing']} missing events were brought; {report['events']} were applied in all")
    _refused(report)
    if report["left"] or report["former_left"]:
        _say(
            "what is nowhere any more is told again until `matih replay --missing --give-up --yes --reason TEXT` "
            "settles it as lost"
        )


def verification(report: dict[str, Any]) -> None:
    """Of `--verify`."""
    _say(
        f"compared {report['experiments']} experiments, {report['runs']} runs, {report['metrics']} metrics: "
        f"{report['differences']} differences, {report['edits']} edits made in MLflow itself"
    )
    for row in report["findings"]:
        _say(f"{row['cause']}: {row['of']}: {row['what']}: old {row['old']!r}, rebuilt {row['new']!r}")


def _survey(report: dict[str, Any]) -> None:
    kinds = ", ".join(f"{number} {kind}" for kind, number in report["by_kind"].items())
    _say(f"{report['events']} events would be replayed ({report['mode']}){': ' + kinds if kinds else ''}")
    if report["events"]:
        tenants = ", ".join(f"{tenant} {number}" for tenant, number in report["by_tenant"].items())
        _say(f"received from {report['received_first']} to {report['received_last']}; by tenant: {tenants}")
        _say(
            f"{report['runs']} runs, of which {report['runs_missing']} are not in the store; "
            f"{report['metrics']} metrics"
        )
    if report["resumed"]:
        _say("that is what an interrupted replay has left; --restart begins anew")
    _say("nothing was done: add --yes and --reason TEXT")


def _where_else(report: dict[str, Any]) -> str:
    """What may still have them."""
    if report.get("archive"):
        return f", and the archive {report['archive']} does not have them"
    return ": if there is an archive, add --archive ARCHIVE (`matih audit archive` keeps it)"


def _refused(report: dict[str, Any]) -> None:
    for reason, number in report["refused"].items():
        _say(f"{number} refused: {reason}")
    for row in report["refused_records"][:SHOWN]:
        _say(f"  {row['record']} {row['key']}: {row['reason']}: {row['detail']}")
    more = sum(report["refused"].values()) - min(SHOWN, len(report["refused_records"]))
    if more > 0:
        _say(f"  and {more} more (--json lists the first thousand)")


def _say(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)
