"""Two models on the same rows: how far their metrics differ, how sure that is, and whether it could be chance.

The interval of a difference comes from a paired bootstrap: both models are resampled with the same weights. The p-value
comes from approximate randomization (Noreen 1989, chapter 2; Dror et al. 2018, section 3): were the models exchangeable,
swapping their outputs on each row by a coin would change nothing but chance. Both need sums over rows only, so the rows
stream by; for numbers, whose ranks are needed, they are kept.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from bertworks.batch import Array
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES, Replicates, blocks, checked_replicates, coin_flips
from bertworks.evaluation.checks import Kind, checked_kind, checked_label_rows, checked_label_sets, checked_labels, checked_numbers
from bertworks.evaluation.intervals import Interval, RowStatistics, resampled, standard_interval
from bertworks.evaluation.metrics import require_rows
from bertworks.evaluation.ranks import resampled_spearman, spearman, weighted_spearman
from bertworks.evaluation.row_statistics import LabelSetStatistics, LabelStatistics, NumberStatistics

Chunk = tuple[Shaped[Array, "rows ..."], Shaped[Array, "rows ..."], Shaped[Array, "rows ..."]]
"""Targets, the first model's outputs and the second model's outputs, for the same rows."""

Limits = Float[Array, "labels"] | float
"""Thresholds: one for all labels, or one for each."""


@dataclass(frozen=True)
class Difference:
    """One metric of two models."""

    first: float
    second: float
    difference: float
    """Second less first."""
    interval: Interval
    """95 % interval of the difference, from a paired bootstrap."""
    p_value: float
    """How often chance alone makes a difference at least as large, either way: two-sided, at least 1 / (replicates + 1)."""


@dataclass(frozen=True)
class McNemar:
    """The exact test of McNemar (1947): rows that only one of the models has right would fall to either by a fair coin."""

    only_first: int
    """Rows that only the first model has right."""
    only_second: int
    """Rows that only the second model has right."""
    p_value: float
    """Two-sided."""


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    kind: Kind
    rows: int
    replicates: int
    metrics: dict[str, Difference]
    """Each metric that is one number, by its name in `Metrics.compute`."""
    mcnemar: McNemar | None
    """For single labels: the test of the difference in accuracy."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        values = asdict(self)
        for metric in values["metrics"].values():
            metric["interval"] = list(metric["interval"])
        return values


