"""A probability from a score, by a logistic curve fitted on held-out data (Platt 1999)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from bertworks.batch import Array

_MOST_STEPS = 100
_RIDGE = 1e-12


class LogisticCurve(NamedTuple):
    """Probability = 1 / (1 + exp(-(slope · score + intercept)))."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, scores: Float[Array, "*rows"]) -> Float[Array, "*rows"]:
        return 0.5 * (1 + np.tanh((self.slope * scores + self.intercept) / 2))  # without overflow


def fit_logistic(scores: Float[Array, "rows"], truth: Bool[Array, "rows"]) -> LogisticCurve:
    """The curve under which the truth is likeliest. Targets are drawn in a little, by Platt's prior of one more row of each
    kind, so that a set without mistakes does not make probabilities of 0 and 1.

    Newton's method with halved steps. The slope is not negative: a higher score never means a lower probability. Where
    scores do not differ, or one kind of rows is missing, nothing can be fitted, and the slope is 1 and the intercept 0.

    >>> curve = fit_logistic(np.array([-2.0, -1.0, 1.0, 2.0] * 5), np.array([False, False, True, True] * 5))
    >>> bool(curve.slope > 0), round(abs(curve.intercept), 6)
    (True, 0.0)
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    spread = float(scores.std()) if len(scores) else 0.0
    if not positives or not negatives or not spread > 0:
        return LogisticCurve()
    center = float(scores.mean())
    rows = np.stack([(scores - center) / spread, np.ones(len(scores))], axis=1)
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weights: Array = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _loss(rows, targets, weights)
    for _ in range(_MOST_STEPS):
        probabilities = LogisticCurve()(rows @ weights)
        gradient = rows.T @ (probabilities - targets)
        curvature = (rows * (probabilities * (1 - probabilities))[:, None]).T @ rows + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (following := _loss(rows, targets, weights - step)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        weights, improved, loss = weights - step, loss - following, following
        if improved <= 1e-12 * max(1.0, loss):
            break
    if weights[0] < 0:
        return LogisticCurve(0.0, float(np.log((positives + 1) / (negatives + 1))))
    slope = float(weights[0]) / spread
    return LogisticCurve(slope, float(weights[1]) - slope * center)


def _loss(rows: Float[Array, "rows 2"], targets: Float[Array, "rows"], weights: Float[Array, "2"]) -> float:
    logits = rows @ weights
    return float((np.logaddexp(0, logits) - targets * logits).sum())
