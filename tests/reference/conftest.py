"""Random models in both implementations, made once."""

from collections.abc import Iterator

import pytest
import torch

from tests.reference.families import References


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from a second thread, and lose much where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> References:
    """The reference of a case with an activation."""
    pytest.importorskip("transformers")
    return References(tmp_path_factory.mktemp("references"))