def compare(
    kind: Kind,
    chunks: Iterable[Chunk],
    *,
    labels: Sequence[Hashable] = (),
    thresholds: tuple[Limits, Limits] = (0.5, 0.5),
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compares two models, of which `chunks` hold targets and both outputs row by row.

    Outputs are what the metrics of `kind` take: probabilities of `labels`, or numbers; `thresholds` are those of the
    first and of the second model, for several labels. Raises `DataError` where a chunk does not fit or there is no row,
    `SettingsError` for an unknown kind or too few replicates.

    >>> targets, good, poor = np.array([0, 1] * 20), np.eye(2)[[0, 1] * 20], np.eye(2)[[0, 0] * 20]
    >>> found = compare("single", [(targets, poor, good)], labels=["no", "yes"])
    >>> found.metrics["accuracy"].difference, found.mcnemar.only_second, found.metrics["accuracy"].p_value < 0.01
    (0.5, 20, True)
    """
    checked_replicates(replicates)
    if checked_kind(kind) == "number":
        return _compare_numbers(chunks, replicates, seed)
    names = checked_labels(labels)
    if kind == "single":
        return _compare_single(chunks, len(names), replicates, seed)
    return _compare_multi(chunks, len(names), thresholds, replicates, seed)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """The two-sided exact binomial test that as many rows fall to one model as to the other; 1.0 without any.

    >>> round(mcnemar_p_value(2, 8), 6)
    0.109375
    """
    rows, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    steps = np.arange(1, fewer + 1)
    logarithms = np.concatenate([[0.0], np.cumsum(np.log((rows - steps + 1) / steps))]) - rows * math.log(2)
    return min(1.0, 2 * float(np.exp(logarithms).sum()))


class _PairedSums:
    """Sums of both models' rows: plain, resampled alike, and swapped by coins."""

    def __init__(self, columns: int, replicates: int, seed: int) -> None:
        self.columns = columns
        self.both = Replicates(replicates, 2 * columns, seed=seed)
        self.moved = Replicates(replicates, columns, seed=seed, draw=coin_flips)
        """What the first model gains, and the second loses, where a coin swaps their rows."""

    @property
    def rows(self) -> int:
        return int(self.both.observed[0])

    def add(self, first: Float[Array, "rows columns"], second: Float[Array, "rows columns"]) -> None:
        self.both.add(np.concatenate([first, second], axis=1))
        self.moved.add(second - first)

    def differences(self, statistics: RowStatistics) -> dict[str, Difference]:
        """Every metric of both models."""
        require_rows(self.rows)
        again = resampled(self.both.sums)
        first, second = (statistics.values(self.both.observed[part]) for part in self._halves())
        first_again, second_again = (statistics.values(again[:, part]) for part in self._halves())
        swapped_first = statistics.values(self.both.observed[: self.columns] + self.moved.sums)
        swapped_second = statistics.values(self.both.observed[self.columns :] - self.moved.sums)
        return {
            name: _difference(
                (float(first[name]), float(second[name])),
                second_again[name] - first_again[name],
                swapped_second[name] - swapped_first[name],
                self.rows,
            )
            for name in first
        }

    def _halves(self) -> tuple[slice, slice]:
        return slice(0, self.columns), slice(self.columns, 2 * self.columns)


def _difference(
    values: tuple[float, float], resampled_differences: Float[Array, "kept"], swapped: Float[Array, "replicates"], rows: int
) -> Difference:
    """Values that differ by no more than rounding count as equal."""
    difference = values[1] - values[0]
    slack = 1e-10 * max(abs(values[0]), abs(values[1]))
    as_large = int((np.abs(swapped) >= abs(difference) - slack).sum())
    interval = standard_interval(difference, resampled_differences, rows)
    return Difference(values[0], values[1], difference, interval, (1 + as_large) / (1 + len(swapped)))


def _compare_single(chunks: Iterable[Chunk], labels: int, replicates: int, seed: int) -> Comparison:
    statistics, only_first, only_second = LabelStatistics(labels), 0, 0
    sums = _PairedSums(statistics.columns, replicates, seed)
    for truth, *outputs in chunks:
        (targets, first), (_, second) = (checked_label_rows(truth, of, labels) for of in outputs)
        for block in blocks(len(targets), statistics.columns):
            sums.add(*(statistics.of_rows(targets[block], of[block]) for of in (first, second)))
        right, also_right = (targets == of.argmax(axis=1) for of in (first, second))
        only_first += int((right & ~also_right).sum())
        only_second += int((also_right & ~right).sum())
    mcnemar = McNemar(only_first, only_second, mcnemar_p_value(only_first, only_second))
    return Comparison("single", sums.rows, replicates, sums.differences(statistics), mcnemar)


def _compare_multi(chunks: Iterable[Chunk], labels: int, thresholds: tuple[Limits, Limits], replicates: int, seed: int) -> Comparison:
    statistics = LabelSetStatistics(labels)
    sums = _PairedSums(statistics.columns, replicates, seed)
    for truth, *outputs in chunks:
        checked = [checked_label_sets(truth, of, limits, labels) for of, limits in zip(outputs, thresholds, strict=True)]
        for block in blocks(len(truth), statistics.columns):
            sums.add(*(statistics.of_rows(targets[block], of[block], limits) for targets, of, limits in checked))
    return Comparison("multi", sums.rows, replicates, sums.differences(statistics), None)


def _compare_numbers(chunks: Iterable[Chunk], replicates: int, seed: int) -> Comparison:
    kept = [np.concatenate([checked_numbers(truth, first), checked_numbers(truth, second)[1:]]) for truth, first, second in chunks]
    targets, *outputs = rows = np.concatenate([np.zeros((3, 0)), *kept], axis=1)  # [3, rows]
    require_rows(len(targets))
    statistics = NumberStatistics(np.array([targets.mean(), np.mean(outputs)]))
    sums = _PairedSums(statistics.columns, replicates, seed)
    for block in blocks(len(targets), statistics.columns):
        sums.add(*(statistics.of_rows(targets[block], of[block]) for of in outputs))
    metrics = sums.differences(statistics)
    ranked = {"pearson": metrics.pop("pearson"), "spearman": _compare_ranks(*rows, replicates=replicates, seed=seed)}
    return Comparison("number", len(targets), replicates, ranked | metrics, None)


def _compare_ranks(
    targets: Float[Array, "rows"], first: Float[Array, "rows"], second: Float[Array, "rows"], *, replicates: int, seed: int
) -> Difference:
    numbers = np.arange(len(targets))
    again = [resampled_spearman(targets, of, numbers, replicates, seed) for of in (first, second)]
    # Swapped outputs are a choice of one of the two pairs of each row: all pairs in a row, half of them of weight 0.
    pairs = np.concatenate([targets, targets]), np.concatenate([first, second])

    def coins(some: range, *, swapped: bool) -> Int[Array, "twice_rows replicates"]:
        swap = coin_flips(seed, numbers, some)
        return np.concatenate([1 - swap, swap] if swapped else [swap, 1 - swap])

    first_swapped = weighted_spearman(*pairs, lambda some: coins(some, swapped=True), replicates)
    second_swapped = weighted_spearman(*pairs, lambda some: coins(some, swapped=False), replicates)
    values = spearman(targets, first), spearman(targets, second)
    return _difference(values, again[1] - again[0], second_swapped - first_swapped, len(targets))
