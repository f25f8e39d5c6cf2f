"""Predictions, probabilities and metrics agree with each other and with scikit-learn's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as theirs

from bertworks import TextClassifier
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.verbs.predict import answers

Make = Callable[..., TextClassifier]


@pytest.fixture(scope="module")
def test_part(reviews: Callable[..., Any]) -> Any:
    return reviews(70, seed=2, longest=20)


def test_it_has_learnt(fitted: Make, test_part: Any) -> None:
    assert fitted().score(*test_part) > 0.8


def test_single_labels(fitted: Make, test_part: Any) -> None:
    texts, labels = test_part
    classifier = fitted()
    predicted, probabilities = classifier.predict(texts), classifier.predict_proba(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert predicted.tolist() == classifier.classes_[probabilities.argmax(axis=1)].tolist()
    result = classifier.evaluate(texts, labels)
    assert classifier.score(texts, labels) == result["accuracy"] == pytest.approx(theirs.accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(theirs.f1_score(labels, predicted, average="macro"))
    assert result["log_loss"] == pytest.approx(theirs.log_loss(labels, probabilities))
    assert result["matthews_correlation"] == pytest.approx(theirs.matthews_corrcoef(labels, predicted))
    assert result["confusion"] == theirs.confusion_matrix(labels, predicted).tolist()
    assert result["rows"] == result["accounting"]["rows"] == 70


def test_several_labels(fitted: Make, targets: Callable[..., Any], test_part: Any) -> None:
    texts, labels = test_part
    wanted = targets("multi", texts, labels)
    classifier = fitted("multi")
    assert classifier.classes_.tolist() == ["bad", "good", "long"]
    predicted, probabilities = classifier.predict(texts), classifier.predict_proba(texts)
    assert classifier.task_.thresholds is not None, "they were tuned on the validation data"
    on = probabilities >= np.array(classifier.task_.thresholds)
    assert predicted == [tuple(classifier.classes_[row].tolist()) for row in on]
    truth = np.array([[label in row for label in classifier.classes_] for row in wanted])
    result = classifier.evaluate(texts, wanted)
    assert classifier.score(texts, wanted) == result["micro_f1"] == pytest.approx(theirs.f1_score(truth, on, average="micro"))
    assert result["macro_f1"] == pytest.approx(theirs.f1_score(truth, on, average="macro"))


def test_numbers(fitted: Make, targets: Callable[..., Any], test_part: Any) -> None:
    texts, labels = test_part
    wanted = np.array(targets("number", texts, labels))
    classifier = fitted("number")
    predicted = classifier.predict(texts)
    assert predicted.dtype == np.float64
    assert abs(predicted.mean() - wanted.mean()) < 8, "numbers come in the user's unit"
    result = classifier.evaluate(texts, wanted)
    assert classifier.score(texts, wanted) == result["spearman"] == pytest.approx(spearmanr(wanted, predicted).statistic)
    assert result["mean_squared_error"] == pytest.approx(theirs.mean_squared_error(wanted, predicted), rel=1e-5)
    with pytest.raises(SettingsError, match="predicts a number: there are no probabilities; call predict"):
        classifier.predict_proba(texts)


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_the_best_evaluation_is_what_the_model_gives(
    fitted: Make, reviews: Callable[..., Any], targets: Callable[..., Any], kind: str
) -> None:
    texts, labels = reviews(40, seed=1)
    classifier = fitted(kind)
    name = classifier.task_.metrics().headline
    result = classifier.evaluate(texts, targets(kind, texts, labels))
    best = classifier.result_.best_metrics
    assert best is not None
    if kind != "multi":  # thresholds were tuned since
        assert result[name] == pytest.approx(best[name], abs=1e-6)
    if kind != "number":  # the temperature was fitted since
        assert classifier.about_["calibration"]["before"]["log_loss"] == pytest.approx(best["log_loss"], abs=1e-6)
    assert [e["step"] for e in classifier.history_] == [6, 12, 18, 24, 30, 36]


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_a_text_alone_gets_the_answer_it_gets_among_others(fitted: Make, test_part: Any, kind: str) -> None:
    texts = [*test_part[0][:12], "good " * 90]
    classifier = fitted(kind)
    together = classifier.predict_with_accounting(texts)[1]
    scale = max(1.0, float(np.abs(together).max()))
    for i, text in enumerate(texts):
        alone = classifier.predict_with_accounting([text])[1]
        np.testing.assert_allclose(alone[0] / scale, together[i] / scale, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = classifier.predict_with_accounting([texts[i] for i in order])[1]
    np.testing.assert_allclose(shuffled / scale, together[order] / scale, atol=1e-5)


def test_dropout_is_off_in_prediction(fitted: Make, test_part: Any) -> None:
    classifier = fitted()
    one, other = (classifier.predict_proba(test_part[0]) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_metrics_do_not_depend_on_the_chunks(
    fitted: Make, targets: Callable[..., Any], test_part: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    texts, labels = [*test_part[0], "good " * 90], [*test_part[1], "good"]
    whole = fitted(kind).evaluate(texts, targets(kind, texts, labels))
    seen: list[int] = []
    monkeypatch.setattr("bertworks.estimators.assessment.ROWS_AT_ONCE", 16)
    monkeypatch.setattr("bertworks.inference.engine.SEQUENCES_AT_ONCE", 5)
    parted = fitted(kind).evaluate(texts, targets(kind, texts, labels), progress=seen.append)
    assert sum(seen) == 71
    assert parted["accounting"] == whole["accounting"]
    for name, value in whole.items():
        if isinstance(value, float):
            assert parted[name] == pytest.approx(value, abs=1e-5), name


def test_no_texts_are_no_answers(fitted: Make) -> None:
    assert fitted().predict([]).tolist() == []
    assert fitted().predict_proba([]).shape == (0, 2)
    assert fitted("multi").predict([]) == []
    assert fitted("number").predict([]).tolist() == []


@pytest.mark.parametrize(
    ("overflow", "sequences", "windowed", "truncated", "lost"),
    [("window", 5, 1, 0, 0), ("truncate", 2, 0, 1, 26), ("head_tail", 2, 0, 1, 26)],
)
def test_long_texts_are_accounted_for(
    make: Make, reviews: Callable[..., Any], overflow: str, sequences: int, windowed: int, truncated: int, lost: int
) -> None:
    classifier = make(epochs=0.1, max_tokens=16, overflow=overflow).fit(*reviews(20))
    _, probabilities, accounting = classifier.predict_with_accounting(["the " * 39 + "cat", "the cat"])
    assert probabilities.shape == (2, 2)
    figures = (accounting.sequences, accounting.windowed_rows, accounting.truncated_rows, accounting.truncated_tokens)
    assert figures == (sequences, windowed, truncated, lost)
    assert accounting.tokens == 16 * (sequences - 1) + 4


def test_a_long_text_may_be_refused(make: Make, reviews: Callable[..., Any]) -> None:
    classifier = make(epochs=0.1, max_tokens=16, overflow="error")
    with pytest.raises(DataError, match="row 1 has 42 tokens, more than max_tokens=16"):
        classifier.fit(["good tea", "the " * 40, "bad tea"], ["a", "b", "a"])
    with pytest.raises(DataError, match="row 0 has 42 tokens"):
        classifier.fit(*reviews(20)).predict(["the " * 40])


def test_rows_that_are_answered_in_parts_keep_their_numbers(
    make: Make, reviews: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make(epochs=0.1, max_tokens=16, overflow="error").fit(*reviews(20))
    texts, labels = reviews(30, seed=3)
    _, whole, counted = classifier.predict_with_accounting(texts)
    monkeypatch.setattr("bertworks.estimators.assessment.ROWS_AT_ONCE", 7)
    _, in_parts, counted_in_parts = classifier.predict_with_accounting(texts)
    np.testing.assert_allclose(in_parts, whole, atol=1e-6)
    assert counted_in_parts == counted
    texts[23] = "the " * 40
    with pytest.raises(DataError, match="row 23 has 42 tokens"):
        classifier.predict_proba(texts)
    with pytest.raises(DataError, match="row 23 has 42 tokens"):
        classifier.evaluate(texts, labels)
    monkeypatch.setattr("bertworks.estimators.verbs.predict._CHUNK", 5)
    with pytest.raises(DataError, match="row 23 has 42 tokens"):
        list(answers(classifier, texts))
