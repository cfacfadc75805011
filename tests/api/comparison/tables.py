"""Tables of runs, made up."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from matih_tracking.reading.views import RunTable

FLOATS = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1.7976931348623157e308, 0.0])
TEXTS = st.text(max_size=6) | st.floats().map(repr) | st.integers().map(str) | st.sampled_from(["None", "NaN", "007"])


def table(metrics=None, params=None, runs=None) -> RunTable:
    columns = [*(metrics or {}).values(), *(params or {}).values()]
    count = len(columns[0]) if runs is None else runs
    ids = [f"{number:032x}" for number in range(count)]
    return RunTable(ids, ["a run"] * count, ["FINISHED"] * count, dict(metrics or {}), dict(params or {}))


def reordered(whole: RunTable, order: list[int]) -> RunTable:
    def column(values):
        return [values[place] for place in order]

    return RunTable(
        column(whole.run_ids),
        column(whole.names),
        column(whole.statuses),
        {key: column(values) for key, values in whole.metrics.items()},
        {key: column(values) for key, values in whole.params.items()},
    )


@st.composite
def tables(draw, most=30) -> RunTable:
    count = draw(st.integers(0, most))
    names = st.sampled_from(["f1_score", "loss", "run_id", "metrics", "parameters", "x", ""])

    def columns(values):
        return draw(st.dictionaries(names, st.lists(st.none() | values, min_size=count, max_size=count), max_size=4))

    return table(columns(FLOATS), columns(TEXTS), count)
