"""Command lines run in this process, in a folder with small sets that a tiny encoder learns in seconds."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.cli.main import run

PRAISE = ("good", "great", "lovely", "fine", "fresh", "warm", "bright", "kind")
BLAME = ("bad", "poor", "awful", "cold", "stale", "dull", "rude", "sour")
THINGS = ("film", "book", "soup", "room", "hotel", "train", "song", "game")

FAST = ("--epochs", "4", "--learning-rate", "0.005", "--batch-size", "16", "--precision", "float32", "--threads", "1")


@pytest.fixture(scope="session")
def encoder(tiny_bert: Path) -> Path:
    """What the commands fine-tune."""
    return tiny_bert


def review_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts that are praise or blame, with their labels."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        label = str(draw.choice(["positive", "negative"]))
        words = draw.choice(PRAISE if label == "positive" else BLAME, 2, replace=False)
        thing, other = draw.choice(THINGS, 2, replace=False)
        rows.append((f"this {thing} was {words[0]} and the {other} is very {words[1]}!", label))
    return rows


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured of the machine is not put into the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BERTWORKS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """A command that asks for one thread leaves other tests theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with train.csv (columns id, review, sentiment) and test.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for name, count, seed in (("train.csv", 96, 0), ("test.csv", 40, 1)):
        lines = [f'{i},"{text}",{label}' for i, (text, label) in enumerate(review_rows(count, seed))]
        (tmp_path / name).write_text("id,review,sentiment\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


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
