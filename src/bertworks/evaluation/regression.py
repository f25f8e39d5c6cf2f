"""Metrics of tasks where each row has a number, such as the similarity of two sentences."""

import math
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Real

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.metrics import require_rows


class RegressionMetrics:
    """Metrics of regression, from central moments that are merged batch by batch (Chan, Golub and LeVeque 1983).

    Spearman's correlation needs the order of all rows, so the pairs are kept as float32: 8 bytes a row, the only
    statistic here that grows with the set. Values that are equal in float32 count as ties.

    >>> metrics = RegressionMetrics()
    >>> metrics.update(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    >>> metrics.compute()["spearman"], round(metrics.compute()["pearson"], 4)
    (1.0, 0.9897)
    """

    headline: ClassVar[str] = "spearman"
    higher_is_better: ClassVar[bool] = True

    def __init__(self) -> None:
        self.rows = 0
        """Rows seen."""
        self.means: Float[Array, "2"] = np.zeros(2)
        """Means of targets and of predictions."""
        self.scatter: Float[Array, "2 2"] = np.zeros((2, 2))
        """Sums of products of deviations from the means: the covariance matrix times the number of rows."""
        self.squared_error_sum = 0.0
        self.absolute_error_sum = 0.0
        self.pairs: list[Float[Array, "2 rows"]] = []
        """Targets and predictions of each batch, in float32."""

    def update(self, targets: Real[Array, "rows"], predictions: Real[Array, "rows"]) -> None:
        """Adds a batch of numbers; raises `DataError` where shapes do not agree or a value is not finite."""
        truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
        if truth.ndim != 1 or truth.shape != answer.shape:
            raise DataError(f"targets and predictions must be rows of numbers, equally many; got shapes {truth.shape} and {answer.shape}")
        both = np.stack([truth, answer])  # [2, rows]
        if not np.isfinite(both).all():
            raise DataError("targets and predictions must be finite numbers; found NaN or infinity")
        if not len(truth):
            return
        first = both[:, :1]
        means = (first + (both - first).mean(axis=1, keepdims=True)).squeeze(1)  # exact where all values are equal
        deviations = both - means[:, None]
        self._join(len(truth), means, deviations @ deviations.T)
        self.squared_error_sum += float(np.square(truth - answer).sum())
        self.absolute_error_sum += float(np.abs(truth - answer).sum())
        self.pairs.append(both.astype(np.float32))

    def _join(self, rows: int, means: Float[Array, "2"], scatter: Float[Array, "2 2"]) -> None:
        """The pairwise update of Chan, Golub and LeVeque (1983), for both variables and their product."""
        total = self.rows + rows
        if not total:
            return
        shift = means - self.means if self.rows else np.zeros(2)
        self.scatter = self.scatter + scatter + np.outer(shift, shift) * (self.rows * rows / total)
        self.means = self.means + shift * (rows / total) if self.rows else means
        self.rows = total

    def merge(self, other: "RegressionMetrics") -> None:
        """Adds the rows that `other` has seen."""
        if other.rows:
            self._join(other.rows, other.means, other.scatter)
        self.squared_error_sum += other.squared_error_sum
        self.absolute_error_sum += other.absolute_error_sum
        self.pairs += other.pairs

    def compute(self) -> dict[str, Any]:
        """All metrics of the rows seen.

        - `pearson` and `spearman` in [-1, 1], 0 where all targets or all predictions are equal (and so for one row);
        - `mean_squared_error` and `mean_absolute_error`, in the (squared) unit of the targets;
        - `r2`: the share of the targets' variance that is explained, at most 1; where all targets are equal, 1 if every
          prediction is right and 0 otherwise.

        Raises `DataError` where no row was seen.
        """
        require_rows(self.rows)
        targets, predictions = np.concatenate(self.pairs, axis=1)
        spread = float(self.scatter[0, 0])
        r2 = 1 - self.squared_error_sum / spread if spread > 0 else float(self.squared_error_sum == 0)
        return {
            "rows": self.rows,
            "pearson": _correlation(self.scatter),
            "spearman": spearman(targets, predictions),
            "mean_squared_error": self.squared_error_sum / self.rows,
            "mean_absolute_error": self.absolute_error_sum / self.rows,
            "r2": r2,
        }


def average_ranks(values: Real[Array, "rows"]) -> Float[Array, "rows"]:
    """Ranks from 1; equal values share the mean of their ranks.

    >>> average_ranks(np.array([10, 30, 10])).tolist()
    [1.5, 3.0, 1.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def spearman(targets: Real[Array, "rows"], predictions: Real[Array, "rows"]) -> float:
    """The correlation of average ranks (Spearman 1904), in [-1, 1]; 0.0 where one side is constant.

    >>> spearman(np.array([1, 2, 3]), np.array([1, 10, 5]))
    0.5
    """
    ranks = np.stack([average_ranks(targets), average_ranks(predictions)])
    deviations = ranks - (ranks.shape[1] + 1) / 2
    return _correlation(deviations @ deviations.T)


def _correlation(scatter: Float[Array, "2 2"]) -> float:
    """Pearson's correlation from sums of products of deviations; 0.0 where one variable is constant."""
    spread, other_spread = scatter.diagonal().tolist()
    if spread == 0 or other_spread == 0:
        return 0.0
    correlation = scatter[0, 1] / spread / math.sqrt(other_spread / spread)  # in this order a perfect one is exactly 1
    return float(np.clip(correlation, -1, 1))
