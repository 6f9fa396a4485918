"""Settings of the whole suite."""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out `test_session`, a method of `tf.test.TestCase` that looks like a test and always skips."""
    items[:] = [item for item in items if item.name != "test_session"]
