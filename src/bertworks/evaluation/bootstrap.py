"""The streaming Poisson bootstrap: weights from a counter, and the weighted sums that metrics follow from.

Resampling n rows with replacement gives each row a binomial number of copies, which is Poisson(1) but for the last
digits where n is not tiny (Hanley and MacGibbon 2006; Chamandy et al. 2012, "Estimating uncertainty for massive data
streams"). Independent weights need no pass over the whole set: every row can be weighted as it comes.

A weight here is a hash of (seed, row number, replicate) and of nothing else. So batches and merges change nothing, and
two models that are evaluated on the same rows get the same weights: their difference can be bootstrapped in pairs.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError

DEFAULT_REPLICATES = 1000
"""Enough for the ends of a 95 % interval: their own error is about a twentieth of its width."""
FEWEST_REPLICATES = 100
"""With fewer, the outermost replicates alone would decide where a 95 % interval ends."""

_POISSON_COUNTS = (24107, 24113, 12055, 4017, 1004, 201, 33, 5, 1)
"""Of 65,536 draws so many give 0, 1 … 8: Poisson(1), rounded so that mean and variance are exactly 1."""
_POISSON = np.repeat(np.arange(len(_POISSON_COUNTS), dtype=np.uint8), _POISSON_COUNTS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: steps that visit all residues evenly
_COINS = 0x632BE59BD9B4E019  # keeps the numbers of coin flips apart from those of weights
_NUMBERS_AT_ONCE = 1 << 20  # draws a block: 8 MiB as float64

Draw = Callable[[int, Int[Array, "rows"], range], UInt8[Array, "rows replicates"]]


def poisson_weights(seed: int, rows: Int[Array, "rows"], replicates: range) -> UInt8[Array, "rows replicates"]:
    """How often each row is drawn in each replicate: Poisson(1), from 0 to 8; mean and variance are exactly 1.

    >>> whole = poisson_weights(0, np.arange(5), range(12))
    >>> bool((poisson_weights(0, np.array([3]), range(4, 12)) == whole[3:4, 4:]).all())
    True
    """
    first = replicates.start // 4  # one hash gives four draws of 16 bits
    draws = _hashes(seed, rows, first, -(-replicates.stop // 4)).view(np.uint16)
    weights: Array = _POISSON[draws[:, replicates.start - 4 * first : replicates.stop - 4 * first]]
    return weights


def coin_flips(seed: int, rows: Int[Array, "rows"], replicates: range) -> UInt8[Array, "rows replicates"]:
    """0 or 1 with equal probability for each row in each replicate, independent of `poisson_weights`.

    >>> float(coin_flips(0, np.arange(1000), range(100)).mean().round(2))
    0.5
    """
    first = replicates.start // 64
    hashes = _hashes(seed ^ _COINS, rows, first, -(-replicates.stop // 64))
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    return bits[:, replicates.start - 64 * first : replicates.stop - 64 * first]


def _hashes(seed: int, rows: Int[Array, "rows"], start: int, stop: int) -> UInt64[Array, "rows counters"]:
    """A counter's numbers for each row, by the finalizer of Steele et al. (2014), "Fast splittable generators"."""
    origin = _mixed(np.array([seed & (2**64 - 1)], dtype=np.uint64) + _GOLDEN)
    keys = _mixed(origin + rows.astype(np.uint64) * _GOLDEN)
    return _mixed(keys[:, None] + np.arange(start + 1, stop + 1, dtype=np.uint64) * _GOLDEN)


def _mixed(numbers: UInt64[Array, "*shape"]) -> UInt64[Array, "*shape"]:
    """Scrambles in place."""
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers


class RowNumbers:
    """Which rows of the set were seen: numbers in a row from `first_row` on, however they came."""

    def __init__(self, first_row: int = 0) -> None:
        if first_row < 0:
            raise SettingsError(f"first_row is {first_row}, but rows are numbered from 0")
        self.next = first_row
        self.ranges: list[tuple[int, int]] = []
        """First and last row (exclusive) of each stretch, in order; neighbours are joined."""

    def take(self, count: int) -> Int[Array, "rows"]:
        """The numbers of the next rows."""
        rows = np.arange(self.next, self.next + count, dtype=np.int64)
        self._add([(self.next, self.next + count)])
        return rows

    def merge(self, other: "RowNumbers") -> None:
        """Adds the rows of `other`; rows that come later are numbered after all. Raises `DataError` where both have a row."""
        self._add(other.ranges)

    def _add(self, ranges: list[tuple[int, int]]) -> None:
        joined: list[tuple[int, int]] = []
        for start, stop in sorted(one for one in (*self.ranges, *ranges) if one[0] < one[1]):
            if joined and start < joined[-1][1]:
                raise DataError(f"row {start} was counted twice, so its weights would be too: give each metric the first_row of its part")
            before = joined.pop() if joined and start == joined[-1][1] else (start, start)
            joined.append((before[0], stop))
        self.ranges = joined
        self.next = max(self.next, joined[-1][1]) if joined else self.next


class Replicates:
    """Weighted sums of what each row adds, one sum a replicate, and the plain sum: `[replicates + 1, columns]` numbers.

    Every metric that is a function of such sums can be computed for all replicates at once (`row_statistics.py`).
    `draw` gives the weights. Raises `SettingsError` where `count` is less than 100.
    """

    def __init__(self, count: int, columns: int, *, seed: int = 0, first_row: int = 0, draw: Draw = poisson_weights) -> None:
        self.count = checked_replicates(count)
        self.seed = seed
        self.draw = draw
        self.rows = RowNumbers(first_row)
        self.observed: Float[Array, "columns"] = np.zeros(columns)
        """The plain sum of all rows."""
        self.sums: Float[Array, "replicates columns"] = np.zeros((count, columns))

    def add(self, statistics: Float[Array, "rows columns"], numbers: Int[Array, "rows"] | None = None) -> None:
        """Adds rows; they get the numbers after those seen, where the caller does not keep `numbers` of their own."""
        numbers = self.rows.take(len(statistics)) if numbers is None else numbers
        self.observed += statistics.sum(axis=0)
        for block in blocks(len(statistics), self.count):
            weights = self.draw(self.seed, numbers[block], range(self.count))
            self.sums += weights.astype(np.float64).T @ statistics[block]

    def merge(self, other: "Replicates") -> None:
        """Adds the rows of `other`; raises `DataError` where its seed or its size differs, or both have seen a row."""
        if (other.seed, other.sums.shape) != (self.seed, self.sums.shape):
            raise DataError("metrics with other replicates, or another seed, cannot be merged")
        self.rows.merge(other.rows)
        self.observed += other.observed
        self.sums += other.sums


def merge_replicates(mine: Replicates | None, other: Replicates | None) -> None:
    """Merges the replicates of two metrics that are merged; raises `DataError` where only one of them has any."""
    if (mine is None) != (other is None):
        raise DataError("metrics with and without replicates cannot be merged: the intervals would leave rows out")
    if mine is not None and other is not None:
        mine.merge(other)


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Consecutive slices of the rows, each of about a million numbers where a row takes `width` of them.

    >>> list(blocks(5, 400_000))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    height = max(1, _NUMBERS_AT_ONCE // max(1, width))
    return (slice(start, min(start + height, rows)) for start in range(0, rows, height))


def checked_replicates(count: int) -> int:
    """The number of replicates; raises `SettingsError` where it is too small to say anything."""
    if count < FEWEST_REPLICATES:
        raise SettingsError(f"replicates must be at least {FEWEST_REPLICATES} ({DEFAULT_REPLICATES} is usual), or 0 for none; not {count}")
    return count
