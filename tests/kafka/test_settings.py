"""Connection settings from the environment."""

import pytest

from matih_kafka.errors import InvalidSettings
from matih_kafka.settings import kafka_settings


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")  # the tests' own default

    def put(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        return kafka_settings()

    return put


def test_without_anything(environment):
    settings = environment()
    assert settings.client_options() == {"bootstrap_servers": "localhost:9092", "security_protocol": "PLAINTEXT"}
    assert (settings.events_topic, settings.principal) == ("matih.tracking.events.v1", "")


def test_an_empty_variable_is_none(environment):
    assert environment(KAFKA_BOOTSTRAP_SERVERS="").bootstrap_servers == "localhost:9092"


def test_sasl_over_tls_with_the_password_in_a_file(environment, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    settings = environment(
        KAFKA_BOOTSTRAP_SERVERS="a:1,b:2",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA_SASL_USERNAME="ada",
        KAFKA_SASL_PASSWORD_FILE=secret,
        MATIH_EVENTS_TOPIC="x.events.v1",
    )
    options = settings.client_options()
    assert options.pop("ssl_context").check_hostname
    assert options == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ada",
        "sasl_plain_password": "hush",
    }
    assert (settings.events_topic, settings.principal) == ("x.events.v1", "ada")


def test_a_password_is_not_shown(environment):
    assert "hush" not in repr(environment(KAFKA_SASL_PASSWORD="hush"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SASL_MECHANISM": "hush"}, "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USERNAME"),
    ],
)
def test_what_can_not_be_names_the_variable_and_no_value(environment, values, named):
    with pytest.raises(InvalidSettings, match=named) as caught:
        environment(**values)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": "/not/here.pem"},
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": "ada",
            "KAFKA_SASL_PASSWORD_FILE": "/not/here.pem",
        },
    ],
)
def test_a_file_that_can_not_be_read_is_named(environment, values):
    with pytest.raises(InvalidSettings, match=r"/not/here\.pem"):
        environment(**values).client_options()
