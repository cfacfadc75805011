"""What params have to do with a metric, over many runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matih_api.comparison.correlation import Correlation, correlation
from matih_api.comparison.importance import SEED, Importances, importances
from matih_api.comparison.numbers import floats, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matih_api.comparison.numbers import Value
    from matih_tracking.reading.views import RunTable


@dataclass(frozen=True)
class Impact:
    """What one param has to do with a metric.

    Attributes:
        correlation: Pearson's r over the runs that have both as finite numbers.
        n: how many those are, at least 3.
        p_value: two-sided, of r, for this param alone.
        spearman: the rank correlation over the same runs.
        importance: how much a model's R squared falls without the param; None where there are too few runs or too many
            params.
        importance_r_squared: of that model, on runs that it was not fitted to.
        importance_runs: that the model saw.
        importance_seed: of the sample and the permutations.
    """

    metric: str
    correlation: float
    n: int
    p_value: float
    spearman: float
    importance: float | None = None
    importance_r_squared: float | None = None
    importance_runs: int | None = None
    importance_seed: int | None = None
    method: str = "pearson"

    def answer(self) -> dict[str, Any]:
        """As the JSON object that users know."""
        return {
            f"correlation_with_{self.metric.removesuffix('_score')}": self.correlation,
            "metric": self.metric,
            "correlation": self.correlation,
            "n": self.n,
            "p_value": self.p_value,
            "method": self.method,
            "spearman": self.spearman,
            "importance": self.importance,
            "importance_r_squared": self.importance_r_squared,
            "importance_runs": self.importance_runs,
            "importance_seed": self.importance_seed,
        }


def parameter_impact(table: RunTable, params: Sequence[str] | None, metric: str, seed: int = SEED) -> dict[str, Impact]:
    """Which numeric params go together with a metric, in the order of `params`.

    Params that are absent, not numeric (`numbers.floats`) or constant, and those of fewer than three pairs of finite
    values, are left out. The order of the runs in the table plays no part.

    Args:
        table: the runs.
        params: keys; None is all of the table.
        metric: a metric's key.
        seed: of what is random in the importance.
    """
    if metric not in table.metrics:
        return {}
    wanted = dict.fromkeys(table.params if params is None else params)
    columns = {param: numbers(table.params[param]) for param in wanted if param in table.params}
    return impact_of(columns, table.run_ids, metric, table.metrics[metric], seed)


def impact_of(
    params: Mapping[str, Sequence[Value]],
    run_ids: Sequence[str],
    metric: str,
    values: Sequence[float | None],
    seed: int = SEED,
) -> dict[str, Impact]:
    """`parameter_impact` of columns: params as `numbers.numbers` gives them, and the metric's values."""
    order = np.array(sorted(range(len(run_ids)), key=run_ids.__getitem__), dtype=np.intp)
    target = np.array(values, dtype=np.float64)[order]
    numeric = {param: column[order] for param, texts in params.items() if (column := floats(texts)) is not None}
    found = {param: together for param in numeric if (together := correlation(numeric[param], target)) is not None}
    names = sorted(found)
    model = importances([numeric[name] for name in names], target, seed)
    place = {name: number for number, name in enumerate(names)}
    return {param: _impact(metric, together, model, place[param]) for param, together in found.items()}


def _impact(metric: str, together: Correlation, model: Importances | None, place: int) -> Impact:
    r, spearman, n, p_value = together
    if model is None:
        return Impact(metric, r, n, p_value, spearman)
    return Impact(metric, r, n, p_value, spearman, model.by_param[place], model.r_squared, model.runs, model.seed)
