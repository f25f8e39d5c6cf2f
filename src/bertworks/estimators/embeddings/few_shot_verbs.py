"""What `train` and `explain` do for classes from a few texts each; the other verbs are those of text classification."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertworks.data.faults import OnBadRows
from bertworks.estimators.embeddings.few_shot import FewShotClassifier
from bertworks.estimators.embeddings.few_shot_explanation import explain_few_shot
from bertworks.estimators.embeddings.few_shot_training import TRAINING
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.explain import Kind
from bertworks.training.progress import Progress

__all__ = ["explain", "train"]


def train(
    data: Any = None,
    *,
    output: str | Path | None = None,
    model: str | Path | None = None,
    validation: Any = None,
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    resume: str | Path | None = None,
    seeds: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainReport:
    """Trains a few-shot classifier on texts with one label each, read as text classification reads them, and keeps everything in a
    run folder.

    The arguments are those of `verbs.train`; `settings` are parameters of `FewShotClassifier` and fields of `TrainingConfig`.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "label": label, "shuffle_seed": shuffle_seed, "limit": limit}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    return TRAINING.train(
        data, reading, settings, output=output, model=model, validation=validation, resume=resume, seeds=seeds, progress=progress
    )


# ---- explain


def explain(
    model: str | Path,
    text: str,
    *,
    target: Any = None,
    kind: Kind | None = None,
    layer: int | None = None,
    head: int | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explains a model's class of `text` (`FewShotClassifier.explain`); all else is as in `verbs.explain.explain`."""
    started = time.perf_counter()
    classifier: FewShotClassifier = load(model, device=device, precision=precision, threads=threads)
    explanation = explain_few_shot(classifier, text, target=target, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
