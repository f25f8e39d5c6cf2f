"""Checks of targets and of models' outputs, before anything is counted."""

from collections.abc import Hashable, Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError, nearest

Kind = Literal["single", "multi", "number"]
"""One label a row, any number of labels a row, or a number."""
SUM_TOLERANCE = 1e-2
"""How far the probabilities of a row may sum from 1: half precision over many labels comes near it, scores do not."""


def checked_kind(kind: Kind) -> Kind:
    """The kind as it came; raises `SettingsError` where there is no such kind."""
    if kind not in get_args(Kind):
        raise SettingsError(f"kind is 'single', 'multi' or 'number', not {kind!r}.{nearest(kind, get_args(Kind))}")
    return kind


def checked_labels(labels: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """The labels as a tuple; raises `DataError` where there are none or one stands twice."""
    named = tuple(labels)
    if not named or len(set(named)) != len(named):
        raise DataError(f"labels must be distinct and at least one; got {list(named)}")
    return named


def checked_probabilities(probabilities: Real[Array, "rows labels"], labels: int) -> Real[Array, "rows labels"]:
    """The probabilities as they came; raises `DataError` on a wrong shape, NaN, or values outside [0, 1]."""
    values = np.asarray(probabilities)
    if values.ndim != 2 or values.shape[1] != labels:
        raise DataError(f"probabilities must be [rows, {labels} labels]; got shape {values.shape}")
    if not ((values >= 0) & (values <= 1 + SUM_TOLERANCE)).all():
        raise DataError("probabilities must lie between 0 and 1 without NaN; scores (logits) need a softmax or sigmoid first")
    return values


def checked_label_rows(
    targets: Int[Array, "rows"], probabilities: Real[Array, "rows labels"], labels: int
) -> tuple[Int[Array, "rows"], Real[Array, "rows labels"]]:
    """Targets that are indices of labels, and probabilities that sum to 1 in each row.

    Raises `DataError` where shapes do not agree, a target is no index of a label, or the probabilities are none (as
    unnormalized scores).
    """
    targets, values = np.asarray(targets), checked_probabilities(probabilities, labels)
    if targets.shape != values.shape[:1]:
        raise DataError(f"targets have shape {targets.shape}, but there are {len(values)} rows of probabilities")
    if not len(targets):
        return targets.astype(np.int64), values
    if not np.issubdtype(targets.dtype, np.integer) or targets.min() < 0 or targets.max() >= labels:
        raise DataError(f"targets must be whole numbers from 0 to {labels - 1}; found {targets.min()} to {targets.max()}")
    sums = values.sum(axis=1, dtype=np.float64)
    if (np.abs(sums - 1) > SUM_TOLERANCE).any():
        raise DataError(f"each row of probabilities must sum to 1; one sums to {sums[np.abs(sums - 1).argmax()]:.3g}")
    return targets.astype(np.int64), values


def checked_label_sets(
    targets: Bool[Array, "rows labels"], probabilities: Real[Array, "rows labels"], thresholds: Float[Array, "labels"] | float, labels: int
) -> tuple[Bool[Array, "rows labels"], Real[Array, "rows labels"], Float[Array, "*labels"]]:
    """Targets, probabilities and thresholds (one for all labels, or one for each).

    Raises `DataError` where shapes do not agree, targets are not booleans, or a probability lies outside [0, 1].
    """
    targets, values, limits = np.asarray(targets), checked_probabilities(probabilities, labels), np.asarray(thresholds, dtype=np.float64)
    if targets.shape != values.shape or targets.dtype != np.bool_:
        raise DataError(f"targets must be booleans of shape {values.shape}; got {targets.dtype} of shape {targets.shape}")
    if limits.shape not in ((), (labels,)):
        raise DataError(f"thresholds must be one number or one for each of {labels} labels; got shape {limits.shape}")
    return targets, values, limits


def check_finite(values: Shaped[Array, "*shape"], what: str) -> None:
    """Raises `DataError` where there is NaN or infinity among values, of which no order says anything; `what` they are called."""
    if not np.isfinite(values).all():
        raise DataError(f"{what} must be finite numbers; found NaN or infinity")


def checked_numbers(targets: Real[Array, "rows"], predictions: Real[Array, "rows"]) -> Float[Array, "2 rows"]:
    """Targets and predictions in one array; raises `DataError` where shapes do not agree or a value is not finite."""
    truth, answer = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != answer.shape:
        raise DataError(f"targets and predictions must be rows of numbers, equally many; got shapes {truth.shape} and {answer.shape}")
    both = np.stack([truth, answer])
    check_finite(both, "targets and predictions")
    return both
