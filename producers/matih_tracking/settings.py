"""The SDK's few settings. A wrong value never stops a training run: it is reported, and the default holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar, cast

from matih_schemas.identity import DEFAULT_TENANT, check_tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Mode = Literal["online", "offline", "disabled"]
ShipperPolicy = Literal["auto", "external"]
FullPolicy = Literal["drop", "block", "raise"]

DEFAULT_TRACKING_URI: Final = "http://mlflow:5000"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})
_T = TypeVar("_T")


class Settings(NamedTuple):
    """What the environment says about this process's tracking.

    Attributes:
        tenant: MATIH_TENANT; the tenant of everything that names none.
        mode: MATIH_MODE; `online`, `offline` (journal only, delivered by `matih sync`) or `disabled` (nothing at all).
        shipper: MATIH_SHIPPER; `auto` (a tracker that finds none starts one) or `external` (there is a sidecar: never).
        strict: MATIH_STRICT; raise instead of mending, dropping and falling back.
        quiet: MATIH_QUIET; none of the lines about where the data goes.
        redact: MATIH_REDACT; params that look like secrets are stored as `[redacted]`.
        exit_timeout: MATIH_EXIT_TIMEOUT; seconds that the end of the process may wait for delivery, in all.
        full_policy: MATIH_SPOOL_FULL_POLICY; what a log call does when the spool is full.
        full_timeout: MATIH_SPOOL_FULL_TIMEOUT; seconds that a log call waits under `block`, before it drops.
        tracking_uri: MLFLOW_TRACKING_URI; where runs are read.
        tracking_uri_given: somebody set it, so that asking it is worth the time.
    """

    tenant: str = DEFAULT_TENANT
    mode: Mode = "online"
    shipper: ShipperPolicy = "auto"
    strict: bool = False
    quiet: bool = False
    redact: bool = True
    exit_timeout: float = 4.0
    full_policy: FullPolicy = "drop"
    full_timeout: float = 5.0
    tracking_uri: str = DEFAULT_TRACKING_URI
    tracking_uri_given: bool = False


def read(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings in an environment, and what is wrong with it (one line per variable)."""
    problems: list[str] = []

    def value(name: str, parse: Callable[[str], _T], default: _T) -> _T:
        text = environment.get(name)
        if text is None:
            return default
        try:
            return parse(text.strip())
        except ValueError as error:
            problems.append(f"{name}={text!r}: {error}; {default!r} is used")
            return default

    settings = Settings(
        tenant=value("MATIH_TENANT", check_tenant, DEFAULT_TENANT),
        mode=value("MATIH_MODE", _mode, "online"),
        shipper=value("MATIH_SHIPPER", _shipper, "auto"),
        strict=value("MATIH_STRICT", _flag, False),
        quiet=value("MATIH_QUIET", _flag, False),
        redact=value("MATIH_REDACT", _flag, True),
        exit_timeout=value("MATIH_EXIT_TIMEOUT", _seconds, 4.0),
        full_policy=value("MATIH_SPOOL_FULL_POLICY", _full_policy, "drop"),
        full_timeout=value("MATIH_SPOOL_FULL_TIMEOUT", _seconds, 5.0),
        tracking_uri=environment.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI,
        tracking_uri_given=bool(environment.get("MLFLOW_TRACKING_URI")),
    )
    return settings, problems


def _flag(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("use 1 or 0 (also true, false, yes, no, on, off)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise ValueError("use a number of seconds from 0 to 86400")
    return seconds


def _mode(text: str) -> Mode:
    return cast("Mode", _one_of(text, "online", "offline", "disabled"))


def _shipper(text: str) -> ShipperPolicy:
    return cast("ShipperPolicy", _one_of(text, "auto", "external"))


def _full_policy(text: str) -> FullPolicy:
    return cast("FullPolicy", _one_of(text, "drop", "block", "raise"))


def _one_of(text: str, *words: str) -> str:
    if text.lower() in words:
        return text.lower()
    raise ValueError(f"use one of {', '.join(words)}")
