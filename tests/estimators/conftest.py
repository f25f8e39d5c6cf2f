"""These tests compute on one thread."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """PyTorch's threads are set before the first test."""
