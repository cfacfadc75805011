"""How much a model's prediction of a metric depends on each param: permutation importance.

Breiman, Random Forests, 2001, section 10; as in scikit-learn, on runs that the model was not fitted to.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from matih_api.comparison.correlation import ranks, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

SEED: Final = 0
"""Of the sample, the split and the permutations: the same runs give the same importances."""
LEAST_RUNS: Final = 20
MOST_RUNS: Final = 5_000
MOST_PARAMS: Final = 50
"""With more, no importance is told: fitting would take too long for a request."""
_JUDGED: Final = 1_000
_PERMUTATIONS: Final = 100  # of all params together, but 5 of each at most
_ROUNDS: Final = 50  # of boosting


class Importances(NamedTuple):
    """What a model says of the params of a metric.

    Attributes:
        by_param: how much its R squared falls when the param's values are permuted, in the order of the columns.
        r_squared: of the model, on runs that it was not fitted to; at 0 or less it knows nothing, and all importances
            are 0.
        runs: that it was fitted to or judged by.
    """

    by_param: list[float]
    r_squared: float
    runs: int
    seed: int


def importances(params: list[Column], metric: Column, seed: int = SEED) -> Importances | None:
    """Permutation importance by gradient-boosted trees, fitted to two thirds of the runs and judged by the others.

    Runs whose metric is not finite are left out; more than 5 000 are sampled. The params' gaps are a value of their
    own to the model. Runs on one thread, whatever the machine has: on a busy one, several are many times slower.

    Args:
        params: a column each, not constant.
        metric: as long as they are.
        seed: of everything that is random here.

    Returns:
        None where too few runs (20), no or too many params (50) don't allow it.
    """
    random = np.random.default_rng(seed)
    there = np.flatnonzero(np.isfinite(metric))
    if len(there) < LEAST_RUNS or not 0 < len(params) <= MOST_PARAMS:
        return None
    chosen = random.permutation(there)[:MOST_RUNS]
    target = metric[chosen]
    if target.min() == target.max():
        return None
    features = np.column_stack([ranks(param[chosen]) for param in params])  # to trees only the order matters
    fitted = len(chosen) - min(len(chosen) // 3, _JUDGED)
    return _judged(features, unit(target), fitted, random, seed)


def _judged(
    features: NDArray[np.float64], target: Column, fitted: int, random: np.random.Generator, seed: int
) -> Importances:
    known, held_out = target[:fitted], target[fitted:]
    with _one_thread():
        model = _model(fitted, seed).fit(features[:fitted], known)
        base = _r_squared(held_out, model.predict(features[fitted:]))
        falls = [0.0] * features.shape[1]
        if base > 0:
            falls = [base - mean for mean in _permuted(model, features[fitted:], held_out, random)]
    return Importances(falls, base, len(target), seed)


def _model(runs: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    leaf = max(2, min(20, runs // 10))
    return HistGradientBoostingRegressor(
        max_iter=_ROUNDS, min_samples_leaf=leaf, early_stopping=False, random_state=seed
    )


def _permuted(model: Any, features: NDArray[np.float64], target: Column, random: np.random.Generator) -> list[float]:
    """Per feature, the mean R squared with its values permuted; all permutations of one are predicted in one go."""
    rows, width = features.shape
    repeats = max(1, min(5, _PERMUTATIONS // width))
    means = []
    for place in range(width):
        shuffled = np.tile(features, (repeats, 1))
        shuffled[:, place] = np.concatenate([random.permutation(features[:, place]) for _ in range(repeats)])
        predicted = model.predict(shuffled).reshape(repeats, rows)
        means.append(float(np.mean([_r_squared(target, row) for row in predicted])))
    return means


def _r_squared(target: Column, predicted: Column) -> float:
    spread = float(np.square(target - target.mean()).sum())
    return 1 - float(np.square(target - predicted).sum()) / spread if spread else 0.0


def _one_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def warm_up() -> threading.Thread:
    """Loads the libraries (which takes 7 s on a cold disk) and fits a first model, in a thread that it returns.

    Call it when the API starts; a comparison that is asked for before it is done waits for it.
    """
    thread = threading.Thread(target=_first_use, name="matih-comparison-warm-up", daemon=True)
    thread.start()
    return thread


def _first_use() -> None:
    from matih_api.comparison.correlation import correlation

    column = np.arange(float(LEAST_RUNS))
    correlation(column, column[::-1])
    importances([column], column)
