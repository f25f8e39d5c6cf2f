"""Tuned thresholds: as good as the best of all, by brute force."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from bertworks.errors import DataError
from bertworks.evaluation import MultiLabelMetrics, best_thresholds

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def brute_force(truth: np.ndarray, scores: np.ndarray) -> float:
    """Every midpoint is tried; F1 as exact fractions decides, then the distance to 0.5, then the lower one."""
    if not truth.any():
        return 0.5
    steps = np.unique(np.append(scores, 0.0))
    candidates = {(low + high) / 2 for low, high in pairwise(steps)} | ({0.0} if scores.min() == 0 else set())

    def order(threshold: float) -> tuple[float, float, float]:
        predicted = scores >= threshold
        f1 = 2 * int((truth & predicted).sum()) / int(truth.sum() + predicted.sum())
        return -f1, abs(threshold - 0.5), threshold

    return min(candidates, key=order)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    rows=st.integers(1, 25),
    labels=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    levels=st.sampled_from([1, 2, 4, 8, 1024]),
)
def test_equals_brute_force(seed: int, rows: int, labels: int, share: float, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((rows, labels)) < share, rng.integers(0, levels + 1, (rows, labels)) / levels
    expected = [brute_force(truth[:, label], scores[:, label]) for label in range(labels)]
    assert best_thresholds(truth, scores).tolist() == expected


def test_no_grid_does_better() -> None:
    rng = np.random.default_rng(8)
    truth = rng.random((60, 3)) < [0.1, 0.4, 0.9]
    scores = np.clip(truth * 0.2 + rng.random((60, 3)) * 0.8, 0, 1).astype(np.float32)
    thresholds = best_thresholds(truth, scores)
    for label in range(3):
        ours = f1_score(truth[:, label], scores[:, label] >= thresholds[label])
        grid = [f1_score(truth[:, label], scores[:, label] >= limit, zero_division=0) for limit in np.linspace(0, 1, 301)]
        assert ours >= max(grid) - 1e-12


def test_it_raises_the_macro_f1_of_the_metrics() -> None:
    truth, scores = np.array([[True], [True], [False]]), np.array([[0.3], [0.2], [0.1]])
    metrics = MultiLabelMetrics(["rare"])
    metrics.update(truth, scores, best_thresholds(truth, scores))
    assert metrics.compute()["macro_f1"] == 1.0


def test_neighbours_without_a_midpoint_are_still_told_apart() -> None:
    low = 0.7
    high = np.nextafter(low, 1)
    truth, scores = np.array([[False], [True]]), np.array([[low], [high]])
    assert ((scores >= best_thresholds(truth, scores)) == truth).all()


@pytest.mark.parametrize("score", [0.0, 0.01, 1.0])
def test_a_constant_score_predicts_all(score: float) -> None:
    assert best_thresholds(np.array([[True], [False]]), np.full((2, 1), score)).tolist() == [score / 2]


def test_equally_good_thresholds() -> None:
    """0.15 and 0.8 both give F1 = 2/3; 0.8 lies closer to 0.5. A label without positives keeps 0.5."""
    truth = np.array([[True, False], [False, False], [False, False], [True, False]])
    scores = np.array([[0.9, 0.1], [0.7, 0.2], [0.5, 0.3], [0.3, 0.4]])
    assert best_thresholds(truth, scores).tolist() == pytest.approx([0.8, 0.5])
    assert best_thresholds(truth[::-1], 1 - scores)[1] == 0.5


def test_no_rows_keep_the_default() -> None:
    assert best_thresholds(np.zeros((0, 2), dtype=bool), np.zeros((0, 2))).tolist() == [0.5, 0.5]


def test_wrong_input_is_refused() -> None:
    with pytest.raises(DataError, match="one shape"):
        best_thresholds(np.array([[True]]), np.array([[0.1, 0.2]]))
    with pytest.raises(DataError, match="boolean"):
        best_thresholds(np.array([[1]]), np.array([[0.1]]))
    with pytest.raises(DataError, match="sigmoid"):
        best_thresholds(np.array([[True]]), np.array([[2.5]]))
