"""Bootstrap weights: Poisson(1), the same for a row whatever came with it, and sums that any split leaves equal."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.bootstrap import _POISSON_COUNTS, Replicates, RowNumbers, blocks, coin_flips, poisson_weights


def test_the_distribution_is_poisson() -> None:
    """Rounded to 1 / 65,536 so that mean and variance are exactly 1."""
    counts = np.array(_POISSON_COUNTS)
    values = np.arange(len(counts))
    assert counts.sum() == 2**16
    assert (values * counts).sum() == 2**16
    assert (np.square(values - 1) * counts).sum() == 2**16
    assert np.abs(counts / 2**16 - stats.poisson(1).pmf(values)).max() < 1e-4


def test_the_draws_follow_the_distribution() -> None:
    weights = poisson_weights(3, np.arange(4000), range(250))
    expected = np.append(stats.poisson(1).pmf(range(6)), stats.poisson(1).sf(5)) * weights.size
    observed = np.bincount(np.minimum(weights, 6).reshape(-1), minlength=7)
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3
    assert weights.mean() == pytest.approx(1, abs=0.005)
    assert weights.var() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("draw", [poisson_weights, coin_flips])
def test_rows_and_replicates_are_independent(draw) -> None:
    """The correlations of neighbouring rows, of neighbouring replicates, and of seeds are those of chance."""
    numbers = draw(0, np.arange(2000), range(300)).astype(float)
    other = draw(1, np.arange(2000), range(300)).astype(float)
    by_chance = 4 / np.sqrt(2000 * 300)
    for left, right in (
        (numbers[1:], numbers[:-1]),
        (numbers[:, 1:], numbers[:, :-1]),
        (numbers[:, 4:], numbers[:, :-4]),
        (numbers, other),
    ):
        assert abs(np.corrcoef(left.reshape(-1), right.reshape(-1))[0, 1]) < by_chance
    assert np.corrcoef(numbers.T)[~np.eye(300, dtype=bool)].std() == pytest.approx(1 / np.sqrt(2000), rel=0.05)


def test_coins_are_fair_and_not_the_weights() -> None:
    coins = coin_flips(0, np.arange(3000), range(200))
    assert set(np.unique(coins)) == {0, 1}
    assert abs(coins.mean() - 0.5) < 4 * 0.5 / np.sqrt(coins.size)
    weights = poisson_weights(0, np.arange(3000), range(40))
    related = np.corrcoef(coins.T, weights.T)[:200, 200:]  # each coin with each weight of the same rows
    assert np.abs(related).max() < 6 / np.sqrt(3000)


@settings(max_examples=40)
@given(
    seed=st.integers(-(2**40), 2**70),
    rows=st.lists(st.integers(0, 2**40), min_size=1, max_size=9),
    start=st.integers(0, 150),
    count=st.integers(1, 150),
)
def test_a_weight_depends_on_its_row_and_replicate_alone(seed: int, rows: list[int], start: int, count: int) -> None:
    for draw in (poisson_weights, coin_flips):
        together = draw(seed, np.array(rows), range(300))
        assert (draw(seed, np.array(rows), range(start, start + count)) == together[:, start : start + count]).all()
        for place, row in enumerate(rows):
            assert (draw(seed, np.array([row]), range(300)) == together[place]).all()


def test_sums_are_those_of_the_drawn_rows() -> None:
    """Every replicate is the sum of its rows, each taken as often as it was drawn."""
    statistics = np.random.default_rng(0).normal(size=(23, 3))
    replicates = Replicates(120, 3, seed=5)
    replicates.add(statistics)
    weights = poisson_weights(5, np.arange(23), range(120))
    expected = [np.repeat(statistics, weights[:, replicate], axis=0).sum(axis=0) for replicate in range(120)]
    assert replicates.sums == pytest.approx(np.array(expected))
    assert replicates.observed == pytest.approx(statistics.sum(axis=0))


@settings(max_examples=30)
@given(splits=st.lists(st.integers(0, 40), max_size=4), order=st.permutations(range(5)))
def test_any_split_and_any_order_of_merging_gives_the_same(splits: list[int], order: list[int]) -> None:
    statistics = np.random.default_rng(1).integers(0, 5, (40, 2)).astype(float)  # whole numbers: sums are exact
    whole = Replicates(100, 2)
    whole.add(statistics)
    parts, edges = [], [0, *sorted(splits), 40]
    for start, stop in pairwise(edges):
        part = Replicates(100, 2, first_row=start)
        part.add(statistics[start:stop])
        parts.append(part)
    merged = Replicates(100, 2)
    for place in order:
        if place < len(parts):
            merged.merge(parts[place])
    assert (merged.sums == whole.sums).all()
    assert (merged.observed == whole.observed).all()
    assert merged.rows.ranges == whole.rows.ranges == [(0, 40)]
    assert merged.rows.next == 40


def test_rows_that_were_counted_twice_are_named() -> None:
    first, second = Replicates(100, 1), Replicates(100, 1)
    first.add(np.ones((3, 1)))
    second.add(np.ones((2, 1)))
    before = first.sums.copy()
    with pytest.raises(DataError, match="row 0 was counted twice"):
        first.merge(second)
    assert (first.sums == before).all()


def test_rows_go_on_after_those_that_were_merged() -> None:
    rows, later = RowNumbers(), RowNumbers(10)
    assert later.take(2).tolist() == [10, 11]
    rows.merge(later)
    assert rows.take(3).tolist() == [12, 13, 14]
    assert rows.ranges == [(10, 15)]
    gap = RowNumbers()
    gap.take(4)
    gap.merge(rows)
    assert gap.ranges == [(0, 4), (10, 15)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least 100"):
        Replicates(99, 1)
    with pytest.raises(SettingsError, match="numbered from 0"):
        RowNumbers(-1)
    with pytest.raises(DataError, match="another seed"):
        Replicates(100, 1).merge(Replicates(100, 1, seed=1))
    with pytest.raises(DataError, match="other replicates"):
        Replicates(100, 1).merge(Replicates(101, 1))


def test_blocks_cover_all_rows() -> None:
    for rows, width in ((0, 5), (1, 10**9), (2500, 1000), (10, 0)):
        covered = [row for block in blocks(rows, width) for row in range(rows)[block]]
        assert covered == list(range(rows))
