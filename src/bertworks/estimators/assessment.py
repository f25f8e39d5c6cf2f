"""What a trained classifier is worth: metrics with intervals, its worst mistakes, its confidence, and what words alone reach."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.estimators.row_results import RowResultsWriter
from bertworks.evaluation.baselines import baselines
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.calibration import FEWEST_ROWS, apply_temperature, fit_temperature
from bertworks.evaluation.classification import ClassificationMetrics
from bertworks.evaluation.mistakes import ConfidentMistakes
from bertworks.evaluation.multilabel import MultiLabelMetrics
from bertworks.tasks.text_classification import TextClassification

Answers = Callable[[Sequence[Any], int], tuple[Float[Array, "rows outputs"], Accounting]]
"""Of rows, and the number of the first one in messages."""
"""A model: from texts (or pairs) to probabilities (or numbers), and what became of the texts."""

ROWS_AT_ONCE = 2048
_CONFIDENCE = ("log_loss", "expected_calibration_error")
_BASELINE_NAMES = {
    "majority_class": "majority class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "mean": "mean of the training data",
    "tfidf_ridge": "TF-IDF + ridge regression",
}


@dataclass(frozen=True)
class Assessment:
    """What was found on a set of labelled rows."""

    metrics: dict[str, Any]
    """All metrics of the task, with `intervals`."""
    accounting: Accounting
    mistakes: list[dict[str, Any]]
    """The worst mistakes, the worst first: row, text, (pair,) label, prediction, and confidence or error."""


def assess(
    task: TextClassification,
    answer: Answers,
    rows: Sequence[Any],
    labels: Sequence[Any],
    *,
    replicates: int = DEFAULT_REPLICATES,
    mistakes: int = 20,
    results: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Assessment:
    """Evaluates a model on labelled rows, some at a time, so that memory does not grow with the set.

    `replicates` are those of the intervals, 0 for none; `results` is a file for the answers row by row
    (`RowResultsWriter`). `progress` is called with the number of rows done since the last call. Raises `DataError` for a
    label that the task does not have, before anything is computed.
    """
    task.truth(labels)
    metrics, worst, accounting = task.metrics(replicates), ConfidentMistakes(task.kind, task.labels, count=max(1, mistakes)), Accounting()
    stored = replace(task, pairs=len(rows) > 0 and isinstance(rows[0], tuple))  # a model that `transformers` saved reads either
    with RowResultsWriter(results, stored) if results is not None else nullcontext() as writer:
        for start, part in parts(len(rows)):
            outputs, seen = answer(rows[part], start)
            truth = task.truth(labels[part])
            task.count_rows(metrics, truth, outputs)
            worst.update(np.arange(start, start + len(truth)), truth, outputs[:, 0] if task.kind == "number" else outputs, task.limits())
            accounting += seen
            if writer is not None:
                writer.add(rows[part], labels[part], outputs)
            if progress is not None:
                progress(min(ROWS_AT_ONCE, len(rows) - start))
    shown = [_with_text(mistake.to_dict(), rows, task.kind) for mistake in worst.worst[:mistakes]]
    return Assessment(metrics.compute(), accounting, shown)


def parts(rows: int) -> Iterator[tuple[int, slice]]:
    """Rows, `ROWS_AT_ONCE` at a time: the number of the first, and all of them."""
    return ((start, slice(start, start + ROWS_AT_ONCE)) for start in range(0, rows, ROWS_AT_ONCE))


def _with_text(mistake: dict[str, Any], rows: Sequence[Any], kind: str) -> dict[str, Any]:
    """A mistake as reports show it."""
    text = rows[mistake["row"]]
    shown: dict[str, Any] = {"row": mistake["row"], "text": text[0] if isinstance(text, tuple) else text}
    if isinstance(text, tuple):
        shown["pair"] = text[1]
    if kind == "multi":  # one label was decided wrongly
        name = str(mistake["label"])
        shown |= {"label": name if mistake["target"] else f"not {name}", "prediction": name if mistake["prediction"] else f"not {name}"}
    else:
        shown |= {"label": mistake["target"], "prediction": mistake["prediction"]}
    return shown | {"error" if kind == "number" else "confidence": mistake["size"]}


def compare_with_baselines(
    task: TextClassification, rows: Sequence[Any], labels: Sequence[Any], test_rows: Sequence[Any], test_labels: Sequence[Any]
) -> dict[str, dict[str, Any]]:
    """What the most frequent answer and a linear model of words reach on the same test rows, by name."""
    found = baselines(task.kind, task.labels, rows, labels, test_rows, test_labels)
    return {_BASELINE_NAMES.get(name, name): metrics for name, metrics in found.items()}


def calibrate(task: TextClassification, truth: Array, probabilities: Float[Array, "rows labels"]) -> dict[str, Any] | None:
    """The temperature that makes held-out probabilities mean what they say, and what it does to them; None for a number.

    `before` and `after` hold log-loss and calibration error. What stands under `after` was computed on each half of the
    rows with the temperature of the other half, so that it is not flattered by being fitted on the same rows; it is left
    out where a half has too few rows for a temperature.
    """
    if task.kind == "number":
        return None
    temperature = fit_temperature(truth, probabilities, task.kind)
    found = {"temperature": temperature, "before": _confidence(task, truth, probabilities)}
    if len(truth) // 2 < FEWEST_ROWS:
        return found
    halves = np.random.Generator(np.random.PCG64(0)).permutation(len(truth)) % 2
    scaled = probabilities.copy()
    for half in (0, 1):
        here = halves == half
        other = fit_temperature(truth[~here], probabilities[~here], task.kind)
        scaled[here] = apply_temperature(probabilities[here], other, task.kind)
    return {**found, "after": _confidence(task, truth, scaled)}


def _confidence(task: TextClassification, truth: Array, probabilities: Float[Array, "rows labels"]) -> dict[str, float]:
    metrics: Any = (ClassificationMetrics if task.kind == "single" else MultiLabelMetrics)(task.labels)
    task.count_rows(metrics, truth, probabilities)
    return {name: value for name, value in metrics.compute().items() if name in _CONFIDENCE}
