"""Runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.reading.views import RunView

_CELL_MAX: Final = 24


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs side by side, in the order that was asked for; its repr is a table.

    Attributes:
        metrics, params: the keys that at least one run has, in the order asked for, else sorted.
        rows: per run `run_id`, `name`, `status`, `metrics` and `params`; None where a run has no such value.
    """

    metrics: list[str]
    params: list[str]
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return {"metrics": self.metrics, "params": self.params, "runs": self.rows}

    def __repr__(self) -> str:
        header = ["run_id", "name", "status", *self.metrics, *self.params]
        lines = [header, *(self._cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

    def _cells(self, row: dict[str, Any]) -> list[str]:
        numbers = [_number(row["metrics"][key]) for key in self.metrics]
        texts = [str("-" if row["params"][key] is None else row["params"][key]) for key in self.params]
        return [row["run_id"], row["name"][:_CELL_MAX], row["status"], *numbers, *(text[:_CELL_MAX] for text in texts)]


def compared(runs: Sequence[RunView], metrics: Sequence[str] | None, params: Sequence[str] | None) -> Comparison:
    """The runs side by side; keys that none of them has are left out."""
    metric_keys = _keys([run.metrics for run in runs], metrics)
    param_keys = _keys([run.params for run in runs], params)
    rows = [
        {
            "run_id": run.run_id,
            "name": run.name,
            "status": run.status,
            "metrics": {key: run.metrics[key].value if key in run.metrics else None for key in metric_keys},
            "params": {key: run.params.get(key) for key in param_keys},
        }
        for run in runs
    ]
    return Comparison(metric_keys, param_keys, rows)


def _keys(found: Sequence[Any], wanted: Sequence[str] | None) -> list[str]:
    there = {key for keys in found for key in keys}
    return sorted(there) if wanted is None else [key for key in dict.fromkeys(wanted) if key in there]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
