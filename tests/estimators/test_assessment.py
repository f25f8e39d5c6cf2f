"""What a classifier is worth: equal to scikit-learn's numbers, row by row, and calibrated without changing an answer."""

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

import bertworks as bw
from bertworks.data.table import read_table
from bertworks.errors import CheckpointError, DataError
from bertworks.estimators.assessment import calibrate, compare_with_baselines
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.row_results import RowResults, RowResultsWriter
from bertworks.estimators.verbs.compare import compare
from bertworks.estimators.verbs.evaluate import evaluate
from bertworks.evaluation.calibration import fit_temperature
from bertworks.tasks.text_classification import TextClassification

Fitted = Callable[..., TextClassifier]


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_answers_are_kept_row_by_row(
    fitted: Fitted, reviews: Callable[..., Any], targets: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    classifier = fitted(kind)
    texts, names = reviews(30, seed=9)
    labels = targets(kind, texts, names)
    found = classifier.assess(texts, labels, results=tmp_path / "rows.parquet", mistakes=5)
    _, outputs, _ = classifier.predict_with_accounting(texts)
    stored = RowResults(tmp_path / "rows.parquet")
    ((rows, truth, again),) = stored.chunks()
    assert rows == texts
    assert stored.kind == kind
    assert stored.rows == 30
    np.testing.assert_array_equal(truth, classifier.task_.truth(labels))
    np.testing.assert_array_equal(again, outputs[:, 0] if kind == "number" else outputs)
    plain = parquet.read_table(tmp_path / "rows.parquet").to_pydict()
    assert plain["text"] == texts
    predicted = classifier.predict(texts)
    if kind == "multi":
        assert [tuple(row) for row in plain["prediction"]] == list(predicted)
    else:
        assert plain["prediction"] == list(predicted)
    assert set(found.metrics["intervals"]) <= set(found.metrics)
    assert all(low <= found.metrics[name] <= high for name, (low, high) in found.metrics["intervals"].items())


def test_metrics_and_mistakes_are_those_of_the_answers(fitted: Fitted, reviews: Callable[..., Any]) -> None:
    classifier = fitted()
    texts, labels = reviews(60, seed=11)
    labels = ["good" if i % 7 == 0 else label for i, label in enumerate(labels)]  # so that some answers are wrong
    found = classifier.assess(texts, labels, mistakes=4)
    probabilities, predicted = classifier.predict_proba(texts), classifier.predict(texts).tolist()
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found.metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found.metrics["log_loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-6)
    wrong = [(max(p), i) for i, p in enumerate(probabilities.tolist()) if predicted[i] != labels[i]]
    worst = [i for _, i in sorted(wrong, key=lambda pair: (-pair[0], pair[1]))][:4]
    assert [mistake["row"] for mistake in found.mistakes] == worst
    for mistake in found.mistakes:
        row = mistake["row"]
        assert (mistake["text"], mistake["label"], mistake["prediction"]) == (texts[row], labels[row], predicted[row])


def test_the_file_of_a_failed_assessment_is_not_there(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = fitted()

    def fails(*_: Any) -> Any:
        raise InterruptedError

    monkeypatch.setattr(classifier, "_outputs", fails)
    with pytest.raises(InterruptedError):
        classifier.assess(["a"], [classifier.classes_[0]], results=tmp_path / "rows.parquet")
    assert not list(tmp_path.iterdir())


def test_results_that_cannot_be_written_are_told(fitted: Fitted, tmp_path: Path) -> None:
    task = fitted().task_
    with pytest.raises(CheckpointError, match=r"cannot save .*answers\.parquet: No such file"):
        RowResultsWriter(tmp_path / "nowhere" / "answers.parquet", task).__enter__()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=r"cannot save .*folder: Is a directory"), RowResultsWriter(tmp_path / "folder", task):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl.gz"])
def test_answers_are_written_as_the_suffix_says(fitted: Fitted, reviews: Callable[..., Any], tmp_path: Path, name: str) -> None:
    texts, labels = reviews(12, seed=9)
    fitted().assess(texts, labels, results=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    table = read_table(tmp_path / name).data.to_pydict()
    assert table["text"] == texts
    assert table["prediction"] == fitted().predict(texts).tolist()
    assert [float(value) for value in table["probability_good"]] == pytest.approx(fitted().predict_proba(texts)[:, 1].tolist())


def test_a_model_that_may_read_pairs_keeps_both_texts(fitted: Fitted, tmp_path: Path) -> None:
    """That `transformers` saved: it does not say which it reads."""
    classifier = copy(fitted())
    classifier.task_ = replace(classifier.task_, pairs=None)
    classifier.assess([("a", "b"), ("c", "d")], ["good", "bad"], results=tmp_path / "rows.parquet")
    assert parquet.read_table(tmp_path / "rows.parquet").select(["text", "pair"]).to_pydict() == {"text": ["a", "c"], "pair": ["b", "d"]}
    classifier.assess(["a", "c"], ["good", "bad"], results=tmp_path / "rows.parquet")
    assert "pair" not in parquet.read_table(tmp_path / "rows.parquet").column_names


def test_several_labels_that_are_numbers_are_evaluated(make: Fitted, tmp_path: Path) -> None:
    texts, labels = ["good food", "bad food", "good film", "bad film"] * 4, [[1, 30], [2, 30], [1], [2]] * 4
    folder = make(epochs=1).fit(texts, labels).save(tmp_path / "model")
    rows = [{"text": text, "labels": "|".join(map(str, label))} for text, label in zip(texts, labels, strict=True)]
    found = evaluate(folder, rows, precision="float32")
    assert found.metrics["micro_f1"] == pytest.approx(bw.load(folder, precision="float32").evaluate(texts, labels)["micro_f1"])
    assert compare(folder, folder, rows, precision="float32").comparison.metrics["micro_f1"].difference == 0
    with pytest.raises(DataError, match=r"row 1 \(the first is 0\): the label '3' is none of the 3 labels of the model"):
        evaluate(folder, [rows[0], {"text": "tea", "labels": "3|1"}])


def test_results_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no validation data"):
        RowResults(tmp_path / "predictions.parquet")
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(DataError, match="cannot be read"):
        RowResults(tmp_path / "predictions.parquet")


# ---- confidence


def test_calibration_mends_overconfidence_and_is_judged_on_other_rows() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([generator.choice(3, p=p) for p in honest])
    sure = honest**3 / (honest**3).sum(1, keepdims=True)
    found = calibrate(TextClassification("single", ("a", "b", "c")), truth, sure)
    assert found is not None
    assert found["temperature"] == pytest.approx(fit_temperature(truth, sure, "single")) == pytest.approx(3, rel=0.1)
    assert found["after"]["expected_calibration_error"] < 0.03 < 0.1 < found["before"]["expected_calibration_error"]
    assert found["after"]["log_loss"] == pytest.approx(log_loss(truth, honest), rel=0.01)
    assert calibrate(TextClassification("number"), truth, sure) is None


def test_few_rows_cannot_judge_their_own_temperature(fitted: Fitted) -> None:
    """39 rows are enough for a temperature; a half of them is not."""
    truth, sure = np.array([0] * 30 + [1] * 10), np.tile([0.99, 0.01], (40, 1))
    task = TextClassification("single", ("a", "b"))
    few, enough = calibrate(task, truth[1:], sure[1:]), calibrate(task, truth, sure)
    assert few is not None
    assert few["temperature"] > 2
    assert set(few) == {"temperature", "before"}
    assert enough is not None
    assert enough["after"]["log_loss"] < enough["before"]["log_loss"]


def test_a_calibrated_model_gives_the_same_answers(make: Fitted, reviews: Callable[..., Any], tmp_path: Path) -> None:
    texts, labels = reviews(96)
    held, held_labels = reviews(60, seed=5)
    held_labels = ["bad" if i % 5 == 0 else label for i, label in enumerate(held_labels)]
    plain = make(calibrate=False).fit(texts, labels, validation=(held, held_labels))
    scaled = make().fit(texts, labels, validation=(held, held_labels))
    temperature = scaled.about_["calibration"]["temperature"]
    assert abs(temperature - 1) > 0.05
    assert plain.predict(held).tolist() == scaled.predict(held).tolist()
    before, after = (np.log(model.predict_proba(held)) for model in (plain, scaled))
    np.testing.assert_allclose((before[:, 0] - before[:, 1]) / temperature, after[:, 0] - after[:, 1], rtol=1e-3, atol=1e-4)
    scaled.save(tmp_path / "model")  # the temperature is in the weights, so whoever loads them has it
    np.testing.assert_allclose(TextClassifier.load(tmp_path / "model", precision="float32").predict_proba(held), np.exp(after), rtol=1e-4)
    assert plain.about_["calibration"] is None


def test_baselines_stand_beside_the_model() -> None:
    texts = [f"{word} soup {i}" for i in range(30) for word in ("good", "bad")]
    labels = ["yes", "no"] * 30
    found = compare_with_baselines(TextClassification("single", ("no", "yes")), texts, labels, texts[:9], labels[:9])
    assert {name: round(metrics["accuracy"], 3) for name, metrics in found.items()} == {
        "majority class": 0.444,
        "TF-IDF + logistic regression": 1.0,
    }
    json.dumps(found)
