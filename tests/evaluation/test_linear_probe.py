"""The linear probe beside scikit-learn's own pipeline."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, classification_report
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertworks.errors import DataError
from bertworks.evaluation.baselines import linear_probe


def made(rows: int, seed: int) -> tuple[np.ndarray, list[str]]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, rows)
    features = draw.normal(size=(rows, 6)) * [1, 5, 0.1, 1, 1, 1] + np.eye(3, 6)[labels] * [1, 6, 0.2, 0, 0, 0]
    return np.concatenate([features, np.full((rows, 1), 3.0)], axis=1), [f"label {i}" for i in labels]  # one feature never changes


def test_it_is_that_of_scikit_learn() -> None:
    (features, labels), (others, answers) = made(300, 0), made(200, 1)
    found = linear_probe(features, labels, others, answers)
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)
    predicted = reference.predict(others)
    assert found["accuracy"] == pytest.approx(accuracy_score(answers, predicted))
    report = classification_report(answers, predicted, output_dict=True)
    assert found["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    for row in found["per_class"]:
        assert row["precision"] == pytest.approx(report[row["label"]]["precision"])
        assert row["support"] == report[row["label"]]["support"]
    assert found["log_loss"] == pytest.approx(
        -np.log([p[int(a[-1])] for p, a in zip(reference.predict_proba(others), answers, strict=True)]).mean(), rel=1e-3
    )


def test_labels_that_were_never_seen_are_an_error() -> None:
    features, labels = made(20, 0)
    with pytest.raises(DataError, match="'other' is none of"):
        linear_probe(features, labels, features, ["other"] * 20)
    with pytest.raises(DataError, match="20 rows of features but 19 labels"):
        linear_probe(features, labels[:19], features, labels)
