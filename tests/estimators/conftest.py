"""Classifiers of each kind, trained for a second, and a way to others; all on one thread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertworks import TextClassifier

SETTINGS: dict[str, Any] = {"epochs": 3, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "progress": False}
KINDS = ("single", "multi", "number")


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """PyTorch's threads are set before the first test."""


@pytest.fixture(scope="session")
def make(tiny_bert: Path) -> Callable[..., TextClassifier]:
    """An unfitted classifier on the tiny model."""

    def make_classifier(**settings: Any) -> TextClassifier:
        return TextClassifier(**{"model": tiny_bert, **SETTINGS, **settings})

    return make_classifier


@pytest.fixture(scope="session")
def targets() -> Callable[..., list[Any]]:
    """Labels of a kind for texts whose single labels are known."""

    def of_kind(kind: str, texts: list[str], labels: list[str]) -> list[Any]:
        if kind == "multi":
            return [[label] + ["long"] * (len(text) > 40) for text, label in zip(texts, labels, strict=True)]
        if kind == "number":
            return [20.0 + len(text) / 4 + 10.0 * (label == "good") for text, label in zip(texts, labels, strict=True)]
        return list(labels)

    return of_kind


@pytest.fixture(scope="session")
def fitted(make: Callable[..., TextClassifier], reviews: Callable[..., Any], targets: Callable[..., Any]) -> Callable[..., TextClassifier]:
    """A classifier of each kind, trained once with validation data."""
    done: dict[str, TextClassifier] = {}

    def fit(kind: str = "single") -> TextClassifier:
        if kind not in done:
            texts, validation = reviews(96), reviews(40, seed=1)
            data = (validation[0], targets(kind, *validation))
            done[kind] = make(epochs=6).fit(texts[0], targets(kind, *texts), validation=data)
        return done[kind]

    return fit
