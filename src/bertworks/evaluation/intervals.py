"""Confidence intervals of metrics: by which method each metric has one, and how well that covers the truth.

Five methods, each where it covers best (`benchmarks/interval_coverage.py` simulates it):

- "proportion": the score interval of Wilson (1927), for plain shares of rows;
- `Mean`: the studentized bootstrap on a logarithmic scale (Efron and Tibshirani 1993, chapter 12), for mean losses,
  whose rows are skewed: percentile intervals lie too low there;
- "accelerated": bias-corrected and accelerated percentiles, BCa (Efron 1987), for F1 and Matthews' correlation;
- "bias_corrected": the same without acceleration, for correlations, where heavy tails make the estimate of the
  acceleration worse than none;
- `AbsoluteSum`: for the expected calibration error, which chance can only raise. By the triangle inequality the truth is
  at least the error less the distance of the bins' gaps from the true gaps, and the bootstrap gives percentiles of that
  distance; from above the bias-corrected percentile.

Percentiles are widened by Student's t for small sets (Hesterberg 2015, "What teachers should know about the bootstrap",
section 4.3.2). Every interval holds the metric's own value.

What they do not cover as they should: macro F1 where labels have fewer than about five rows (a set cannot tell how a
label fares that it lacks); a mean loss that hangs on a handful of rows, as the log-loss of a hundred rows of which
five are wrong, or squared errors with heavy tails (some two points short); the calibration error's are a little too
wide. All take rows to be independent: where several rows come from one document, say, intervals are too narrow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.evaluation.bootstrap import Replicates

INTERVAL_LEVEL = 0.95
"""How often an interval is meant to cover the true value."""
Interval = tuple[float, float]
Sums = Float[Array, "*replicates columns"]

_NORMAL = NormalDist()
_QUANTILE = _NORMAL.inv_cdf((1 + INTERVAL_LEVEL) / 2)
_STEP = 1e-3
"""Share of the way from the sums to those of a replicate on which a metric counts as linear."""
_WIDEST = 50.0
"""Factor e^±50 at most: a mean of a handful of rows has no bounds."""


@dataclass(frozen=True)
class Mean:
    """A mean of losses, none below 0: the columns where they and their squares are summed."""

    total: int
    squares: int


@dataclass(frozen=True)
class AbsoluteSum:
    """A sum of absolute values of sums, divided by the rows: the columns of those sums, from `start` to the last."""

    start: int


Method = Literal["proportion", "accelerated", "bias_corrected"] | Mean | AbsoluteSum


class RowStatistics(Protocol):
    """Sums over rows, and the metrics that follow from them. The first sum counts rows."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """Each metric, and how its interval is made."""
        ...

    def values(self, sums: Sums) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `methods`, for plain sums or for those of many replicates; no number of rows may be 0."""
        ...


def intervals(statistics: RowStatistics, replicates: Replicates) -> dict[str, Interval]:
    """An interval for every metric of `statistics`, from the sums of its rows."""
    observed, sums = replicates.observed, resampled(replicates.sums)
    rows = int(observed[0])
    values, replicated = statistics.values(observed), statistics.values(sums)
    linear = linearized(statistics, observed, sums)
    found: dict[str, Interval] = {}
    for name, method in statistics.methods.items():
        value = float(values[name])
        if isinstance(method, Mean):
            found[name] = mean_interval(observed, sums, method)
        elif isinstance(method, AbsoluteSum):
            high = percentile_interval(value, replicated[name], rows)[1]
            found[name] = _least_absolute_sum(value, observed, sums, method), high
        elif method == "proportion":
            found[name] = wilson_interval(value, rows)
        else:
            skewness = _skewness(linear[name]) if method == "accelerated" else 0.0
            found[name] = percentile_interval(value, replicated[name], rows, skewness)
    return found


def interval_lists(statistics: RowStatistics, replicates: Replicates | None) -> dict[str, dict[str, list[float]]]:
    """What `Metrics.compute` adds to its metrics: the entry `intervals`, or nothing without replicates."""
    return {} if replicates is None else {"intervals": {name: list(ends) for name, ends in intervals(statistics, replicates).items()}}


def resampled(sums: Float[Array, "replicates columns"]) -> Float[Array, "kept columns"]:
    """The replicates that drew a row at all: in sets of a few rows not all do."""
    return sums[sums[:, 0] > 0]


