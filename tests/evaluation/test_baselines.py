"""Baselines: the numbers of scikit-learn's own pipeline, what must be learnable, and what must not break them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import baselines
from bertworks.evaluation.baselines import _WORD, _affordable, _Features

GOOD, BAD, PLAIN = ["good", "lovely", "warm"], ["bad", "cold", "rude"], ["the", "room", "was", "very", "soup", "and", "a", "street"]


def reviews(rows: int, seed: int) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        good = bool(random.integers(2))
        words = [*random.choice(PLAIN, 6), *random.choice(GOOD if good else BAD, 2), *random.choice(GOOD + BAD, 2)]
        texts.append(" ".join(random.permutation(words)))
        labels.append("good" if good else "bad")
    return texts, labels


def run(kind: str, labels: Any, train: Any, test: Any, **options: Any) -> dict[str, dict[str, Any]]:
    return baselines(kind, labels, *train, *test, **{"replicates": 0, **options})


def test_single_labels_equal_a_pipeline() -> None:
    train, test = reviews(300, 0), reviews(120, 1)
    found = run("single", ["bad", "good"], train, test)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    model = LogisticRegression(C=10, max_iter=200).fit(vectorizer.fit_transform(train[0]), train[1])
    probabilities = model.predict_proba(vectorizer.transform(test[0]))
    linear = found["tfidf_logistic_regression"]
    assert linear["accuracy"] == pytest.approx(accuracy_score(test[1], model.classes_[probabilities.argmax(axis=1)]), abs=0.01)
    assert linear["log_loss"] == pytest.approx(log_loss(test[1], probabilities), rel=1e-2)
    assert linear["accuracy"] > 0.75
    prior = DummyClassifier(strategy="prior").fit(train[0], train[1])
    assert found["majority_class"]["log_loss"] == pytest.approx(log_loss(test[1], prior.predict_proba(test[0])))
    assert found["majority_class"]["accuracy"] == pytest.approx(prior.score(test[0], test[1]))
    assert "note" not in linear


def test_the_result_is_that_of_the_metrics_and_the_same_again() -> None:
    train, test = reviews(200, 2), reviews(90, 3)
    found = run("single", ["bad", "good"], train, test, replicates=100)
    assert json.loads(json.dumps(found)) == found
    assert found == run("single", ["bad", "good"], train, test, replicates=100)
    for metrics in found.values():
        assert metrics["rows"] == 90
        assert metrics["intervals"]["accuracy"][0] < metrics["accuracy"] < metrics["intervals"]["accuracy"][1]


def test_numbers() -> None:
    train, test = reviews(300, 4)[0], reviews(120, 5)[0]
    count = [[float(sum(word in GOOD for word in text.split())) for text in texts] for texts in (train, test)]
    found = run("number", (), (train, count[0]), (test, count[1]))
    assert found["mean"]["mean_squared_error"] == pytest.approx(np.square(np.array(count[1]) - np.mean(count[0])).mean())
    assert (found["mean"]["pearson"], found["mean"]["spearman"]) == (0.0, 0.0)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    model = Ridge(alpha=3).fit(vectorizer.fit_transform(train), count[0])
    expected = np.corrcoef(model.predict(vectorizer.transform(test)), count[1])[0, 1]
    assert found["tfidf_ridge"]["pearson"] == pytest.approx(expected, abs=0.01)
    assert expected > 0.7


def test_several_labels() -> None:
    def several(rows: int, seed: int) -> tuple[list[str], list[list[str]]]:
        texts, labels = reviews(rows, seed)
        return texts, [[label, "street"] if "street" in text.split() else [label] for text, label in zip(texts, labels, strict=True)]

    names = ["bad", "good", "never", "street"]
    found = run("multi", names, several(1200, 6), several(200, 7))
    per_label = {row["label"]: row["f1"] for row in found["tfidf_logistic_regression"]["per_label"]}
    assert per_label["street"] > 0.97
    assert per_label["good"] > 0.75
    assert per_label["never"] == 0.0
    assert found["majority_class"]["micro_f1"] < found["tfidf_logistic_regression"]["micro_f1"]


def test_thresholds_of_several_labels_are_tuned() -> None:
    """A label that three in ten of the texts with a word have is never more likely than not, but worth guessing."""
    random = np.random.default_rng(11)
    parts = []
    for rows in (1500, 500):
        texts = reviews(rows, rows)[0]
        parts.append((texts, [["rare"] if "soup" in text.split() and random.random() < 0.3 else [] for text in texts]))
    truth = np.array([bool(row) for row in parts[1][1]])
    guessing = np.array(["soup" in text.split() for text in parts[1][0]])
    best = 2 * (truth & guessing).sum() / (truth.sum() + guessing.sum())
    assert run("multi", ["rare"], *parts)["tfidf_logistic_regression"]["macro_f1"] == pytest.approx(best, abs=0.05)
    few = (parts[0][0][:900], parts[0][1][:900])
    assert run("multi", ["rare"], few, parts[1])["tfidf_logistic_regression"]["macro_f1"] < 0.7 * best


def test_pairs_are_told_apart_and_compared() -> None:
    """Whether both texts are alike cannot be read off either; nor does a swap of the two leave an order alone."""
    random = np.random.default_rng(8)
    names = ["room", "soup", "street", "garden", "train", "bridge", "lamp", "chair"]

    def pairs(rows: int) -> tuple[list[tuple[str, str]], list[str]]:
        first, second = random.choice(names, (2, rows))
        second = np.where(random.random(rows) < 0.5, first, second)
        return list(zip(first.tolist(), second.tolist(), strict=True)), [
            "same" if a == b else "other" for a, b in zip(first, second, strict=True)
        ]

    found = run("single", ["other", "same"], pairs(400), pairs(200))
    assert found["tfidf_logistic_regression"]["accuracy"] == 1.0
    texts = [(a, b) if random.random() < 0.5 else (b, a) for a, b in [("early", "late")] * 200]
    order = ["forwards" if a == "early" else "backwards" for a, _ in texts]
    found = run("single", ["backwards", "forwards"], (texts[:150], order[:150]), (texts[150:], order[150:]))
    assert found["tfidf_logistic_regression"]["accuracy"] == 1.0


def test_features_of_pairs() -> None:
    features = _Features([("a b", "b a"), ("a b", "a c"), ("c", "d")], pairs=True, labels=2)
    width = len(features._vectorizer.vocabulary_)
    matrix = features.train.toarray()
    first, second, distance, cosine = matrix[:, :width], matrix[:, width : 2 * width], matrix[:, 2 * width : 3 * width], matrix[:, -1]
    assert matrix.shape == (3, 3 * width + 1)
    assert distance == pytest.approx(np.abs(first - second))
    assert cosine == pytest.approx((first * second).sum(axis=1))
    assert first == pytest.approx(features._vectorizer.transform(["a b", "a b", "c"]).toarray())
    assert (features.of([("a b", "b a")]).toarray() == matrix[:1]).all()


def test_scripts_without_spaces_have_words() -> None:
    import re

    assert re.findall(_WORD, "I'm 3 日本 für") == ["I", "m", "3", "日", "本", "für"]


def test_more_rows_than_affordable_are_drawn_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    module = importlib.import_module("bertworks.evaluation.baselines")
    train, test = reviews(300, 9), reviews(60, 10)
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    found = run("single", ["bad", "good"], train, test, seed=3)
    assert found["tfidf_logistic_regression"]["note"] == "trained on 100 of 300 rows, drawn by seed 3"
    assert "note" not in found["majority_class"]
    assert found == run("single", ["bad", "good"], train, test, seed=3)
    monkeypatch.setattr(module, "MOST_CHARACTERS", sum(map(len, train[0])) // 10)
    chosen, _ = _affordable(train[0], seed=0)
    assert sum(len(train[0][row]) for row in chosen) <= sum(map(len, train[0])) // 10
    assert 20 < len(chosen) < 40
    assert (np.diff(chosen) > 0).all()
    monkeypatch.setattr(module, "MOST_CHARACTERS", 1)
    assert len(_affordable(train[0], seed=0)[0]) == 1


def test_what_cannot_be_learnt_is_defined() -> None:
    wordless = run("single", ["no", "yes"], (["?!", "..."], ["no", "yes"]), (["good"], ["yes"]))
    assert wordless["tfidf_logistic_regression"]["note"] == "no word of the training texts could be used"
    one_label = run("single", ["no", "yes"], (["a b", "c"], ["no", "no"]), (["a"], ["yes"]))
    assert one_label["tfidf_logistic_regression"]["accuracy"] == 0.0
    lacking = run("single", ["maybe", "no", "yes"], (["a b", "c"] * 5, ["no", "yes"] * 5), (["a", "c", "a"], ["no", "yes", "maybe"]))
    assert lacking["tfidf_logistic_regression"]["accuracy"] == pytest.approx(2 / 3)
    constant = run("multi", ["all", "none"], (["a", "b"], [["all"], ["all"]]), (["a"], [["all"]]))
    assert constant["tfidf_logistic_regression"]["micro_f1"] == 1.0
    empty_pairs = run("number", (), ([("", "")] * 3, [1.0, 2.0, 3.0]), ([("a", "b")], [1.0]))
    assert empty_pairs["tfidf_ridge"]["mean_squared_error"] == pytest.approx(1.0)


def test_wrong_input_is_refused() -> None:
    good = (["a"], ["no"])
    for train, test, message in (
        ((["a", "b"], ["no"]), good, "train: 2 texts but 1 labels"),
        (good, ([], []), "test: 0 texts"),
        (good, (["a"], ["maybe"]), "'maybe' is none of the 2"),
        ((["a", ("b", "c")], ["no", "yes"]), good, "all pairs"),
        (([3], ["no"]), good, "all strings"),
        (([("a", "b", "c")], ["no"]), ([("a", "b", "c")], ["no"]), "all pairs"),
    ):
        with pytest.raises(DataError, match=message):
            run("single", ["no", "yes"], train, test)
    with pytest.raises(DataError, match="finite"):
        run("number", (), (["a"], [float("nan")]), (["a"], [1.0]))
    with pytest.raises(SettingsError, match="kind is"):
        run("numbers", (), (["a"], [1.0]), (["a"], [1.0]))


def test_scikit_learn_is_not_loaded_before() -> None:
    code = "import sys, bertworks.evaluation; print(sorted(m for m in ('sklearn', 'scipy', 'torch') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
