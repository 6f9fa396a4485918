"""Settings of the whole suite."""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out `test_session`, a method of `tf.test.TestCase` that looks like a test and always skips."""
    items[:] = [item for item in items if item.name != "test_session"]


@pytest.fixture(autouse=True)
def no_determinism_left() -> Iterator[None]:
    """A run with `--deterministic` in a test's own process changes how all later ones compute, and prepare data."""
    yield
    config = sys.modules.get("tensorflow.python.framework.config")
    if config is not None and config.is_op_determinism_enabled():
        config.disable_op_determinism()
