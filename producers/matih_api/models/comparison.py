"""What `POST /api/v1/ml/experiments/{id}/compare` answers.

For the OpenAPI document and for clients; the route answers `Comparison.answer()` as it is, since checking 30 000 runs
again would take longer than comparing them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pydantic.config import JsonDict

# pydantic evaluates these when the module is loaded.
Number: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
Param: TypeAlias = int | float | str

_RUN: JsonDict = {
    "run_id": "0f8b1c9e5d7a4c6e9b2a3d4e5f607182",
    "f1_score": 0.91,
    "loss": "NaN",
    "metrics": {"f1_score": 0.91, "loss": "NaN"},
    "parameters": {"lr": 0.001, "optimizer": "adam", "code": "007"},
}
_IMPACT: JsonDict = {
    "correlation_with_f1": -0.74,
    "metric": "f1_score",
    "correlation": -0.74,
    "n": 48,
    "p_value": 1.6e-9,
    "method": "pearson",
    "spearman": -0.81,
    "importance": 0.62,
    "importance_r_squared": 0.71,
    "importance_runs": 48,
    "importance_seed": 0,
}
_COMPARISON: JsonDict = {"runs": [_RUN], "best_run": _RUN["run_id"], "parameter_impact": {"lr": _IMPACT}}


class ComparedRun(BaseModel):
    """A run; each of its metrics also stands beside `run_id`, under its own name."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": _RUN})

    run_id: str
    metrics: dict[str, Number] = Field(description="The latest values of the metrics compared, those that it has.")
    parameters: dict[str, Param] = Field(description="The params compared; JSON numbers are numbers, the rest is text.")


class ParameterImpact(BaseModel):
    """What a param has to do with a metric; r also stands under `correlation_with_<metric>`, without `_score`."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": _IMPACT})

    metric: str
    correlation: float = Field(ge=-1, le=1, description="Pearson's r.")
    n: int = Field(ge=3, description="Runs that have both the param and the metric as finite numbers.")
    p_value: float = Field(ge=0, le=1, description="Two-sided, of r, for this param alone.")
    method: Literal["pearson"]
    spearman: float = Field(ge=-1, le=1, description="The rank correlation over the same runs.")
    importance: float | None = Field(
        description="How much R squared falls when the param is permuted; null: too few runs."
    )
    importance_r_squared: float | None = Field(description="R squared of the model, on runs it was not fitted to.")
    importance_runs: int | None = Field(description="How many runs the model saw.")
    importance_seed: int | None = Field(description="Of the sample and the permutations.")


class ComparisonBody(BaseModel):
    """Runs beside one another."""

    model_config = ConfigDict(json_schema_extra={"example": _COMPARISON})

    runs: list[ComparedRun] = Field(description="Newest first.")
    best_run: str | None = Field(description="The best by the first metric; null if no run has a number for it.")
    parameter_impact: dict[str, ParameterImpact]


class ComparisonResponse(BaseModel):
    """The answer of compare."""

    model_config = ConfigDict(json_schema_extra={"example": {"comparison": _COMPARISON}})

    comparison: ComparisonBody
