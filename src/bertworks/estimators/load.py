"""`bertworks.load`: any saved model; the folder knows its task."""

from pathlib import Path
from typing import Any

from bertworks.estimators.classifier import TextClassifier


def load(
    folder: str | Path, *, device: str = "auto", precision: str = "auto", threads: int | None = None, verify: bool = False
) -> TextClassifier:
    """Loads a model folder or the finished model of a run folder, ready to predict.

    `verify` computes the folder's smoke cases again. Raises `CheckpointError` where the folder is no finished model,
    is damaged, or does not answer as it did when it was saved.
    """
    options: dict[str, Any] = {"device": device, "precision": precision, "threads": threads, "verify": verify}
    return TextClassifier.load(folder, **options)
