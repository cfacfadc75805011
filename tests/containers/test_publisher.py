"""The publisher's contract on Kafka's own image."""

import pytest
from tests.kafka.test_publisher_contract import *  # noqa: F403 (its tests, on this folder's `kafka`)

pytestmark = pytest.mark.parametrize("make", ["kafka"], indirect=True)
