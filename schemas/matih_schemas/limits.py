"""The limits of the contract. Where MLflow has one, ours is MLflow's."""

from __future__ import annotations

from typing import Final

KEY_MAX: Final = 250
"""Characters in the key of a metric, a param or a tag (MLflow's MAX_ENTITY_KEY_LENGTH)."""
PARAM_VALUE_MAX: Final = 6000
"""Characters of a param's value that MLflow keeps."""
TAG_VALUE_MAX: Final = 8000
"""Characters of a tag's value that MLflow keeps."""
EXPERIMENT_TAG_VALUE_MAX: Final = 5000
"""Characters of an experiment's tag, its description included, that every MLflow takes: 20 000 from 3.16 on."""
RUN_NAME_MAX: Final = 250
"""Characters of a run's name (MLflow's column on PostgreSQL)."""
EXPERIMENT_NAME_MAX: Final = 256
"""Characters of an experiment's name in MLflow's table, the tenant's prefix included."""
TENANT_MAX: Final = 63
"""Characters of a tenant."""
STEP_MIN: Final = -(2**63)
STEP_MAX: Final = 2**63 - 1
"""Steps are int64."""
METRICS_PER_ENTRY: Final = 1000
"""Metrics in one entry of a journal: a longer log call becomes several entries."""
ENTRY_MAX_BYTES: Final = 256 * 1024
"""Bytes of one entry of a journal: a larger log call becomes several entries."""
METRICS_PER_EVENT: Final = 1000
"""Metrics in one event: MLflow's own limit for a batch."""
EVENT_MAX_BYTES: Final = 512 * 1024
"""Bytes of one event, encoded: half of what a broker takes by default."""
