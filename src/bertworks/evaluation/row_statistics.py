"""What each row adds to sums from which every metric follows: the ground of intervals and of comparisons.

The first column is always 1, so that its sum counts rows. `values` takes plain sums, or weighted ones of many
replicates at once: all leading axes are kept.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from bertworks.batch import Array
from bertworks.evaluation.intervals import AbsoluteSum, Mean, Method
from bertworks.evaluation.metrics import probability_floor, ratio

CALIBRATION_BINS = 15
"""Equal-width bins of the top probability (Guo et al. 2017, table 1)."""


class LabelStatistics:
    """One label a row: hits, predictions and targets of each label, the log-loss, and how far each bin is from calibrated.

    Matthews' correlation needs no confusion matrix: its covariance is that of hits with the margins (Gorodkin 2004).
    """

    def __init__(self, labels: int) -> None:
        self.labels = labels
        self.columns = 3 + 3 * labels + CALIBRATION_BINS
        self.methods: Mapping[str, Method] = {
            "accuracy": "proportion",
            "macro_f1": "accelerated",
            "micro_f1": "proportion",
            "weighted_f1": "accelerated",
            "matthews_correlation": "accelerated",
            "log_loss": Mean(total=1, squares=2),
            "expected_calibration_error": AbsoluteSum(start=3 + 3 * labels),
        }

    def of_rows(self, targets: Int[Array, "rows"], probabilities: Real[Array, "rows labels"]) -> Float[Array, "rows columns"]:
        """The contribution of each row; the predicted label is the most probable one, the first of several."""
        every, predicted = np.arange(len(targets)), probabilities.argmax(axis=1)
        right = targets == predicted
        confidence = probabilities[every, predicted].astype(np.float64)
        out = np.zeros((len(targets), self.columns))
        out[:, 0] = 1
        out[:, 1] = label_log_loss(targets, probabilities)
        out[:, 2] = np.square(out[:, 1])
        out[every[right], 3 + targets[right]] = 1
        out[every, 3 + self.labels + predicted] = 1
        out[every, 3 + 2 * self.labels + targets] = 1
        out[every, 3 + 3 * self.labels + calibration_bin(confidence)] = right - confidence
        return out

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `ClassificationMetrics.compute` that is one number."""
        rows, log_loss, gaps = sums[..., 0], sums[..., 1], sums[..., 3 + 3 * self.labels :]
        hits, predicted, actual = (sums[..., 3 + i * self.labels : 3 + (i + 1) * self.labels] for i in range(3))
        f1 = ratio(2 * hits, predicted + actual)
        accuracy = hits.sum(axis=-1) / rows
        return {
            "accuracy": accuracy,
            "macro_f1": f1.sum(axis=-1) / ((predicted + actual) > 0).sum(axis=-1),
            "micro_f1": accuracy,
            "weighted_f1": (f1 * actual).sum(axis=-1) / rows,
            "matthews_correlation": _matthews(hits, predicted, actual, rows[..., None]),
            "log_loss": log_loss / rows,
            "expected_calibration_error": np.abs(gaps).sum(axis=-1) / rows,
        }


