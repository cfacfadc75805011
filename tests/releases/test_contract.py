"""What the SQL store writes into another release's tables, as that release's own server shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.workers.test_differential import the_same_experiment, the_same_runs
from tests.workers.test_store_contract import *  # noqa: F403 (its tests, on this folder's `bench`)
from tests.workers.views import MlflowBench

if TYPE_CHECKING:
    from tests.releases.conftest import Served
    from tests.releases.mlflow_release import MlflowRelease
    from tests.workers.views import SqlBench

# MLflow 3.16 is the first whose log_batch takes a NaN that is there already; before, its API answers BAD_REQUEST.
REFUSE_NAN_TWICE = ("3.15.2", "3.10.1")

# The first test of a release may install it.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


def test_the_release_shows_the_same_runs_whoever_wrote(bench: SqlBench, served: Served, release: MlflowRelease) -> None:
    takes_nan_twice = release.version not in REFUSE_NAN_TWICE
    the_same_runs(bench, MlflowBench(served.url), takes_nan_twice=takes_nan_twice)


def test_the_release_shows_the_same_experiment_whoever_made_it(bench: SqlBench, served: Served) -> None:
    the_same_experiment(bench, MlflowBench(served.url))
