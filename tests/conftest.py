"""What tests of several rooms share: a tiny BERT folder and labelled texts that it can learn in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from bertworks.tokenization import Tokenizer

# a busy machine is no fault of the code: no example has a time limit
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# ruff: noqa: SIM905 - words are read more easily in lines than as lists
GOOD = "good great lovely fine fresh warm bright kind sweet happy best joy clean nice rich".split()
BAD = "bad poor awful cold stale dull rude sour sad worst pain dirty late broken weak".split()
PLAIN = """the a an and or but of to in on at for with from by is was are were be been it this that these those he she they we you i
    movie film book soup room hotel train story song game dog cat hill house day night week year food music place time people man
    woman child friend city street table door window water wine bread cheese fish rice tea coffee very so too quite really almost
    never always often again once here there now then up down out over under after before while because when where who what which
    not no yes all some any many few more most other same new old big small long short first last only own just also even still""".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
VOCABULARY = list(dict.fromkeys([*SPECIAL, *GOOD, *BAD, *PLAIN, *LETTERS, *("##" + x for x in LETTERS), *".,!?'-"]))
"""Words, and letters of which any other word is made: nothing is unknown."""

CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.1,
}

Reviews = tuple[list[str], list[str]]


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: models this small gain nothing from more, and lose much where others compute too."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and 32 hidden units, random weights, and its vocabulary."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="session")
def make_bert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes other tiny BERT folders, by changes to config.json."""

    def make(**changes: object) -> Path:
        return write_tiny_bert(tmp_path_factory.mktemp("tiny") / "bert", **changes)

    return make


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_bert: Path) -> Tokenizer:
    from bertworks.tokenization import Tokenizer

    return Tokenizer.load(tiny_bert)


@pytest.fixture(scope="session")
def reviews() -> Callable[..., Reviews]:
    """Makes texts of unequal lengths with the label that their words give them: 'good' or 'bad'."""
    return make_reviews


def write_tiny_bert(folder: Path, **changes: object) -> Path:
    from bertworks.architectures import architecture_of
    from bertworks.checkpoints.loading import LoadingReport
    from bertworks.inference import LoadedModel, save_model
    from bertworks.nn.model import Model

    config = {**CONFIG, **changes}
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in VOCABULARY), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}), encoding="utf-8")
    architecture = architecture_of(config, str(folder))
    model = Model(architecture.encoder(config))
    model.initialize(seed=1)
    save_model(folder, LoadedModel(model, architecture, config, {}, LoadingReport(str(folder), 0, 0)))
    return folder


def make_reviews(rows: int, seed: int = 0, shortest: int = 3, longest: int = 14) -> Reviews:
    draws = np.random.Generator(np.random.PCG64(seed))
    texts, labels = [], []
    for _ in range(rows):
        good = bool(draws.integers(2))
        words = [str(word) for word in draws.choice(PLAIN, draws.integers(shortest, longest + 1))]
        for place in draws.integers(0, len(words), size=max(1, len(words) // 4)):
            words[place] = str(draws.choice(GOOD if good else BAD))
        texts.append(" ".join(words))
        labels.append("good" if good else "bad")
    return texts, labels
