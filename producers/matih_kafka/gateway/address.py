"""Whether events go to the event gateway instead of to Kafka, and to which one: read without any library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def gateway_url(environment: Mapping[str, str]) -> str | None:
    """The API's base URL, without a slash at the end; None where events go to Kafka.

    MATIH_API_URL alone names the gateway. Where brokers are named too, it takes a token to choose it: an environment
    that names all of a system's servers (`matih local env`) means Kafka for those who can reach it.
    """
    url = environment.get("MATIH_API_URL", "").strip().rstrip("/")
    has_token = environment.get("MATIH_API_TOKEN") or environment.get("MATIH_API_TOKEN_FILE")
    return url if url and (has_token or not environment.get("KAFKA_BOOTSTRAP_SERVERS")) else None
