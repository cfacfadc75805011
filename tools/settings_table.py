"""Writes docs/settings.md from the settings' classes: `python tools/settings_table.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from matih_api.auth.settings import AuthSettings
from matih_api.guard.settings import LimitSettings, QuotaSettings
from matih_api.settings import ApiSettings
from matih_kafka.gateway.settings import GatewaySettings
from matih_kafka.registry.settings import RegistrySettings
from matih_kafka.settings import KafkaSettings
from matih_tracking.settings import Settings
from matih_tracking.spool import SpoolSettings
from matih_workers.audit.settings import AuditSettings
from matih_workers.settings import WorkerSettings

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

HEAD = """# Settings

All by environment variables; this page is made by `python tools/settings_table.py` from the classes that read them.
A wrong value is told by name: servers and commands then refuse to start, a training run goes on with the default.
"""

# What is read by one function each, and has no class of its own.
OTHERS = [
    ("`MATIH_RUN_ID`", "", "the run of the first `start_run` of a process; `matih run` sets it for all ranks of a job"),
    ("`MATIH_RUN_ID_USED_BY`", "", "set by the process that has used `MATIH_RUN_ID`, so that its children do not"),
]
LOCAL = [
    ("`MATIH_HOME`", "`.matih`", "the folder of `matih local`'s data, logs and ports"),
    ("`MATIH_CACHE_DIR`", "the user's cache", "where downloads are kept, for all `MATIH_HOME`s"),
    ("`MATIH_MAVEN_REPO`", "Maven Central", "the Maven repository that Kafka's jars are fetched from"),
]
Row = tuple[str, str, str]


def attributes(kind: type) -> dict[str, str]:
    """The `Attributes:` of a class's docstring, by name."""
    section = (kind.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(r"^ {8}(\w+(?:, \w+)*): (.*(?:\n {12}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for names, text in found for name in names.split(", ")}


def shown(default: Any) -> str:
    """A default as it stands in the table."""
    if default is None or default in ("", PydanticUndefined):
        return ""
    if isinstance(default, SecretStr):
        return ""
    return f"`{int(default) if isinstance(default, bool) else default}`"


def by_pydantic(kind: type[BaseSettings]) -> list[Row]:
    """The rows of a pydantic class: the variable is the alias, or the prefix and the name."""
    meanings, rows = attributes(kind), []
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        given = [alias] if isinstance(alias, str) else [str(choice) for choice in getattr(alias, "choices", [])]
        names = [one for one in given if one.isupper()] or [f"{kind.model_config['env_prefix']}{name}".upper()]
        rows.append((", else ".join(f"`{one}`" for one in names), shown(field.default), meanings[name]))
    return rows


def by_docstring(kind: type, defaults: dict[str, Any]) -> list[Row]:
    """The rows of a plain class: each variable's name begins its meaning."""
    rows = []
    for name, text in attributes(kind).items():
        variable, _, meaning = text.partition("; ")
        if variable.isupper():
            rows.append((f"`{variable}`", shown(defaults.get(name)), meaning))
    return rows


def table(rows: list[Row]) -> str:
    """Rows as a table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in escaped)]) + "\n"


def page() -> str:
    """The whole page."""
    sdk = Settings._field_defaults
    sections = {
        "The SDK (training processes)": by_docstring(Settings, sdk) + OTHERS,
        "The spool (training processes and shippers)": by_docstring(SpoolSettings, SpoolSettings._field_defaults),
        "The event gateway, instead of Kafka (training processes, shippers)": by_pydantic(GatewaySettings),
        "Kafka (shippers, workers, `matih topics`)": by_pydantic(KafkaSettings),
        "The schema registry, for Confluent's framing (all that write or read the topic)": by_pydantic(
            RegistrySettings
        ),
        "The worker": by_pydantic(WorkerSettings),
        "The archive (`matih audit`)": by_pydantic(AuditSettings),
        "The API": by_pydantic(ApiSettings),
        "The API: who may do what": by_pydantic(AuthSettings),
        "The API's limits (docs/guides/limits.md)": by_pydantic(LimitSettings),
        "The API's quotas (docs/guides/limits.md)": by_pydantic(QuotaSettings),
        "One machine (`matih local`, `matih demo`, the tests)": LOCAL,
    }
    return HEAD + "".join(f"\n## {title}\n\n{table(rows)}" for title, rows in sections.items())


if __name__ == "__main__":
    PAGE.write_text(page())
