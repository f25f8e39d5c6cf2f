"""Small problems that are trained in a second, on one thread."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bertworks.batch import PackedBatch
from bertworks.inference import LoadedModel, load_model
from bertworks.nn.machine import MachineChoice, choose
from bertworks.nn.model import Model
from bertworks.tasks.text_classification import TextClassification, infer
from bertworks.tokenization import Tokenizer
from bertworks.training import TrainingConfig, TrainingResult, train
from bertworks.training.progress import Progress, StepReport


@dataclass
class Problem:
    """A task with its encoded data, and a way to a fresh model."""

    folder: Path
    task: TextClassification
    data: PackedBatch
    validation: PackedBatch

    def load(self, seed: int = 0) -> LoadedModel:
        return load_model(self.folder, self.task.heads, new_heads=True, seed=seed)

    def machine(self, token_budget: int = 4096, precision: Any = "float32") -> MachineChoice:
        return choose("cpu", precision, token_budget)

    def train(self, model: Model, *, token_budget: int = 4096, validate: bool = True, **settings: Any) -> TrainingResult:
        """Trains `model`; settings of the loop and of `TrainingConfig` alike."""
        loop = {name: settings.pop(name) for name in ("run", "progress", "material") if name in settings}
        config = TrainingConfig(**{"epochs": 1, "batch_size": 16, "learning_rate": 0.01, **settings})
        validation = self.validation if validate else None
        return train(model, self.task, self.data, config, self.machine(token_budget), validation=validation, **loop)


class Recorder(Progress):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self.evaluations: list[tuple[int, dict[str, Any], bool]] = []
        self.messages: list[str] = []
        self.started: tuple[int, int] | None = None
        self.finished = 0

    def start(self, steps: int, done: int) -> None:
        self.started = (steps, done)

    def step(self, report: StepReport) -> None:
        self.reports.append(report)

    def evaluated(self, step: int, metrics: Mapping[str, Any], headline: str, best: bool) -> None:
        assert headline in metrics
        self.evaluations.append((step, dict(metrics), best))

    def message(self, text: str) -> None:
        self.messages.append(text)

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """PyTorch's threads are set before the first test."""


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What is written here need not outlast a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def make_problem(tiny_bert: Path, tiny_tokenizer: Tokenizer, reviews: Callable[..., Any]) -> Callable[..., Problem]:
    """Makes a problem of the kind "single", "multi" or "number"; `options` are settings of the task."""

    def make(kind: str = "single", rows: int = 80, longest: int = 14, **options: Any) -> Problem:
        texts, labels = reviews(rows, longest=longest)
        validation_texts, validation_labels = reviews(40, seed=1, longest=longest)
        answers, validation_answers = (targets_of(kind, *pair) for pair in ((texts, labels), (validation_texts, validation_labels)))
        task = infer(answers, **{"max_tokens": 64, **options})
        data, _ = task.encode(texts, None, tiny_tokenizer, answers)
        validation, _ = task.encode(validation_texts, None, tiny_tokenizer, validation_answers)
        return Problem(tiny_bert, task, data, validation)

    return make


def targets_of(kind: str, texts: list[str], labels: list[str]) -> list[Any]:
    if kind == "single":
        return list(labels)
    if kind == "multi":
        return [[label, *(["long"] if len(text) > 40 else [])] for text, label in zip(texts, labels, strict=True)]
    return [len(text) / 10 + (3.0 if label == "good" else 0.0) for text, label in zip(texts, labels, strict=True)]
