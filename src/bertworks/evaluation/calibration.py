"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, section 4.2).

A network that is trained long is too sure of itself. Dividing its logits by one number, the temperature, which is
fitted on held-out data, mends most of that and changes no prediction. Probabilities are enough: their logarithms are
the logits but for a constant, which cancels out.
"""

import numpy as np
from jaxtyping import Float, Real, Shaped

from bertworks.batch import Array
from bertworks.errors import SettingsError
from bertworks.evaluation.checks import Kind, checked_kind, checked_label_rows, checked_label_sets, checked_probabilities

LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0
FEWEST_ROWS = 20
"""Fewer held-out rows than this say nothing of a model's confidence."""
_MOST_STEPS = 200


def fit_temperature(targets: Shaped[Array, "rows ..."], probabilities: Real[Array, "rows labels"], kind: Kind) -> float:
    """The temperature, in [0.05, 20], at which held-out targets are most likely; above 1 where the model is too sure.

    For `kind` "single" targets are indices of the columns and the probabilities those of a softmax; for "multi" they are
    booleans, and all labels share one temperature of their binary logits. 1.0, which changes nothing, where the rows
    cannot tell: fewer than 20, or not one of them (of its labels, for "multi") with a wrong prediction, so that no
    confidence would be too high.

    The negative log-likelihood is convex in the inverse temperature: Newton's method, kept within a bracket, finds its
    only minimum. Raises `DataError` where targets and probabilities do not fit, `SettingsError` for numbers.

    >>> truth = np.array([0] * 15 + [1] * 5)  # 75 % are right, but the model is 90 % sure
    >>> temperature = fit_temperature(truth, np.tile([0.9, 0.1], (20, 1)), "single")
    >>> round(temperature, 4), apply_temperature(np.array([[0.9, 0.1]]), temperature, "single").round(4).tolist()
    (2.0, [[0.75, 0.25]])
    """
    if _checked(kind) == "single":
        rows, values = checked_label_rows(targets, probabilities, _columns(probabilities))
        logits = _logarithms(values)  # [rows, labels]
        advantages = logits - logits[np.arange(len(rows)), rows][:, None]
    else:
        marks, values, _ = checked_label_sets(targets, probabilities, 0.5, _columns(probabilities))
        logits = _binary_logits(values)
        wrong = np.where(marks, -logits, logits).reshape(-1, 1)  # [decisions, 1]
        advantages = np.concatenate([np.zeros_like(wrong), wrong], axis=1)
    if len(values) < FEWEST_ROWS or not (advantages > 0).any():
        return 1.0
    return 1 / _best_inverse(advantages)


def apply_temperature(probabilities: Real[Array, "rows labels"], temperature: float, kind: Kind) -> Float[Array, "rows labels"]:
    """Probabilities of the same logits divided by `temperature`; for "single" each row sums to 1.

    The order of the labels in a row stays, and so does what is above and what is below one half. Raises `SettingsError`
    where the temperature is not above 0, or for numbers; `DataError` where the probabilities are none.

    >>> apply_temperature(np.array([[0.8, 0.2]]), 1.0, "multi").round(6).tolist()
    [[0.8, 0.2]]
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise SettingsError(f"temperature must be above 0, not {temperature}")
    values = checked_probabilities(probabilities, _columns(probabilities))
    if _checked(kind) == "multi":
        return 0.5 * (1 + np.tanh(_binary_logits(values) / (2 * temperature)))  # the logistic function, without overflow
    return _softmax(_logarithms(values) / temperature)


def _best_inverse(advantages: Float[Array, "rows labels"]) -> float:
    """The inverse temperature b that minimizes the sum of log Σ exp(b · advantage) over the rows, within the bounds.

    Advantages are logits less that of the target. Newton's method on the slope; bisection of the logarithm where a step
    would leave the bracket or does not halve the last one (Press et al. 2007, section 9.4).
    """
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    if _slope(advantages, low)[0] >= 0:
        return low
    if _slope(advantages, high)[0] <= 0:
        return high
    inverse, last_step = 1.0, high - low
    for _ in range(_MOST_STEPS):
        slope, curvature = _slope(advantages, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        middle = float(np.sqrt(low * high))
        newton = inverse - slope / curvature if curvature > 0 else middle
        following = newton if low < newton < high and abs(newton - inverse) < last_step / 2 else middle
        last_step = abs(following - inverse)
        inverse = following
        if last_step <= 1e-12 * inverse:
            break
    return inverse


def _slope(advantages: Float[Array, "rows labels"], inverse: float) -> tuple[float, float]:
    """First and second derivative: the mean and the variance of the advantages under the model, summed over the rows."""
    probabilities = _softmax(inverse * advantages)
    means = (probabilities * advantages).sum(axis=1)
    return float(means.sum()), float((probabilities * np.square(advantages - means[:, None])).sum())


def _checked(kind: Kind) -> Kind:
    if checked_kind(kind) == "number":
        raise SettingsError("a model that predicts a number has no probabilities to calibrate")
    return kind


def _columns(probabilities: Real[Array, "rows labels"]) -> int:
    return int(np.atleast_1d(probabilities).shape[-1])


def _logarithms(probabilities: Real[Array, "rows labels"]) -> Float[Array, "rows labels"]:
    """Logarithms, of 0 that of the smallest normal number of its dtype."""
    values = np.asarray(probabilities)
    smallest = np.finfo(values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64).tiny
    logarithms: Array = np.log(np.maximum(values.astype(np.float64), float(smallest)))
    return logarithms


def _binary_logits(probabilities: Real[Array, "rows labels"]) -> Float[Array, "rows labels"]:
    """Logits; those of 0 and 1 are what half a rounding step away from them has."""
    values = np.asarray(probabilities)
    step = float(np.finfo(values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64).eps) / 2
    wide = np.clip(values.astype(np.float64), step, 1 - step)
    logits: Array = np.log(wide) - np.log1p(-wide)
    return logits


def _softmax(logits: Float[Array, "rows labels"]) -> Float[Array, "rows labels"]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
