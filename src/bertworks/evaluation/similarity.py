"""Metrics of sentence vectors whose nearness should follow people's judgement: of scored pairs, and of triplets."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.evaluation.bootstrap import Replicates, checked_replicates, merge_replicates
from bertworks.evaluation.intervals import interval_lists
from bertworks.evaluation.metrics import require_rows
from bertworks.evaluation.regression import RegressionMetrics


class SimilarityMetrics(RegressionMetrics):
    """How the similarities of pairs follow their scores: Spearman's and Pearson's correlation (STS; Cer et al. 2017).

    Only orders and linear relations count: a cosine need not be the score. Memory as in `RegressionMetrics`.

    >>> metrics = SimilarityMetrics()
    >>> metrics.update(np.array([0.0, 2.5, 5.0]), np.array([0.1, 0.5, 0.8]))
    >>> metrics.compute()["spearman"]
    1.0
    """

    def compute(self) -> dict[str, Any]:
        """`spearman` (the main one) and `pearson`, in [-1, 1], and with replicates their `intervals`."""
        found = super().compute()
        names = ("spearman", "pearson")
        kept = {"rows": found["rows"], **{name: found[name] for name in names}}
        return {**kept, "intervals": {name: found["intervals"][name] for name in names}} if "intervals" in found else kept


class TripletMetrics:
    """Of (anchor, positive, negative): how often the anchor is nearer to the positive.

    >>> metrics = TripletMetrics()
    >>> metrics.update(np.array([0.9, 0.4]), np.array([0.3, 0.5]))
    >>> metrics.compute()["triplet_accuracy"]
    0.5
    """

    headline: ClassVar[str] = "triplet_accuracy"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.rows = 0
        self.right = 0.0
        count = checked_replicates(replicates) if replicates else 0
        self.replicates = Replicates(count, 2, seed=seed, first_row=first_row) if count else None

    def update(self, positives: Float[Array, "rows"], negatives: Float[Array, "rows"]) -> None:
        """Adds triplets: the similarity of the anchor to its positive, and to its negative. Equal ones are wrong."""
        right = (np.asarray(positives) > np.asarray(negatives)).astype(np.float64)
        self.rows += len(right)
        self.right += float(right.sum())
        if self.replicates is not None:
            self.replicates.add(np.stack([np.ones_like(right), right], axis=1))

    def merge(self, other: "TripletMetrics") -> None:
        """Adds the triplets that `other` has seen."""
        merge_replicates(self.replicates, other.replicates)
        self.rows += other.rows
        self.right += other.right

    def compute(self) -> dict[str, Any]:
        """`triplet_accuracy`, with replicates also its interval. Raises `DataError` where no triplet was seen."""
        require_rows(self.rows)
        found: dict[str, Any] = {"rows": self.rows, "triplet_accuracy": self.right / self.rows}
        return found | interval_lists(_TripletStatistics(), self.replicates)


class _TripletStatistics:
    methods: ClassVar[Any] = {"triplet_accuracy": "proportion"}

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        return {"triplet_accuracy": sums[..., 1] / sums[..., 0]}
