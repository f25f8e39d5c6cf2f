"""A tiny GPT-2 with weights so large that no choice is a near thing; one thread."""

from pathlib import Path

import pytest

from bertworks.inference import LoadedModel, load_model
from bertworks.tokenization import Tokenizer
from tests.tiny_gpt2 import tiny_tokenizer, write_tiny_gpt2


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """PyTorch's threads are set before the first test."""


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, byte_level: Tokenizer) -> LoadedModel:
    folder: Path = write_tiny_gpt2(tmp_path_factory.mktemp("tiny") / "gpt2", spread=0.5)
    return load_model(folder, {"next_token": ("causal_lm", len(byte_level))})
