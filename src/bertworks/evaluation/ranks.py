"""Spearman's correlation: of a set, and of its resampled or mixed versions, where each row has a weight."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Real, UInt8

from bertworks.batch import Array
from bertworks.evaluation.bootstrap import blocks, poisson_weights
from bertworks.evaluation.row_statistics import correlation

Weigh = Callable[[range], UInt8[Array, "rows replicates"]]
"""Gives the weights of some replicates."""


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
    return float(correlation((deviations[0] * deviations[1]).sum(), *np.square(deviations).sum(axis=1)))


def resampled_spearman(
    targets: Real[Array, "rows"], predictions: Real[Array, "rows"], numbers: Int[Array, "rows"], replicates: int, seed: int
) -> Float[Array, "kept"]:
    """Spearman's correlation in every bootstrap replicate that drew a row; `numbers` are those of the rows.

    Ranks are those within the replicate. Time and memory are linear in the rows: they are sorted once.
    """
    found = weighted_spearman(targets, predictions, lambda some: poisson_weights(seed, numbers, some), replicates)
    return found[~np.isnan(found)]


def weighted_spearman(
    targets: Real[Array, "rows"], predictions: Real[Array, "rows"], weigh: Weigh, replicates: int
) -> Float[Array, "replicates"]:
    """Spearman's correlation of the set in which each row stands as often as its weight says, for every replicate.

    0.0 where one side is constant, NaN where all weights are 0.
    """
    ranks = _Ranks(targets), _Ranks(predictions)
    found = np.empty(replicates)
    for block in blocks(replicates, len(targets)):
        weights = weigh(range(block.start, block.stop))
        total = weights.sum(axis=0, dtype=np.int64)
        x, y = ((side.twice(weights) - total).astype(np.float64) for side in ranks)
        weighted = weights * x
        covariance, spread = (np.einsum("ij,ij->j", weighted, side) for side in (y, x))
        found[block] = np.where(total > 0, correlation(covariance, spread, np.einsum("ij,ij,ij->j", weights, y, y)), np.nan)
    return found


class _Ranks:
    """The order of some values, from which ranks follow for any weights."""

    def __init__(self, values: Real[Array, "rows"]) -> None:
        _, self.place, counts = np.unique(values, return_inverse=True, return_counts=True)
        self.order = np.argsort(self.place, kind="stable")
        self.ends = np.cumsum(counts) - 1
        """The last row of each value, in order."""

    def twice(self, weights: UInt8[Array, "rows replicates"]) -> Int[Array, "rows replicates"]:
        """The weight of equal values and twice that of lesser ones: twice the average ranks, less 1."""
        upto = np.cumsum(weights[self.order], axis=0, dtype=np.int64)[self.ends]  # [values, replicates]
        upto[1:] += upto[:-1].copy()
        ranks: Array = upto[self.place]
        return ranks
