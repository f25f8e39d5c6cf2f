"""Regression metrics: equal to scipy's and scikit-learn's, the same in any split, and defined where those are not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from bertworks.errors import DataError
from bertworks.evaluation import RegressionMetrics
from bertworks.evaluation.ranks import average_ranks, spearman

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def random_set(seed: int, rows: int, *, ties: bool, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 6, rows).astype(np.float32) if ties else rng.normal(size=rows).astype(np.float32)
    return targets + np.float32(shift), (targets + rng.normal(size=rows).astype(np.float32)).round(1 if ties else 6)


def measured(targets: np.ndarray, predictions: np.ndarray, splits: tuple[int, ...] = ()) -> dict:
    metrics = RegressionMetrics()
    for rows in np.split(np.arange(len(targets)), sorted(splits)):
        metrics.update(targets[rows], predictions[rows])
    return metrics.compute()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(8, 80), ties=st.booleans(), shift=st.sampled_from([0.0, 1000.0]))
def test_equals_scipy_and_scikit_learn(seed: int, rows: int, ties: bool, shift: float) -> None:
    targets, predictions = random_set(seed, rows, ties=ties, shift=shift)
    result = measured(targets, predictions)
    wide, answers = targets.astype(np.float64), predictions.astype(np.float64)
    assert result["rows"] == rows
    assert result["pearson"] == pytest.approx(stats.pearsonr(wide, answers).statistic, abs=1e-9)
    assert result["spearman"] == pytest.approx(stats.spearmanr(targets, predictions).statistic, abs=1e-12)
    assert result["mean_squared_error"] == pytest.approx(reference.mean_squared_error(wide, answers), rel=1e-12)
    assert result["mean_absolute_error"] == pytest.approx(reference.mean_absolute_error(wide, answers), rel=1e-12)
    assert result["r2"] == pytest.approx(reference.r2_score(wide, answers), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 50), splits=st.lists(st.integers(0, 50), max_size=4), ties=st.booleans())
def test_any_split_gives_the_same(seed: int, rows: int, splits: list[int], ties: bool) -> None:
    targets, predictions = random_set(seed, rows, ties=ties)
    parts = measured(targets, predictions, tuple(min(s, rows) for s in splits))
    assert parts == pytest.approx(measured(targets, predictions), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("split", [0, 1, 17, 41])
def test_merged_workers_give_the_same(split: int) -> None:
    targets, predictions = random_set(2, 41, ties=False)
    first, second = RegressionMetrics(), RegressionMetrics()
    if split:
        first.update(targets[:split], predictions[:split])
    second.update(targets[split:], predictions[split:])
    first.merge(second)
    assert first.compute() == pytest.approx(measured(targets, predictions), rel=1e-12)


def test_moments_keep_their_digits_far_from_zero() -> None:
    """A sum of squares would lose every digit of the spread here."""
    targets, predictions = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 0.0, 3.0, 4.0])
    far = measured(targets + 2.0**24, predictions + 2.0**24, splits=(1, 3))
    near = measured(targets, predictions)
    for name in ("pearson", "mean_squared_error", "r2"):
        assert far[name] == pytest.approx(near[name], rel=1e-6), name


def test_perfect_predictions() -> None:
    values = np.array([0.1, 3.7, 2.2, 2.2])
    assert measured(values, values) == {
        "rows": 4,
        "pearson": 1.0,
        "spearman": 1.0,
        "mean_squared_error": 0.0,
        "mean_absolute_error": 0.0,
        "r2": 1.0,
    }
    opposite = measured(values, -values)
    assert (opposite["pearson"], opposite["spearman"]) == (-1.0, -1.0)


@pytest.mark.parametrize("splits", [(), (1,), (2, 5)])
def test_constants_are_exactly_constant(splits: tuple[int, ...]) -> None:
    """0.1 has no exact binary form; its mean over several rows must still be itself."""
    constant, varied = np.full(7, 0.1), np.arange(7.0)
    predictions_agree = measured(varied, constant, splits)
    assert (predictions_agree["pearson"], predictions_agree["spearman"]) == (0.0, 0.0)
    assert measured(constant, varied, splits)["r2"] == 0.0
    assert measured(constant, constant, splits)["r2"] == 1.0


def test_one_row_is_defined() -> None:
    result = measured(np.array([2.0]), np.array([3.0]))
    assert (result["pearson"], result["spearman"], result["r2"]) == (0.0, 0.0, 0.0)
    assert (result["mean_squared_error"], result["mean_absolute_error"]) == (1.0, 1.0)


def test_ranks_of_ties() -> None:
    values = np.array([3, 1, 3, 3, 2])
    assert average_ranks(values).tolist() == stats.rankdata(values).tolist()
    assert spearman(np.array([5.0, 5.0]), np.array([1.0, 2.0])) == 0.0


def test_ranks_keep_their_digits_far_from_zero() -> None:
    """Years in seconds, say: float32 cannot tell two of them."""
    random = np.random.default_rng(0)
    targets = 1.7e9 + np.arange(200.0)
    predictions = targets + random.normal(size=200) * 20
    for replicates in (0, 200):
        metrics = RegressionMetrics(replicates=replicates)
        metrics.update(targets, predictions)
        result = metrics.compute()
        assert result["spearman"] == pytest.approx(stats.spearmanr(targets, predictions).statistic, abs=1e-12)
    low, high = result["intervals"]["spearman"]
    assert 0.8 < low < result["spearman"] < high < 1


def test_pairs_take_sixteen_bytes_a_row() -> None:
    metrics = RegressionMetrics()
    for seed in range(3):
        metrics.update(*random_set(seed, 50, ties=False))
    assert sum(pair.nbytes for pair in metrics.pairs) == 16 * metrics.rows == 2400


def test_the_result_is_json_and_names_its_headline() -> None:
    result = measured(*random_set(0, 9, ties=True))
    assert json.loads(json.dumps(result)) == result
    assert RegressionMetrics.headline in result
    assert RegressionMetrics.higher_is_better


def test_wrong_input_is_refused() -> None:
    metrics = RegressionMetrics()
    with pytest.raises(DataError, match="equally many"):
        metrics.update(np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match="rows of numbers"):
        metrics.update(np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(DataError, match="finite"):
        metrics.update(np.zeros(2), np.array([0.0, np.nan]))
    metrics.update(np.zeros(0), np.zeros(0))
    with pytest.raises(DataError, match="no rows"):
        metrics.compute()
