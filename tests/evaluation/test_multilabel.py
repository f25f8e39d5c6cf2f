"""Multi-label metrics: equal to scikit-learn's, the same in any split, and defined where those are not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from bertworks.errors import DataError
from bertworks.evaluation import MultiLabelMetrics

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def random_set(seed: int, rows: int, labels: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((rows, labels)) < share, rng.integers(0, 11, (rows, labels)) / 10


def measured(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | float = 0.5) -> dict:
    metrics = MultiLabelMetrics(range(targets.shape[1]))
    metrics.update(targets, probabilities, thresholds)
    return metrics.compute()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    labels=st.integers(2, 6),
    share=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    one_threshold=st.booleans(),
)
def test_equals_scikit_learn(seed: int, rows: int, labels: int, share: float, one_threshold: bool) -> None:
    targets, probabilities = random_set(seed, rows, labels, share)
    thresholds = 0.5 if one_threshold else np.random.default_rng(seed).integers(0, 12, labels) / 10
    predicted = probabilities >= thresholds
    result = measured(targets, probabilities, thresholds)
    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, predicted, zero_division=0)
    assert result["rows"] == rows
    for average in ("macro", "micro"):
        expected = reference.f1_score(targets, predicted, average=average, zero_division=0)
        assert result[f"{average}_f1"] == pytest.approx(expected, abs=1e-12), average
    assert result["exact_match"] == pytest.approx(reference.accuracy_score(targets, predicted))
    for name, values in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        assert [row[name] for row in result["per_label"]] == pytest.approx(values.tolist(), abs=1e-12), name
    losses = [reference.log_loss(targets[:, i], probabilities[:, i], labels=[False, True]) for i in range(labels)]
    assert result["log_loss"] == pytest.approx(np.mean(losses), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 40), split=st.integers(0, 40))
def test_merged_parts_give_the_same(seed: int, rows: int, split: int) -> None:
    targets, probabilities = random_set(seed, rows, 5, 0.4)
    first, second = MultiLabelMetrics(range(5)), MultiLabelMetrics(range(5))
    first.update(targets[:split], probabilities[:split])
    second.update(targets[split:], probabilities[split:])
    first.merge(second)
    merged, whole = first.compute(), measured(targets, probabilities)
    assert merged.pop("log_loss") == pytest.approx(whole.pop("log_loss"), rel=1e-12)
    assert merged == whole


def test_perfect_and_empty_predictions_are_defined() -> None:
    targets = np.array([[True, False, False], [True, True, False]])
    perfect = measured(targets, targets.astype(np.float64))
    assert (perfect["micro_f1"], perfect["exact_match"]) == (1.0, 1.0)
    assert perfect["macro_f1"] == pytest.approx(2 / 3)  # the third label occurs nowhere and counts as 0
    nothing = measured(np.zeros((2, 3), dtype=bool), np.zeros((2, 3)))
    assert (nothing["micro_f1"], nothing["macro_f1"], nothing["exact_match"]) == (0.0, 0.0, 1.0)


def test_a_probability_equal_to_its_threshold_predicts() -> None:
    assert measured(np.array([[True]]), np.array([[0.5]]))["micro_f1"] == 1.0
    assert measured(np.array([[True]]), np.array([[0.5]]), np.array([0.51]))["micro_f1"] == 0.0


def test_the_result_is_json_and_names_its_headline() -> None:
    result = measured(*random_set(0, 9, 3, 0.5))
    assert json.loads(json.dumps(result)) == result
    assert MultiLabelMetrics.headline in result
    assert MultiLabelMetrics.higher_is_better


def test_wrong_input_is_refused() -> None:
    metrics = MultiLabelMetrics("ab")
    good, scores = np.array([[True, False]]), np.array([[0.5, 0.5]])
    with pytest.raises(DataError, match="booleans"):
        metrics.update(good.astype(np.int64), scores)
    with pytest.raises(DataError, match=r"shape \(1, 2\)"):
        metrics.update(good[0], scores)
    with pytest.raises(DataError, match="2 labels"):
        metrics.update(good, scores[:, :1])
    with pytest.raises(DataError, match="thresholds"):
        metrics.update(good, scores, np.array([0.5]))
    with pytest.raises(DataError, match="NaN"):
        metrics.update(good, scores * np.nan)
    with pytest.raises(DataError, match="different labels"):
        metrics.merge(MultiLabelMetrics("abc"))
    with pytest.raises(DataError, match="no rows"):
        metrics.compute()
