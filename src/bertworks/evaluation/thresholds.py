"""Decision thresholds of multi-label tasks, tuned on a validation set."""

import numpy as np
from jaxtyping import Bool, Float, Real

from bertworks.batch import Array
from bertworks.errors import DataError


def best_thresholds(targets: Bool[Array, "rows labels"], probabilities: Real[Array, "rows labels"]) -> Float[Array, "labels"]:
    """For each label the threshold that maximizes its F1, where a label is predicted if its probability is at least that.

    Candidates are the midpoints between neighbouring scores and between 0 and the lowest score; among equally good
    ones the closest to 0.5 is taken, then the lower. A label without positives keeps 0.5. F1 is maximized for each
    label by itself, which maximizes macro F1 (Lipton, Elkan and Naryanaswamy 2014). Takes one sort of the
    rows a label. Raises `DataError` where shapes do not agree, targets are not booleans, or a probability lies
    outside [0, 1].

    >>> best_thresholds(np.array([[True], [True], [False]]), np.array([[0.9], [0.4], [0.1]])).tolist()
    [0.25]
    """
    truth, scores = np.asarray(targets), np.asarray(probabilities)
    if truth.ndim != 2 or truth.shape != scores.shape or truth.dtype != np.bool_:
        raise DataError(
            f"thresholds need boolean targets and probabilities of one shape [rows, labels]; got {truth.shape} and {scores.shape}"
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise DataError("probabilities must lie between 0 and 1 without NaN; scores (logits) need a sigmoid first")
    return np.array([_best_threshold(truth[:, label], scores[:, label].astype(np.float64)) for label in range(truth.shape[1])])


def _best_threshold(truth: Bool[Array, "rows"], scores: Float[Array, "rows"]) -> float:
    if not truth.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    hits, falling = np.cumsum(truth[order]), scores[order]
    # A row closes a candidate where the next score is lower: all rows up to it are then predicted.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    f1 = 2 * hits[last] / (last + 1 + truth.sum())
    lower, upper = np.append(falling[last[1:]], 0.0), falling[last]
    midpoints = lower + (upper - lower) / 2
    midpoints = np.where(midpoints > lower, midpoints, upper)  # neighbours one rounding step apart have no midpoint
    best = midpoints[f1 == f1.max()]
    return float(best[np.lexsort((best, np.abs(best - 0.5)))[0]])
