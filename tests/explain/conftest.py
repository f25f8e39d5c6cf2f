"""A classifier of each kind on the tiny encoder, trained for a second, and the same model in `transformers`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertworks import TextClassifier

SETTINGS: dict[str, Any] = {"epochs": 4, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "progress": False}
Make = Callable[..., TextClassifier]


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """PyTorch's threads are set before the first test."""


@pytest.fixture(scope="session")
def classifiers(tiny_bert: Path, reviews: Callable[..., Any]) -> Make:
    """Trained once each: `single`, `multi`, `number`, `pairs`."""
    done: dict[str, TextClassifier] = {}

    def make(kind: str = "single") -> TextClassifier:
        if kind not in done:
            texts, labels = reviews(64)
            rows: list[Any] = [(text, text[::-1]) for text in texts] if kind == "pairs" else texts
            if kind == "multi":
                labels = [[label, "long"] if len(text) > 40 else [label] for text, label in zip(texts, labels, strict=True)]
            if kind == "number":
                labels = [len(text) / 4 + 10.0 * (label == "good") for text, label in zip(texts, labels, strict=True)]
            done[kind] = TextClassifier(tiny_bert, **SETTINGS).fit(rows, labels)
        return done[kind]

    return make


@pytest.fixture(scope="session")
def classifier(classifiers: Make) -> TextClassifier:
    """Tells good from bad."""
    return classifiers()


@pytest.fixture(scope="session")
def saved(classifier: TextClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the classifier, which `transformers` loads too."""
    return classifier.save(tmp_path_factory.mktemp("saved") / "model")


LONG = " ".join(
    f"the {word} film was {other} and the soup is cold ." for word in ("good", "bad", "new") for other in ("fine", "awful", "dull")
)
"""Too long for the tiny encoder: it is read in windows."""
