"""What all metrics have in common: their outward form, and the F1 family."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int, Real

from bertworks.batch import Array
from bertworks.errors import DataError


class Metrics(Protocol):
    """Sufficient statistics of a set, and the metrics that follow from them."""

    @property
    def headline(self) -> str:
        """The metric that chooses the best model, a key of `compute()`."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher headline is better."""
        ...

    def merge(self, other: Any) -> None:
        """Adds the rows that `other`, a metric of the same kind, has seen."""
        ...

    def compute(self) -> dict[str, Any]:
        """All metrics by name, as plain numbers, lists and dictionaries that JSON can hold.

        Metrics that were told to keep replicates add `intervals`: [low, high] of each metric that is one number, so
        that the true value lies between them in 95 of 100 sets (`INTERVAL_LEVEL`).
        """
        ...


def ratio(numerator: Real[Array, "*shape"], denominator: Real[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Quotients, 0.0 where the denominator is 0.

    >>> ratio(np.array([1, 0]), np.array([2, 0])).tolist()
    [0.5, 0.0]
    """
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator), dtype=np.float64), where=denominator != 0)


def precision_recall_f1(
    hits: Int[Array, "labels"], predicted: Int[Array, "labels"], actual: Int[Array, "labels"]
) -> tuple[Float[Array, "labels"], Float[Array, "labels"], Float[Array, "labels"]]:
    """Precision, recall and F1 of each label from counts of true positives, of predictions and of targets.

    Precision is 0.0 where nothing was predicted, recall where nothing was to be found, F1 where both are so (van
    Rijsbergen 1979, chapter 7, with equal weight of precision and recall).

    >>> [values.tolist() for values in precision_recall_f1(np.array([1]), np.array([2]), np.array([1]))]
    [[0.5], [1.0], [0.6666666666666666]]
    """
    return ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, predicted + actual)


def per_label_rows(
    labels: Sequence[Hashable], hits: Int[Array, "labels"], predicted: Int[Array, "labels"], actual: Int[Array, "labels"]
) -> list[dict[str, Any]]:
    """One dictionary a label: its precision, recall, F1 and support (the number of its targets)."""
    columns = [values.tolist() for values in precision_recall_f1(hits, predicted, actual)]
    return [
        {"label": label, "precision": precision, "recall": recall, "f1": f1, "support": support}
        for label, precision, recall, f1, support in zip(labels, *columns, actual.tolist(), strict=True)
    ]


def require_rows(rows: int) -> None:
    """Raises `DataError` where no row was seen: no metric is defined then."""
    if rows == 0:
        raise DataError("no rows were evaluated; call update() with at least one row before compute()")


def probability_floor(values: Array) -> float:
    """The smallest probability that a log-loss takes seriously: the rounding step of the array's own dtype."""
    return float(np.finfo(values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64).eps)
