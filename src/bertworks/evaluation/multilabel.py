"""Metrics of tasks where each row has any number of labels."""

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.metrics import (
    checked_labels,
    checked_probabilities,
    per_label_rows,
    precision_recall_f1,
    probability_floor,
    require_rows,
)


class MultiLabelMetrics:
    """Metrics of multi-label classification, from counts of hits, predictions and targets of each label.

    A label is predicted where its probability is at least its threshold. Raises `DataError` where labels are not distinct.

    >>> metrics = MultiLabelMetrics(["sport", "politics"])
    >>> metrics.update(np.array([[True, False], [True, True]]), np.array([[0.9, 0.6], [0.7, 0.8]]))
    >>> metrics.compute()["micro_f1"], metrics.compute()["exact_match"]
    (0.8571428571428571, 0.5)
    """

    headline: ClassVar[str] = "micro_f1"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, labels: Sequence[Hashable]) -> None:
        self.labels = checked_labels(labels)
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
        targets, values, limits = np.asarray(targets), checked_probabilities(probabilities, self.labels), np.asarray(thresholds)
        if targets.shape != values.shape or targets.dtype != np.bool_:
            raise DataError(f"targets must be booleans of shape {values.shape}; got {targets.dtype} of shape {targets.shape}")
        if limits.shape not in ((), (len(self.labels),)):
            raise DataError(f"thresholds must be one number or one for each of {len(self.labels)} labels; got shape {limits.shape}")
        predicted = values >= limits.astype(np.float64)
        self.hits += (targets & predicted).sum(axis=0)
        self.predicted += predicted.sum(axis=0)
        self.actual += targets.sum(axis=0)
        self.rows += len(targets)
        self.exact += int((targets == predicted).all(axis=1).sum())
        floor = probability_floor(values)
        of_the_truth = np.where(targets, values.astype(np.float64), 1 - values.astype(np.float64))
        self.log_loss_sum -= float(np.log(np.clip(of_the_truth, floor, 1 - floor)).sum())

    def merge(self, other: "MultiLabelMetrics") -> None:
        """Adds the rows that `other` has seen; raises `DataError` where it has other labels."""
        if other.labels != self.labels:
            raise DataError(f"metrics of different labels cannot be merged: {list(self.labels)} and {list(other.labels)}")
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
        - `per_label`: precision, recall, F1 and support of each label.

        Raises `DataError` where no row was seen.
        """
        require_rows(self.rows)
        f1 = precision_recall_f1(self.hits, self.predicted, self.actual)[2]
        decisions = int(self.predicted.sum() + self.actual.sum())
        return {
            "rows": self.rows,
            "micro_f1": float(2 * self.hits.sum() / decisions) if decisions else 0.0,
            "macro_f1": float(f1.mean()),
            "exact_match": self.exact / self.rows,
            "log_loss": self.log_loss_sum / (self.rows * len(self.labels)),
            "per_label": per_label_rows(self.labels, self.hits, self.predicted, self.actual),
        }
