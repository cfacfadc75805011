"""A wrong setting is reported, and the default holds."""

from __future__ import annotations

import pytest

from matih_tracking.settings import Settings, read


def test_nothing_set_is_the_defaults():
    assert read({}) == (Settings(), [])
    assert Settings().tracking_uri == "http://mlflow:5000"


def test_all_set():
    settings, problems = read(
        {
            "MATIH_TENANT": "acme",
            "MATIH_MODE": "Offline",
            "MATIH_SHIPPER": "external",
            "MATIH_STRICT": "yes",
            "MATIH_QUIET": "1",
            "MATIH_REDACT": "off",
            "MATIH_EXIT_TIMEOUT": "0.5",
            "MATIH_SPOOL_FULL_POLICY": "block",
            "MATIH_SPOOL_FULL_TIMEOUT": " 2 ",
            "MLFLOW_TRACKING_URI": "http://x:1",
        }
    )
    assert problems == []
    assert settings == Settings("acme", "offline", "external", True, True, False, 0.5, "block", 2.0, "http://x:1", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MATIH_TENANT", "a/b"),
        ("MATIH_MODE", "on"),
        ("MATIH_SHIPPER", "none"),
        ("MATIH_STRICT", "maybe"),
        ("MATIH_EXIT_TIMEOUT", "-1"),
        ("MATIH_EXIT_TIMEOUT", "nan"),
        ("MATIH_EXIT_TIMEOUT", "4s"),
        ("MATIH_SPOOL_FULL_POLICY", "lose"),
    ],
)
def test_a_wrong_one_is_named_with_its_default(name, value):
    settings, problems = read({name: value})
    assert settings == Settings()
    (problem,) = problems
    assert problem.startswith(f"{name}={value!r}: ")
    assert problem.endswith(" is used")
