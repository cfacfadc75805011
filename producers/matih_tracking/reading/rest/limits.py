"""How much is read through MLflow's API, which neither counts nor thins out: what needs that is read whole."""

from __future__ import annotations

from typing import Final

RUNS_MAX: Final = 10_000
"""Runs that one question may have to look at."""
EXPERIMENTS_MAX: Final = 10_000
"""Experiments that one question may have to look at."""
POINTS_MAX: Final = 2_000_000
"""Points of one metric of one run."""
PAGE: Final = 1_000
"""Runs or experiments in one answer of MLflow."""
POINTS_PAGE: Final = 25_000
"""Points in one answer of MLflow."""
EXPERIMENTS_PER_SEARCH: Final = 500
"""Experiments that one search for runs names."""
IDS_PER_SEARCH: Final = 100
"""Runs that one search names."""
LOOKUPS_MAX: Final = 50
"""Runs that are looked up one by one; for more, all runs of the experiments are read."""

REMEDY: Final = "read the database itself (MLFLOW_TRACKING_URI=postgresql://...), or narrow the question"