class LabelSetStatistics:
    """Any number of labels a row: hits, predictions and targets of each label, exact matches and the log-loss."""

    methods: ClassVar[Mapping[str, Method]] = {
        "micro_f1": "accelerated",
        "macro_f1": "accelerated",
        "exact_match": "proportion",
        "log_loss": Mean(total=1, squares=2),
    }

    def __init__(self, labels: int) -> None:
        self.labels = labels
        self.columns = 4 + 3 * labels

    def of_rows(
        self,
        targets: Bool[Array, "rows labels"],
        probabilities: Real[Array, "rows labels"],
        thresholds: Float[Array, "labels"] | float = 0.5,
    ) -> Float[Array, "rows columns"]:
        """The contribution of each row; a label is predicted where its probability is at least its threshold."""
        predicted = probabilities >= np.asarray(thresholds, dtype=np.float64)
        log_loss = binary_log_loss(targets, probabilities).mean(axis=1)
        plain = np.stack([np.ones(len(targets)), log_loss, np.square(log_loss), (targets == predicted).all(axis=1)], axis=1)
        return np.concatenate([plain, targets & predicted, predicted, targets], axis=1, dtype=np.float64)

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `MultiLabelMetrics.compute` that is one number."""
        rows, log_loss, exact = sums[..., 0], sums[..., 1], sums[..., 3]
        hits, predicted, actual = (sums[..., 4 + i * self.labels : 4 + (i + 1) * self.labels] for i in range(3))
        return {
            "micro_f1": ratio(2 * hits.sum(axis=-1), (predicted + actual).sum(axis=-1)),
            "macro_f1": ratio(2 * hits, predicted + actual).mean(axis=-1),
            "exact_match": exact / rows,
            "log_loss": log_loss / rows,
        }


class NumberStatistics:
    """A number a row: moments of targets and predictions about a fixed point near their means, and the errors."""

    columns: ClassVar[int] = 9
    methods: ClassVar[Mapping[str, Method]] = {
        "pearson": "bias_corrected",
        "mean_squared_error": Mean(total=6, squares=7),
        "mean_absolute_error": Mean(total=8, squares=6),
        "r2": "bias_corrected",
    }

    def __init__(self, means: Float[Array, "2"]) -> None:
        self.means = means

    def of_rows(self, targets: Float[Array, "rows"], predictions: Float[Array, "rows"]) -> Float[Array, "rows columns"]:
        """The contribution of each row."""
        x, y, error = targets - self.means[0], predictions - self.means[1], np.square(targets - predictions)
        return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y, error, np.square(error), np.sqrt(error)], axis=1)

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `RegressionMetrics.compute` that follows from sums: all but Spearman's correlation."""
        x, y, xx, yy, xy, squared, _, absolute = np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0)
        spread = _positive(xx - x * x, xx)
        return {
            "pearson": correlation(xy - x * y, spread, _positive(yy - y * y, yy)),
            "mean_squared_error": squared,
            "mean_absolute_error": absolute,
            "r2": np.where(spread > 0, 1 - ratio(squared, spread), squared == 0),
        }


def label_log_loss(targets: Int[Array, "rows"], probabilities: Real[Array, "rows labels"]) -> Float[Array, "rows"]:
    """The negative logarithm of each target's probability, in nats; clipped to the rounding step of its dtype."""
    floor = probability_floor(probabilities)
    of_the_truth = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    losses: Array = -np.log(np.clip(of_the_truth, floor, 1 - floor))
    return losses


def binary_log_loss(targets: Bool[Array, "rows labels"], probabilities: Real[Array, "rows labels"]) -> Float[Array, "rows labels"]:
    """The binary cross entropy of each decision, in nats; clipped to the rounding step of its dtype."""
    floor, values = probability_floor(probabilities), probabilities.astype(np.float64)
    losses: Array = -np.log(np.clip(np.where(targets, values, 1 - values), floor, 1 - floor))
    return losses


def calibration_bin(confidence: Float[Array, "rows"]) -> Int[Array, "rows"]:
    """The bin of each top probability; bins are closed above.

    >>> calibration_bin(np.array([0.6, 0.61, 1.0])).tolist()
    [8, 9, 14]
    """
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins: Array = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    return bins


def correlation(covariance: Array, spread: Array, other_spread: Array) -> Array:
    """Correlations in [-1, 1] from covariances and variances; 0.0 where a variance is 0."""
    defined = (spread > 0) & (other_spread > 0)
    shares = ratio(covariance, np.where(defined, spread, 0)) / np.sqrt(np.where(defined, ratio(other_spread, spread), 1))
    return np.clip(shares, -1, 1)  # in this order a perfect one is exactly 1


def _matthews(hits: Array, predicted: Array, actual: Array, rows: Array) -> Array:
    """`matthews_correlation` of many replicates; each factor is a share, so that nothing overflows."""
    hit, guess, truth = hits / rows, predicted / rows, actual / rows
    spread, other_spread = ((margin * (1 - margin)).sum(axis=-1) for margin in (truth, guess))
    return correlation((hit - guess * truth).sum(axis=-1), spread, other_spread)


def _positive(variance: Array, square: Array) -> Array:
    """Variances from differences of squares, where what rounding leaves of equal values is 0."""
    return np.where(variance > 1e-12 * square, variance, 0.0)
