"""The store's contract on PostgreSQL's own image."""

from tests.workers.test_store_contract import *  # noqa: F403 (its tests, on this folder's `bench`)
