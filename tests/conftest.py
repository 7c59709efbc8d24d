"""Settings and fixtures of all tests."""

import hypothesis
import pytest

from fastmfg import executors

hypothesis.settings.register_profile("steady", max_examples=15, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture
def threads():
    """`set_thread_count`, undone after the test."""
    yield executors.set_thread_count
    executors.set_thread_count(None)
