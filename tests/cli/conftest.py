"""A tiny encoder with random weights, and small sets that it learns in seconds."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from bertworks.cli.main import run

PRAISE = ("good", "fine", "great", "lovely", "superb", "charming", "brilliant", "warm")
BLAME = ("bad", "poor", "awful", "dull", "broken", "stale", "clumsy", "cold")
THINGS = ("film", "book", "soup", "phone", "hotel", "play", "song", "chair")
OTHERS = "the a was is and but very quite it this that , . ! ? a ##s ##ly 1 2 3".split()
WIDTH, LAYERS, POSITIONS = 32, 2, 64

FAST = ("--epochs", "4", "--learning-rate", "0.005", "--batch-size", "16", "--precision", "float32", "--threads", "1")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `transformers` saves it, of a BERT with two layers of width 32."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    words = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PRAISE, *BLAME, *THINGS, *OTHERS]))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(_weights(len(words)), folder / "model.safetensors")
    return folder


def _weights(vocabulary: int) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    tensors: dict[str, Any] = {}

    def matrix(name: str, *shape: int) -> None:
        tensors[name] = draw.normal(0, 0.15, shape).astype(np.float32)

    def linear(name: str, outputs: int, inputs: int) -> None:
        matrix(f"{name}.weight", outputs, inputs)
        tensors[f"{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    for name, rows in (("word", vocabulary), ("position", POSITIONS), ("token_type", 2)):
        matrix(f"embeddings.{name}_embeddings.weight", rows, WIDTH)
    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", 2 * WIDTH, WIDTH)
        linear(f"{layer}.output.dense", WIDTH, 2 * WIDTH)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", WIDTH, WIDTH)
    return tensors


def review_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts that are praise or blame, with their labels."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        label = str(draw.choice(["positive", "negative"]))
        words = draw.choice(PRAISE if label == "positive" else BLAME, 2, replace=False)
        thing, other = draw.choice(THINGS, 2, replace=False)
        rows.append((f"this {thing} was {words[0]} and the {other} is very {words[1]} !", label))
    return rows


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder with train.csv (columns id, review, sentiment) and test.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for name, count, seed in (("train.csv", 96, 0), ("test.csv", 40, 1)):
        lines = [f'{i},"{text}",{label}' for i, (text, label) in enumerate(review_rows(count, seed))]
        (tmp_path / name).write_text("id,review,sentiment\n" + "\n".join(lines) + "\n", encoding="utf-8")
    yield tmp_path


@pytest.fixture(scope="session")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on 160 reviews."""
    from bertworks.estimators.workflows import train

    rows = review_rows(160, seed=2)
    data = {"review": [text for text, _ in rows], "sentiment": [label for _, label in rows]}
    settings = {"epochs": 8, "learning_rate": 0.005, "batch_size": 16, "precision": "float32", "threads": 1}
    return train(data, model=encoder, output=tmp_path_factory.mktemp("runs") / "reviews", **settings).folder


class Outcome:
    """What a command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def error(self) -> str:
        """The only line on standard error; fails where there are others, or any output."""
        assert not self.out
        (line,) = self.err.splitlines()
        return line

    @property
    def json(self) -> Any:
        """The only line on standard output, read as JSON."""
        assert self.code == 0, self.err
        (line,) = self.out.splitlines()
        return json.loads(line)


Bertworks = Callable[..., Outcome]


@pytest.fixture
def bertworks(work: Path, capfd: pytest.CaptureFixture[str]) -> Bertworks:
    """Runs a command line in this process, in the working folder."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a command in a process of its own."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
