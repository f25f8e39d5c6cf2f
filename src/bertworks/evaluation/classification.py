"""Metrics of tasks where each row has one label."""

import math
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Real

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, blocks, merge_replicates
from bertworks.evaluation.checks import checked_label_rows, checked_labels
from bertworks.evaluation.intervals import interval_lists
from bertworks.evaluation.metrics import per_label_rows, require_rows
from bertworks.evaluation.row_statistics import CALIBRATION_BINS, LabelStatistics, calibration_bin, label_log_loss


class ClassificationMetrics:
    """Metrics of single-label classification, from the confusion matrix, the log-loss and calibration bins.

    The statistics take `labels² + 3 · 15` numbers, however many rows are seen. The prediction of a row is its most
    probable label, the first where several are equally probable.

    With `replicates` (1,000 is usual), `compute` adds 95 % intervals from a bootstrap, for which as many times
    `3 · labels + 18` numbers are kept. Rows are numbered from `first_row` on, and a row's weights depend on its number
    and `seed` alone: metrics of the same rows are resampled alike, and a part that will be merged needs the `first_row`
    of its part.

    Raises `DataError` where labels are not distinct, `SettingsError` for fewer than 100 replicates.

    >>> metrics = ClassificationMetrics(["negative", "positive"])
    >>> metrics.update(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]))
    >>> result = metrics.compute()
    >>> round(result["accuracy"], 3), result["confusion"]
    (0.667, [[1, 0], [1, 1]])
    """

    headline: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, labels: Sequence[Hashable], *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.labels = checked_labels(labels)
        self.statistics = LabelStatistics(len(self.labels))
        self.replicates = Replicates(replicates, self.statistics.columns, seed=seed, first_row=first_row) if replicates else None
        self.confusion: Int[Array, "labels labels"] = np.zeros((len(self.labels), len(self.labels)), dtype=np.int64)
        """How many rows of each target (row) got each prediction (column)."""
        self.log_loss_sum = 0.0
        self.bin_rows: Int[Array, "bins"] = np.zeros(CALIBRATION_BINS, dtype=np.int64)
        self.bin_hits: Int[Array, "bins"] = np.zeros(CALIBRATION_BINS, dtype=np.int64)
        self.bin_confidence: Float[Array, "bins"] = np.zeros(CALIBRATION_BINS, dtype=np.float64)
        """Sums of the top probabilities."""

    @property
    def rows(self) -> int:
        """Rows seen."""
        return int(self.confusion.sum())

    def update(self, targets: Int[Array, "rows"], probabilities: Real[Array, "rows labels"]) -> None:
        """Adds a batch.

        `targets` are indices of `labels`; a row of `probabilities` sums to 1. Raises `DataError` where shapes do not
        agree, a target is no index of a label, or the probabilities are none (as unnormalized scores).
        """
        targets, values = checked_label_rows(targets, probabilities, len(self.labels))
        if len(targets):
            self._add(targets, values)

    def _add(self, targets: Int[Array, "rows"], values: Real[Array, "rows labels"]) -> None:
        count, predicted = len(self.labels), values.argmax(axis=1)
        self.confusion += np.bincount(targets * count + predicted, minlength=count * count).reshape(count, count)
        self.log_loss_sum += float(label_log_loss(targets, values).sum())
        confidence = values[np.arange(len(targets)), predicted].astype(np.float64)
        bins = calibration_bin(confidence)
        self.bin_rows += np.bincount(bins, minlength=CALIBRATION_BINS)
        self.bin_hits += np.bincount(bins[predicted == targets], minlength=CALIBRATION_BINS)
        self.bin_confidence += np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)
        if self.replicates is not None:
            for block in blocks(len(targets), self.statistics.columns):
                self.replicates.add(self.statistics.of_rows(targets[block], values[block]))

    def merge(self, other: "ClassificationMetrics") -> None:
        """Adds the rows that `other` has seen.

        Raises `DataError` where it has other labels, other replicates, or has numbered its rows as rows seen here.
        """
        if other.labels != self.labels:
            raise DataError(f"metrics of different labels cannot be merged: {list(self.labels)} and {list(other.labels)}")
        merge_replicates(self.replicates, other.replicates)
        self.confusion += other.confusion
        self.log_loss_sum += other.log_loss_sum
        self.bin_rows += other.bin_rows
        self.bin_hits += other.bin_hits
        self.bin_confidence += other.bin_confidence

    def compute(self) -> dict[str, Any]:
        """All metrics of the rows seen; shares lie in [0, 1].

        - `accuracy`, and `micro_f1`, which equals it where each row has one label;
        - `macro_f1`: the mean of F1 over the labels that occur among targets or predictions, `weighted_f1`: weighted
          by support; the F1 of a label that is never both predicted and right is 0;
        - `matthews_correlation` in [-1, 1] (Gorodkin 2004), 0 where all targets or all predictions agree;
        - `log_loss` in nats, of probabilities clipped to the rounding step of their dtype;
        - `expected_calibration_error` (Guo et al. 2017, section 2) and `reliability`: its bins, with the number of
          rows, the mean top probability and the accuracy in each (0 in an empty bin);
        - `per_class`: precision, recall, F1 and support of each label; `confusion`: targets by predictions;
        - `intervals`, with replicates: [low, high] of each metric that is one number (`intervals.py` says how).

        Raises `DataError` where no row was seen.
        """
        require_rows(self.rows)
        hits, predicted, actual = self.confusion.diagonal(), self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        sums = np.concatenate([[self.rows, self.log_loss_sum, 0], hits, predicted, actual, self.bin_hits - self.bin_confidence])
        values = {name: float(value) for name, value in self.statistics.values(sums).items()}
        return {
            "rows": self.rows,
            **values,
            "matthews_correlation": matthews_correlation(self.confusion),
            "per_class": per_label_rows(self.labels, hits, predicted, actual),
            "confusion": self.confusion.tolist(),
            "reliability": self._reliability(),
            **interval_lists(self.statistics, self.replicates),
        }

    def _reliability(self) -> list[dict[str, float]]:
        filled = np.maximum(self.bin_rows, 1)
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1).tolist()
        columns = (
            edges[:-1],
            edges[1:],
            self.bin_rows.tolist(),
            (self.bin_confidence / filled).tolist(),
            (self.bin_hits / filled).tolist(),
        )
        names = ("above", "up_to", "rows", "confidence", "accuracy")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def matthews_correlation(confusion: Int[Array, "labels labels"]) -> float:
    """The correlation of targets and predictions for any number of labels (Gorodkin 2004), in [-1, 1].

    0.0 where all targets or all predictions are of one label. Counts are multiplied as Python's whole numbers, which
    cannot overflow.

    >>> matthews_correlation(np.array([[2, 0], [0, 3]]))
    1.0
    """
    rows, hits = int(confusion.sum()), int(confusion.trace())
    actual: list[int] = confusion.sum(axis=1).tolist()
    predicted: list[int] = confusion.sum(axis=0).tolist()
    covariance = hits * rows - sum(a * p for a, p in zip(actual, predicted, strict=True))
    spread_of_targets = rows * rows - sum(a * a for a in actual)
    spread_of_predictions = rows * rows - sum(p * p for p in predicted)
    if spread_of_targets == 0 or spread_of_predictions == 0:
        return 0.0
    correlation = covariance / spread_of_targets / math.sqrt(spread_of_predictions / spread_of_targets)  # so a perfect one is exactly 1
    return min(1.0, max(-1.0, correlation))
