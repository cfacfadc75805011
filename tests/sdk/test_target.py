"""Where the data goes, by the environment: Kafka, or the gateway; nothing secret shows in it."""

from __future__ import annotations

from matih_tracking.spool import SpoolKey
from matih_tracking.target import Target, target

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "k:9092"}
GATEWAY = {"MATIH_API_URL": "https://api.example.com/", "MATIH_API_TOKEN": "s3cret"}


def test_kafka_is_the_default_and_its_spools_are_where_they_were() -> None:
    assert target({}) == Target("localhost:9092", "matih.tracking.events.v1", "")
    assert target(KAFKA).spool_key == SpoolKey("k:9092", "matih.tracking.events.v1", "")
    assert str(target(KAFKA)) == "kafka k:9092"


def test_a_gateway_with_a_token_goes_before_kafka() -> None:
    for environment in (GATEWAY, {**KAFKA, **GATEWAY}):
        found = target(environment)
        assert str(found) == found.gateway == "https://api.example.com"
        assert "s3cret" not in repr(found)


def test_each_gateway_and_tenant_has_a_spool_of_its_own_whatever_the_token() -> None:
    environments = [GATEWAY, {**GATEWAY, "MATIH_TENANT": "acme"}, {**GATEWAY, "MATIH_API_URL": "https://b"}, KAFKA]
    assert len({target(environment).spool_key.hash16 for environment in environments}) == 4
    same = [
        GATEWAY,
        {**GATEWAY, "MATIH_API_TOKEN": "other"},
        {**GATEWAY, **KAFKA},
        {**GATEWAY, "MATIH_TENANT": "default"},
    ]
    assert len({target(environment).spool_key.hash16 for environment in same}) == 1
