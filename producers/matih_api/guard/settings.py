"""The settings of limits and quotas, from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_kafka.environment import from_environment

_CONFIG = SettingsConfigDict(env_prefix="MATIH_API_", env_ignore_empty=True, extra="ignore", frozen=True)


class LimitSettings(BaseSettings):
    """`MATIH_API_<NAME>` in the environment.

    Attributes:
        body_timeout: seconds that a request's body may take, besides what MATIH_API_BODY_RATE allows for its size.
        body_rate: bytes per second that a body has to come with, at least.
        header_timeout: seconds that a request's headers may take, from its first byte.
        request_timeout: seconds from a request's last byte to the first of its answer.
        max_headers: headers of a request.
        max_header_bytes: bytes of a request's headers, in all.
        max_url_bytes: bytes of path and query.
        max_query_params: parameters in a query.
        max_json_depth: arrays and objects inside one another in a body.
        log_lines: lines of the log per second and process, above which lines are counted only; errors have as many of \
their own.
    """

    model_config = _CONFIG

    body_timeout: float = Field(default=10.0, gt=0)
    body_rate: int = Field(default=16 << 10, ge=1)
    header_timeout: float = Field(default=10.0, gt=0)
    request_timeout: float = Field(default=30.0, gt=0)
    max_headers: int = Field(default=100, ge=10)
    max_header_bytes: int = Field(default=32 << 10, ge=1024)
    max_url_bytes: int = Field(default=8 << 10, ge=256)
    max_query_params: int = Field(default=100, ge=10)
    max_json_depth: int = Field(default=32, ge=4, le=200)
    log_lines: int = Field(default=200, ge=1)


class QuotaSettings(BaseSettings):
    """`MATIH_API_<NAME>` in the environment: what each tenant may do on this host, all its processes together.

    Attributes:
        requests_per_second: requests, on average; 0: no limit.
        requests_burst: requests at once, after a pause; 0: two seconds' worth.
        events_per_second: events written, on average; 0: no limit.
        events_burst: events at once, after a pause; 0: two seconds' worth.
        bytes_per_day: bytes of events written in a day of UTC; 0: no limit.
        quotas_file: a JSON file {tenant: {quota: value}} with other values for some; read again when it changes.
        datadir: the folder of what is kept over restarts (the bytes of the day); empty: nothing is.
        slots: GETs that a process works on at once, and as many other requests; one tenant gets half of them while
            others are there, and four times as many while it is alone. A request waits for its turn behind all that
            are worked on: few are fair, many are faster.
        waiting_per_tenant: requests of one tenant that wait for a slot; more are refused.
        waiting_timeout: seconds that a request waits for a slot before it is refused.
    """

    model_config = _CONFIG

    requests_per_second: float = Field(default=2000, ge=0)
    requests_burst: float = Field(default=0, ge=0)
    events_per_second: float = Field(default=5000, ge=0)
    events_burst: float = Field(default=0, ge=0)
    bytes_per_day: int = Field(default=100 << 30, ge=0)
    quotas_file: Path | None = None
    datadir: Path | None = None
    slots: int = Field(default=8, ge=4)
    waiting_per_tenant: int = Field(default=256, ge=1)
    waiting_timeout: float = Field(default=5.0, gt=0)


def limit_settings() -> LimitSettings:
    """The limits of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(LimitSettings)


def quota_settings() -> QuotaSettings:
    """The quotas of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    return from_environment(QuotaSettings)
