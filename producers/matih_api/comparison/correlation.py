"""Pearson's and Spearman's coefficients of columns with gaps, for any floats: huge, tiny, constant, few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

LEAST: Final = 3
"""Pairs that a correlation takes: two always lie on a line."""


class Correlation(NamedTuple):
    """How two columns go together.

    Attributes:
        n: pairs of finite values.
        p_value: of Pearson's r, two-sided: how often independent normal columns would show an r at least as far from 0.
    """

    pearson: float
    spearman: float
    n: int
    p_value: float


def correlation(x: Column, y: Column) -> Correlation | None:
    """Over the places where both are finite; None if there are fewer than three, or one of the columns is constant."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < LEAST or x.min() == x.max() or y.min() == y.max():
        return None
    r = pearson(x, y)
    return Correlation(r, pearson(ranks(x), ranks(y)), len(x), two_sided(r, len(x)))


def pearson(x: Column, y: Column) -> float:
    """Pearson's r of finite columns that are not constant."""
    product = _standardised(x) * _standardised(y)  # no BLAS: on a busy machine its threads wait for one another
    return float(np.clip(product.sum(), -1.0, 1.0))


def two_sided(r: float, n: int) -> float:
    """The p-value of Pearson's r of n > 2 pairs: r**2 has the beta distribution (1/2, n/2 - 1) under independence."""
    from scipy.special import betainc  # takes a second

    return float(betainc(n / 2 - 1, 0.5, (1 - abs(r)) * (1 + abs(r))))


def ranks(values: Column) -> Column:
    """Ranks from 1; equal values share their mean rank; NaN stays NaN."""
    found = np.full(len(values), np.nan)
    there = ~np.isnan(values)
    _, inverse, counts = np.unique(values[there], return_inverse=True, return_counts=True)
    found[there] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return found


def unit(values: Column) -> Column:
    """Finite values that are not constant, on the scale from 0 to 1: no overflow, and no loss for near ones."""
    _, exponent = np.frexp(np.abs(values).max())
    scaled = np.ldexp(np.ldexp(values, -(exponent // 2)), -(exponent - exponent // 2))  # one step could overflow
    shifted = scaled - scaled.min()
    return np.asarray(shifted / shifted.max())


def _standardised(values: Column) -> Column:
    centred = unit(values)
    centred -= centred.mean()
    return np.asarray(centred / np.sqrt(np.square(centred).sum()))
