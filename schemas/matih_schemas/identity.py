"""Names and ids that any number of processes agree on without talking: pure functions of their arguments."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from typing import Final

from matih_schemas.errors import InvalidName
from matih_schemas.limits import EXPERIMENT_NAME_MAX, TENANT_MAX

DEFAULT_TENANT: Final = "default"
DEPLOYMENT: Final = "matih.deployment"
"""Whose an admin action is that concerns no single tenant; `matih tenants create` makes no tenant of this name."""
ADMIN: Final = "admin"
"""What stands behind the tenant in the key of an admin action."""
NAMESPACE: Final = uuid.UUID("6d0a3f3e-6f4c-5d0b-9a59-1f0c0f6f7b1e")
"""The UUIDv5 name space of every id made here. Part of the contract: it never changes."""

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def check_tenant(tenant: str) -> str:
    """Returns the tenant if it is one: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.

    Raises:
        InvalidName: it is not; the message names the rule.
    """
    if len(tenant) > TENANT_MAX or not _TENANT.match(tenant):
        raise InvalidName(
            f"tenant {tenant[:80]!r}: use 1 to {TENANT_MAX} letters, digits, '.', '_' or '-', "
            "beginning with a letter or a digit"
        )
    return tenant


def check_experiment_name(name: str) -> str:
    """Returns the experiment's name if it can be one: not blank, no control characters.

    Raises:
        InvalidName: it can't; the message names the rule.
    """
    if not name.strip():
        raise InvalidName("experiment name is blank: give it at least one visible character")
    if _UNPRINTABLE.search(name):
        raise InvalidName(f"experiment name {name[:80]!r} holds control characters: remove them")
    return name


def _uuid5(*parts: str) -> uuid.UUID:
    """UUIDv5 of the parts, each preceded by its length, so that no two lists of parts read alike."""
    return uuid.uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))


def experiment_id(tenant: str, name: str) -> str:
    """The id of a tenant's experiment of that name (a dashed UUID), the same in every process."""
    return str(_uuid5("experiment", tenant, name))


def new_run_id() -> str:
    """A run id nobody else has: 32 hex characters."""
    return os.urandom(16).hex()


def new_producer_id() -> str:
    """An id for one process's part in one run: 16 hex characters."""
    return os.urandom(8).hex()


def run_id_from(given: str, tenant: str) -> str:
    """The run id for a user's: 32 hex as it is, a dashed UUID without dashes, else a hash with the tenant."""
    plain = given.strip().lower()
    if len(plain) == 36:
        plain = plain.replace("-", "")
    return plain if _HEX32.match(plain) else _uuid5("run", tenant, given).hex


def shared_run_id(tenant: str, experiment: str, run_name: str, token: str, nth: int) -> str:
    """The run id that all ranks of a job come to: of its launcher's token and the n-th `start_run` of the process."""
    return _uuid5("ranks", tenant, experiment, run_name, token, str(nth)).hex


def event_id(run_id: str, producer_id: str, sequence: int, kind: str) -> str:
    """The id of an event made from a journal: the same entries give the same id, however often they are published."""
    return str(_uuid5("event", run_id, producer_id, str(sequence), kind))


def record_key(tenant: str, object_id: str) -> bytes:
    """The Kafka key of all events of a run (or an experiment): `tenant/run_id`."""
    return f"{tenant}/{object_id}".encode()


def mlflow_experiment_name(tenant: str, name: str) -> str:
    """The experiment's name in MLflow: `tenant/name`, bare for the default tenant's names without a slash.

    The only place that puts a tenant in front of a name. A name too long for MLflow's column is cut, and ends
    in `~` and 8 hex characters of its hash; its full form stands in a tag.
    """
    bare = tenant == DEFAULT_TENANT and "/" not in name
    full = name if bare else f"{tenant}/{name}"
    if len(full) <= EXPERIMENT_NAME_MAX:
        return full
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{full[: EXPERIMENT_NAME_MAX - 9]}~{digest}"


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2), as an unsigned number."""
    m, mask, length = 0x5BD1E995, 0xFFFFFFFF, len(data)
    h = 0x9747B28C ^ length
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if length % 4:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Java's default partitioner, librdkafka's `murmur2` and aiokafka choose it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
