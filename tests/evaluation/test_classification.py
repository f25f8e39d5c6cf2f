"""Single-label metrics: equal to scikit-learn's, the same in any split, and defined where those are not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from bertworks.errors import DataError
from bertworks.evaluation import ClassificationMetrics
from bertworks.evaluation.classification import CALIBRATION_BINS, matthews_correlation

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def random_set(seed: int, rows: int, labels: int, *, used: int | None = None, coarse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Targets among the first `used` labels, and probabilities; coarse ones have ties and zeros."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (rows, labels)) + 1e-300 if coarse else rng.gamma(0.5, size=(rows, labels)) + 1e-9
    return rng.integers(0, used or labels, rows), scores / scores.sum(axis=1, keepdims=True)


def measured(targets: np.ndarray, probabilities: np.ndarray, splits: tuple[int, ...] = ()) -> dict:
    metrics = ClassificationMetrics([f"label {i}" for i in range(probabilities.shape[1])])
    for rows in np.split(np.arange(len(targets)), sorted(splits)):
        metrics.update(targets[rows], probabilities[rows])
    return metrics.compute()


def guo_calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Guo et al. 2017, equations 1 to 3, bin by bin."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    total = 0.0
    for number in range(CALIBRATION_BINS):
        low, high = number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore:A single label was found")
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 70),
    labels=st.integers(2, 7),
    used=st.integers(1, 7),
    coarse=st.booleans(),
)
def test_equals_scikit_learn(seed: int, rows: int, labels: int, used: int, coarse: bool) -> None:
    targets, probabilities = random_set(seed, rows, labels, used=min(used, labels), coarse=coarse)
    predicted = probabilities.argmax(axis=1)
    every = np.arange(labels)
    result = measured(targets, probabilities)
    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, predicted, labels=every, zero_division=0)

    assert result["rows"] == rows
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(targets, predicted), abs=1e-12)
    for average in ("macro", "micro", "weighted"):
        expected = reference.f1_score(targets, predicted, average=average, zero_division=0)
        assert result[f"{average}_f1"] == pytest.approx(expected, abs=1e-12), average
    assert result["matthews_correlation"] == pytest.approx(reference.matthews_corrcoef(targets, predicted), abs=1e-12)
    assert result["log_loss"] == pytest.approx(reference.log_loss(targets, probabilities, labels=every), rel=1e-12)
    assert result["expected_calibration_error"] == pytest.approx(guo_calibration_error(targets, probabilities), abs=1e-12)
    assert result["confusion"] == reference.confusion_matrix(targets, predicted, labels=every).tolist()
    for name, values in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        assert [row[name] for row in result["per_class"]] == pytest.approx(values.tolist(), abs=1e-12), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 50), splits=st.lists(st.integers(0, 50), max_size=4))
def test_any_split_gives_the_same(seed: int, rows: int, splits: list[int]) -> None:
    targets, probabilities = random_set(seed, rows, 5)
    whole, parts = measured(targets, probabilities), measured(targets, probabilities, tuple(min(s, rows) for s in splits))
    for name in ("log_loss", "expected_calibration_error"):
        assert parts.pop(name) == pytest.approx(whole.pop(name), abs=1e-12)
    for ours, theirs in zip(parts.pop("reliability"), whole.pop("reliability"), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)
    assert parts == whole


def test_merged_workers_give_the_same() -> None:
    targets, probabilities = random_set(3, 41, 4)
    whole, first, second = (ClassificationMetrics("abcd") for _ in range(3))
    whole.update(targets, probabilities)
    first.update(targets[:17], probabilities[:17])
    second.update(targets[17:], probabilities[17:])
    first.merge(second)
    ours, theirs = first.compute(), whole.compute()
    assert ours["confusion"] == theirs["confusion"]
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-12)
    assert ours["expected_calibration_error"] == pytest.approx(theirs["expected_calibration_error"], abs=1e-12)


def test_narrow_dtypes_count_right() -> None:
    """Small integer targets do not overflow, and single precision is clipped by its own rounding step."""
    labels, rows = 40, 200
    targets, probabilities = random_set(5, rows, labels)
    narrow = ClassificationMetrics(range(labels))
    narrow.update(targets.astype(np.int8), probabilities.astype(np.float32))
    result = narrow.compute()
    assert result["confusion"] == measured(targets, probabilities)["confusion"]
    expected = reference.log_loss(targets, probabilities.astype(np.float32), labels=np.arange(labels))
    assert result["log_loss"] == pytest.approx(expected, rel=1e-5)


def test_perfect_predictions() -> None:
    targets = np.array([0, 2, 1, 2])
    result = measured(targets, np.eye(3)[targets])
    for name in ("accuracy", "macro_f1", "micro_f1", "weighted_f1", "matthews_correlation"):
        assert result[name] == 1.0, name
    assert result["log_loss"] == pytest.approx(0, abs=1e-12)
    assert result["expected_calibration_error"] == 0.0


def test_constant_predictions_and_one_row_are_defined() -> None:
    constant = measured(np.array([0, 1, 2]), np.tile([0.8, 0.1, 0.1], (3, 1)))
    assert constant["matthews_correlation"] == 0.0
    assert constant["per_class"][1] == {"label": "label 1", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    single = measured(np.array([1]), np.array([[0.0, 1.0, 0.0]]))
    assert (single["accuracy"], single["macro_f1"], single["matthews_correlation"]) == (1.0, 1.0, 0.0)
    certain_and_wrong = measured(np.array([0]), np.array([[0.0, 1.0, 0.0]]))
    assert certain_and_wrong["log_loss"] == pytest.approx(-np.log(np.finfo(np.float64).eps))
    assert certain_and_wrong["expected_calibration_error"] == 1.0


def test_a_tie_predicts_the_first_label() -> None:
    assert measured(np.array([0, 1]), np.full((2, 2), 0.5))["confusion"] == [[1, 0], [1, 0]]


def test_reliability_bins_are_closed_above() -> None:
    bins = measured(np.array([0, 0, 1]), np.array([[0.6, 0.4], [1.0, 0.0], [0.61, 0.39]]))["reliability"]
    assert len(bins) == CALIBRATION_BINS
    assert [row["rows"] for row in bins] == [0] * 8 + [1, 1] + [0] * 4 + [1]
    assert bins[8] == pytest.approx({"above": 8 / 15, "up_to": 0.6, "rows": 1, "confidence": 0.6, "accuracy": 1.0})
    assert bins[9]["accuracy"] == 0.0
    assert bins[0] == pytest.approx({"above": 0.0, "up_to": 1 / 15, "rows": 0, "confidence": 0.0, "accuracy": 0.0})


def test_matthews_does_not_overflow() -> None:
    assert matthews_correlation(np.array([[3_000_000_000, 0], [0, 4_000_000_000]])) == 1.0
    assert matthews_correlation(np.array([[0, 3_000_000_000], [4_000_000_000, 0]])) == -1.0


def test_the_result_is_json_and_names_its_headline() -> None:
    result = measured(*random_set(0, 9, 3))
    assert json.loads(json.dumps(result)) == result
    assert ClassificationMetrics.headline in result
    assert ClassificationMetrics.higher_is_better


def test_memory_does_not_grow() -> None:
    metrics = ClassificationMetrics("abc")

    def held() -> int:
        return sum(value.nbytes for value in vars(metrics).values() if isinstance(value, np.ndarray))

    before = held()
    for seed in range(20):
        metrics.update(*random_set(seed, 50, 3))
    assert metrics.rows == 1000
    assert held() == before
    assert not any(isinstance(value, list) for value in vars(metrics).values())


def test_an_empty_batch_changes_nothing() -> None:
    metrics = ClassificationMetrics("ab")
    metrics.update(np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
    assert metrics.rows == 0
    with pytest.raises(DataError, match="no rows"):
        metrics.compute()


@pytest.mark.parametrize(
    ("targets", "probabilities", "message"),
    [
        ([0, 1], [[1.0, 0.0, 0.0]], "2 labels"),
        ([0, 1], [[1.0, 0.0]], "1 rows"),
        ([2], [[1.0, 0.0]], "from 0 to 1"),
        ([-1], [[1.0, 0.0]], "from 0 to 1"),
        ([0.0], [[1.0, 0.0]], "whole numbers"),
        ([0], [[3.0, -1.0]], "softmax"),
        ([0], [[np.nan, 1.0]], "NaN"),
        ([0], [[0.9, 0.9]], "sum to 1"),
    ],
)
def test_wrong_input_is_refused(targets: list, probabilities: list, message: str) -> None:
    metrics = ClassificationMetrics("ab")
    with pytest.raises(DataError, match=message):
        metrics.update(np.array(targets), np.array(probabilities))
    assert metrics.rows == 0


def test_labels_are_checked() -> None:
    with pytest.raises(DataError, match="distinct"):
        ClassificationMetrics(["yes", "yes"])
    with pytest.raises(DataError, match="at least one"):
        ClassificationMetrics([])
    with pytest.raises(DataError, match="different labels"):
        ClassificationMetrics("ab").merge(ClassificationMetrics("ba"))