def linearized(
    statistics: RowStatistics, observed: Float[Array, "columns"], sums: Float[Array, "replicates columns"]
) -> dict[str, Float[Array, "replicates"]]:
    """How far each metric would move in each replicate if it were linear in the sums: its derivative that way.

    For a linear metric this is the weighted sum of the rows' influences. So its skewness over the replicates is that
    of the influences, from which BCa takes the acceleration; no row is needed again.
    """
    shift = _STEP * (sums - observed)
    ahead, behind = statistics.values(observed + shift), statistics.values(observed - shift)
    return {name: (ahead[name] - behind[name]) / (2 * _STEP) for name in ahead}


def wilson_interval(share: float, rows: int) -> Interval:
    """The score interval of Wilson (1927) for a share of independent rows, within [0, 1].

    >>> [round(end, 3) for end in wilson_interval(0.9, 100)]
    [0.826, 0.945]
    """
    square = _QUANTILE**2 / rows
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(square) / (1 + square) * math.sqrt(share * (1 - share) + square / 4)
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))


def percentile_interval(value: float, replicated: Float[Array, "replicates"], rows: int, skewness: float = 0.0) -> Interval:
    """Bias-corrected percentiles, accelerated where `skewness` is that of the rows' influences (Efron 1987)."""
    low_count, high_count = int((replicated < value - _slack(value)).sum()), int((replicated > value + _slack(value)).sum())
    below = (low_count + (len(replicated) - low_count - high_count) / 2) / len(replicated)
    bias = _NORMAL.inv_cdf(min(max(below, 1 / len(replicated)), 1 - 1 / len(replicated)))
    acceleration, reach = skewness / 6, _t_reach(rows)
    ends = []
    for quantile in (-reach, reach):
        shifted = bias + quantile
        ends.append(_NORMAL.cdf(bias + shifted / max(1 - acceleration * shifted, 0.1)))
    low, high = np.quantile(replicated, ends, method="hazen").tolist()
    return min(low, value), max(high, value)


def standard_interval(value: float, replicated: Float[Array, "replicates"], rows: int) -> Interval:
    """The value and Student's t times the replicates' standard deviation: for differences, which are nearly symmetric."""
    reach = _t_reach(rows) * float(replicated.std())
    return value - reach, value + reach


def mean_interval(observed: Float[Array, "columns"], sums: Float[Array, "replicates columns"], method: Mean) -> Interval:
    """The studentized bootstrap of a mean's logarithm; bias-corrected percentiles where a replicate has no spread."""
    rows, value = int(observed[0]), float(observed[method.total] / observed[0])
    means = sums[:, method.total] / sums[:, 0]
    errors, error = (_relative_error(of, method) for of in (sums, observed))
    if not (error > 0 and (errors > 0).all()):
        return percentile_interval(value, means, rows)
    studentized = (np.log(means) - math.log(value)) / errors
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.clip(-np.quantile(studentized, [1 - tail, tail], method="hazen") * error, -_WIDEST, _WIDEST).tolist()
    return value * math.exp(min(low, 0.0)), value * math.exp(max(high, 0.0))


def _least_absolute_sum(
    value: float, observed: Float[Array, "columns"], sums: Float[Array, "replicates columns"], method: AbsoluteSum
) -> float:
    """The lower end for a sum of absolute values; 0 where chance alone could make it as large."""
    gaps, true_gaps = (of[..., method.start :] / of[..., :1] for of in (sums, observed))
    distances = np.abs(gaps - true_gaps).sum(axis=-1)
    return max(0.0, value - float(np.quantile(distances, (1 + INTERVAL_LEVEL) / 2, method="hazen")))


def _relative_error(sums: Sums, method: Mean) -> Float[Array, "*replicates"]:
    """Standard errors of means, divided by the means; 0.0 where all losses are equal."""
    rows, mean = sums[..., 0], sums[..., method.total] / sums[..., 0]
    variance = sums[..., method.squares] / rows - mean * mean
    spread = np.where(variance > 1e-12 * mean * mean, variance, 0.0)
    errors: Array = np.sqrt(spread / rows) / np.where(mean > 0, mean, 1.0)
    return errors


def _skewness(values: Float[Array, "replicates"]) -> float:
    """The third standardized moment; 0.0 where all values are equal."""
    deviations = values - values.mean()
    spread = float(np.sqrt(np.square(deviations).mean()))
    return float((deviations**3).mean() / spread**3) if spread > 1e-12 else 0.0


def _t_reach(rows: int) -> float:
    """Student's t for `rows` - 1 degrees of freedom (the series of Fisher and Cornish 1960), for a spread over all rows."""
    z, freedom = _QUANTILE, max(rows - 1, 1)
    quantile = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return quantile * math.sqrt(rows / freedom)


def _slack(value: float) -> float:
    """What rounding may make of equal values."""
    return 1e-12 * max(1.0, abs(value))
