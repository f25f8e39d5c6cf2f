"""Random models in both implementations, made once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.reference.comparison import CASES, Reference
from tests.reference.families import FAMILY_CASES


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from a second thread, and lose much where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Reference]:
    """The reference of a case with an activation: its saved model, and what it computes."""
    pytest.importorskip("transformers")
    made: dict[tuple[str, str], Reference] = {}

    def make(case: str, activation: str = "gelu") -> Reference:
        if (case, activation) not in made:
            folder: Path = tmp_path_factory.mktemp(f"{case}_{activation}")
            made[case, activation] = Reference.make({**CASES, **FAMILY_CASES}[case], activation, folder)
        return made[case, activation]

    return make
