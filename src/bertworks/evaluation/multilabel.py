"""Metrics of tasks where each row has any number of labels."""

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, blocks, merge_replicates
from bertworks.evaluation.checks import checked_label_sets, checked_labels
from bertworks.evaluation.intervals import interval_lists
from bertworks.evaluation.metrics import per_label_rows, require_rows
from bertworks.evaluation.row_statistics import LabelSetStatistics, binary_log_loss


class MultiLabelMetrics:
    """Metrics of multi-label classification, from counts of hits, predictions and targets of each label.

    A label is predicted where its probability is at least its threshold. `replicates`, `seed` and `first_row` mean what
    they mean in `ClassificationMetrics`. Raises `DataError` where labels are not distinct, `SettingsError` for fewer than
    100 replicates.

    >>> metrics = MultiLabelMetrics(["sport", "politics"])
    >>> metrics.update(np.array([[True, False], [True, True]]), np.array([[0.9, 0.6], [0.7, 0.8]]))
    >>> metrics.compute()["micro_f1"], metrics.compute()["exact_match"]
    (0.8571428571428571, 0.5)
    """

    headline: ClassVar[str] = "micro_f1"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, labels: Sequence[Hashable], *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.labels = checked_labels(labels)
        self.statistics = LabelSetStatistics(len(self.labels))
        self.replicates = Replicates(replicates, self.statistics.columns, seed=seed, first_row=first_row) if replicates else None
        self.hits: Int[Array, "labels"] = np.zeros(len(self.labels), dtype=np.int64)
        self.predicted: Int[Array, "labels"] = np.zeros(len(self.labels), dtype=np.int64)
        self.actual: Int[Array, "labels"] = np.zeros(len(self.labels), dtype=np.int64)
        self.rows = 0
        """Rows seen."""
        self.exact = 0
        """Rows of which every label is right."""
        self.log_loss_sum = 0.0

    def update(
        self,
        targets: Bool[Array, "rows labels"],
        probabilities: Real[Array, "rows labels"],
        thresholds: Float[Array, "labels"] | float = 0.5,
    ) -> None:
        """Adds a batch; `thresholds` is one for all labels or one for each.

        Raises `DataError` where shapes do not agree, targets are not booleans, or a probability lies outside [0, 1].
        """
        targets, values, limits = checked_label_sets(targets, probabilities, thresholds, len(self.labels))
        predicted = values >= limits
        self.hits += (targets & predicted).sum(axis=0)
        self.predicted += predicted.sum(axis=0)
        self.actual += targets.sum(axis=0)
        self.rows += len(targets)
        self.exact += int((targets == predicted).all(axis=1).sum())
        self.log_loss_sum += float(binary_log_loss(targets, values).sum())
        if self.replicates is not None:
            for block in blocks(len(targets), self.statistics.columns):
                self.replicates.add(self.statistics.of_rows(targets[block], values[block], limits))

    def merge(self, other: "MultiLabelMetrics") -> None:
        """Adds the rows that `other` has seen.

        Raises `DataError` where it has other labels, other replicates, or has numbered its rows as rows seen here.
        """
        if other.labels != self.labels:
            raise DataError(f"metrics of different labels cannot be merged: {list(self.labels)} and {list(other.labels)}")
        merge_replicates(self.replicates, other.replicates)
        self.hits += other.hits
        self.predicted += other.predicted
        self.actual += other.actual
        self.rows += other.rows
        self.exact += other.exact
        self.log_loss_sum += other.log_loss_sum

    def compute(self) -> dict[str, Any]:
        """All metrics of the rows seen; shares lie in [0, 1].

        - `micro_f1`: F1 of all decisions together, `macro_f1`: the mean over all labels; F1 is 0 where a label occurs
          neither among targets nor among predictions;
        - `exact_match`: the share of rows of which every label is right (subset accuracy);
        - `log_loss` in nats, the mean binary cross entropy over rows and labels, of probabilities clipped to the
          rounding step of their dtype;
        - `per_label`: precision, recall, F1 and support of each label;
        - `intervals`, with replicates: [low, high] of each metric that is one number (`intervals.py` says how).

        Raises `DataError` where no row was seen.
        """
        require_rows(self.rows)
        log_loss = self.log_loss_sum / len(self.labels)
        sums = np.concatenate([[self.rows, log_loss, 0, self.exact], self.hits, self.predicted, self.actual])
        return {
            "rows": self.rows,
            **{name: float(value) for name, value in self.statistics.values(sums).items()},
            "per_label": per_label_rows(self.labels, self.hits, self.predicted, self.actual),
            **interval_lists(self.statistics, self.replicates),
        }
