"""The experiments that this process creates: ids without asking anybody, and a journal of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_experiment_name, check_tenant, experiment_id
from matih_schemas.limits import EXPERIMENT_TAG_VALUE_MAX
from matih_tracking.configs import TENANT_TAG, ExperimentConfig
from matih_tracking.journal import entries
from matih_tracking.mend import clean, mend_tags, mend_text

if TYPE_CHECKING:
    from matih_tracking.origin import Origin
    from matih_tracking.recorder import Recorder
    from matih_tracking.tally import Tally


class Experiments:
    """Creates experiments, once in a process each; a shipper takes them to MLflow, with or without a run in them."""

    def __init__(self, recorder: Recorder, tally: Tally, origin: Origin, default_tenant: str) -> None:
        self.recorder = recorder
        self._tally = tally
        self._origin = origin
        self._default_tenant = default_tenant
        self._created: dict[tuple[str, str], ExperimentConfig] = {}

    def create(self, config: ExperimentConfig) -> str:
        """Creates an experiment, if it is not there yet; returns its id, the same in every process.

        Raises:
            InvalidName: the name or the tenant can't be one.
        """
        mended = self._mended(config)
        tenant = check_tenant(str(mended.tenant_id or self._default_tenant))
        identity = experiment_id(tenant, check_name(mended.name))
        if (tenant, mended.name) not in self._created:
            self._created[tenant, mended.name] = mended
            self.recorder.record(self._entry(tenant, identity, mended))
        return identity

    def tenant_of(self, name: str, tenant: str | None) -> str:
        """The tenant of a run in this experiment: given, else the one it was created for here, else MATIH_TENANT.

        Raises:
            InvalidName: the tenant can't be one.
        """
        if tenant is not None:
            return check_tenant(str(tenant))
        known = [created for created, other in self._created if other == name]
        return known[0] if len(known) == 1 else self._default_tenant

    def config(self, tenant: str, name: str) -> ExperimentConfig:
        """What the experiment was created with here."""
        return self._created.get((tenant, name)) or ExperimentConfig(name)

    def _mended(self, config: ExperimentConfig) -> ExperimentConfig:
        limit = EXPERIMENT_TAG_VALUE_MAX
        tags = mend_tags({key: value for key, value in config.tags.items() if key != TENANT_TAG}, limit)
        description, problems = mend_text(str(config.description or ""), limit, "the experiment's description")
        self._tally.count([*tags.problems, *problems])
        return replace(
            config, tags=tags.kept, description=description, artifact_location=clean(config.artifact_location)
        )

    def _entry(self, tenant: str, identity: str, config: ExperimentConfig) -> bytes:
        return entries.encode(
            entries.Experiment(
                time=now_ms(),
                tenant_id=tenant,
                experiment_id=identity,
                name=config.name,
                description=config.description,
                artifact_location=config.artifact_location,
                tags=config.tags,
                claimed_user=self._origin.user,
                host=self._origin.host,
                sdk_version=self._origin.sdk_version,
            )
        )


def check_name(name: object) -> str:
    """The experiment's name.

    Raises:
        InvalidName: it can't be one.
    """
    if not isinstance(name, str):
        raise InvalidName(f"experiment name {name!r:.80} is no text: give it a name")
    if mend_text(name, len(name), "")[1]:
        raise InvalidName(f"experiment name {name!r:.80} holds NUL or a lone surrogate: remove it")
    return check_experiment_name(name)
