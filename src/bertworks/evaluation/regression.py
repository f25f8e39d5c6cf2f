"""Metrics of tasks where each row has a number, such as the similarity of two sentences."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Real

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, RowNumbers, blocks, checked_replicates
from bertworks.evaluation.checks import checked_numbers
from bertworks.evaluation.intervals import intervals, percentile_interval
from bertworks.evaluation.metrics import require_rows
from bertworks.evaluation.ranks import resampled_spearman, spearman
from bertworks.evaluation.row_statistics import NumberStatistics, correlation


class RegressionMetrics:
    """Metrics of regression, from central moments that are merged batch by batch (Chan, Golub and LeVeque 1983).

    Spearman's correlation needs the order of all rows, so the pairs are kept: 16 bytes a row, the only statistic here that
    grows with the set.

    With `replicates` (1,000 is usual), `compute` adds 95 % intervals from a bootstrap of the pairs, which are then kept
    with their row numbers: 24 bytes a row. `seed` and `first_row` mean what they mean in `ClassificationMetrics`. Raises
    `SettingsError` for fewer than 100 replicates.

    >>> metrics = RegressionMetrics()
    >>> metrics.update(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    >>> metrics.compute()["spearman"], round(metrics.compute()["pearson"], 4)
    (1.0, 0.9897)
    """

    headline: ClassVar[str] = "spearman"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.replicate_count = checked_replicates(replicates) if replicates else 0
        self.seed = seed
        self.row_numbers = RowNumbers(first_row)
        self.rows = 0
        """Rows seen."""
        self.means: Float[Array, "2"] = np.zeros(2)
        """Means of targets and of predictions."""
        self.scatter: Float[Array, "2 2"] = np.zeros((2, 2))
        """Sums of products of deviations from the means: the covariance matrix times the number of rows."""
        self.squared_error_sum = 0.0
        self.absolute_error_sum = 0.0
        self.pairs: list[Float[Array, "2 rows"]] = []
        """Targets and predictions of each batch."""
        self.numbers: list[Int[Array, "rows"]] = []
        """The row numbers of each batch, with replicates."""

    def update(self, targets: Real[Array, "rows"], predictions: Real[Array, "rows"]) -> None:
        """Adds a batch of numbers; raises `DataError` where shapes do not agree or a value is not finite."""
        both = checked_numbers(targets, predictions)
        truth, answer = both
        if not len(truth):
            return
        first = both[:, :1]
        means = (first + (both - first).mean(axis=1, keepdims=True)).squeeze(1)  # exact where all values are equal
        deviations = both - means[:, None]
        self._join(len(truth), means, deviations @ deviations.T)
        self.squared_error_sum += float(np.square(truth - answer).sum())
        self.absolute_error_sum += float(np.abs(truth - answer).sum())
        self.pairs.append(both)
        if self.replicate_count:
            self.numbers.append(self.row_numbers.take(len(truth)))

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
        """Adds the rows that `other` has seen.

        Raises `DataError` where it has other replicates, or has numbered its rows as rows seen here.
        """
        if other.replicate_count != self.replicate_count or (self.replicate_count and other.seed != self.seed):
            raise DataError("metrics with other replicates, or another seed, cannot be merged")
        if self.replicate_count:
            self.row_numbers.merge(other.row_numbers)
        if other.rows:
            self._join(other.rows, other.means, other.scatter)
        self.squared_error_sum += other.squared_error_sum
        self.absolute_error_sum += other.absolute_error_sum
        self.pairs += other.pairs
        self.numbers += other.numbers

    def compute(self) -> dict[str, Any]:
        """All metrics of the rows seen.

        - `pearson` and `spearman` in [-1, 1], 0 where all targets or all predictions are equal (and so for one row);
        - `mean_squared_error` and `mean_absolute_error`, in the (squared) unit of the targets;
        - `r2`: the share of the targets' variance that is explained, at most 1; where all targets are equal, 1 if every
          prediction is right and 0 otherwise;
        - `intervals`, with replicates: [low, high] of each metric (`intervals.py` says how). Spearman's correlation is
          resampled exactly at any size: every replicate ranks its own rows.

        Raises `DataError` where no row was seen.
        """
        require_rows(self.rows)
        targets, predictions = np.concatenate(self.pairs, axis=1)
        spread = float(self.scatter[0, 0])
        r2 = 1 - self.squared_error_sum / spread if spread > 0 else float(self.squared_error_sum == 0)
        values: dict[str, Any] = {
            "rows": self.rows,
            "pearson": float(correlation(self.scatter[0, 1], *self.scatter.diagonal())),
            "spearman": spearman(targets, predictions),
            "mean_squared_error": self.squared_error_sum / self.rows,
            "mean_absolute_error": self.absolute_error_sum / self.rows,
            "r2": r2,
        }
        return {**values, "intervals": self._intervals(targets, predictions, values["spearman"])} if self.replicate_count else values

    def _intervals(
        self, targets: Float[Array, "rows"], predictions: Float[Array, "rows"], correlation_of_ranks: float
    ) -> dict[str, list[float]]:
        numbers, statistics = np.concatenate(self.numbers), NumberStatistics(self.means)
        sums = Replicates(self.replicate_count, statistics.columns, seed=self.seed)
        for block in blocks(self.rows, statistics.columns):
            sums.add(statistics.of_rows(targets[block], predictions[block]), numbers[block])
        found = intervals(statistics, sums)
        ranked = resampled_spearman(targets, predictions, numbers, self.replicate_count, self.seed)
        found["spearman"] = percentile_interval(correlation_of_ranks, ranked, self.rows)
        return {name: list(found[name]) for name in ("pearson", "spearman", "mean_squared_error", "mean_absolute_error", "r2")}
