"""The logistic curve: a general minimizer finds the same one, and its probabilities mean what they say."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bertworks.evaluation.logistic import LogisticCurve, fit_logistic


@pytest.mark.parametrize("seed", range(4))
def test_a_general_minimizer_finds_the_same_curve(seed: int) -> None:
    draw = np.random.Generator(np.random.PCG64(seed))
    scores = draw.standard_normal(80) * 4 + 3
    truth = draw.random(80) < 1 / (1 + np.exp(-(0.7 * scores - 1)))
    positives, negatives = truth.sum(), (~truth).sum()
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))  # Platt 1999

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] * scores + weights[1]
        return float((np.logaddexp(0, logits) - targets * logits).sum())

    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9})
    curve = fit_logistic(scores, truth)
    assert loss(np.array(curve)) <= best.fun + 1e-8
    assert tuple(curve) == pytest.approx(best.x, rel=1e-3, abs=1e-4)


def test_scores_of_any_size_are_fitted_alike() -> None:
    draw = np.random.Generator(np.random.PCG64(9))
    scores, truth = draw.standard_normal(60), draw.random(60) < 0.4
    plain, large = fit_logistic(scores, truth), fit_logistic(scores * 1e4 + 3e4, truth)
    assert plain(scores) == pytest.approx(large(scores * 1e4 + 3e4), abs=1e-6)


def test_perfectly_separated_scores_give_no_certainty() -> None:
    scores = np.linspace(-5, 5, 40)
    curve = fit_logistic(scores, scores > 0)
    probabilities = curve(scores)
    assert (np.diff(probabilities) > 0).all()
    assert 0 < probabilities[0] < 0.1
    assert 0.9 < probabilities[-1] < 1


@pytest.mark.parametrize("truth", [np.ones(5, dtype=bool), np.zeros(5, dtype=bool)])
def test_one_kind_of_rows_fits_nothing(truth: np.ndarray) -> None:
    assert fit_logistic(np.arange(5.0), truth) == LogisticCurve()
    assert fit_logistic(np.zeros(4), np.array([True, False, True, False])) == LogisticCurve()


def test_a_higher_score_never_means_less() -> None:
    curve = fit_logistic(np.arange(20.0), np.arange(20) < 10)
    assert curve.slope == 0
    assert curve(np.array([0.0, 9.0])) == pytest.approx([0.5, 0.5])
