"""scikit-learn's conventions hold, and scikit-learn is not needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError as TheirNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from bertworks import TextClassifier
from bertworks.errors import NotFittedError, SettingsError

Make = Callable[..., TextClassifier]


def test_clone_copies_parameters_and_nothing_learnt(fitted: Make) -> None:
    classifier = fitted()
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy is not classifier
    with pytest.raises(NotFittedError):
        copy.predict(["good"])


def test_a_model_of_a_run_folder_is_cloned_and_trained_further(make: Make, reviews: Callable[..., Any], tmp_path: Path) -> None:
    texts, labels = reviews(24)
    make(epochs=1, output=tmp_path / "run").fit(texts, labels)
    loaded = TextClassifier.load(tmp_path / "run", precision="float32", epochs=1, progress=False)
    again = clone(loaded).fit(texts, labels)
    assert again.predict(texts).shape == (24,)
    assert loaded.fit(texts, labels).predict_proba(texts).tolist() == again.predict_proba(texts).tolist()


def test_parameters_are_got_and_set(make: Make) -> None:
    classifier = make(epochs=2)
    parameters = classifier.get_params()
    assert {"model", "kind", "overflow", "class_weights", "epochs", "learning_rate", "seed"} <= set(parameters)
    assert parameters["epochs"] == 2
    assert TextClassifier(**parameters).get_params() == parameters
    assert classifier.set_params(epochs=5, overflow="truncate") is classifier
    assert (classifier.epochs, classifier.overflow) == (5, "truncate")  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=r"TextClassifier has no setting 'epoch'\. Did you mean 'epochs'\?"):
        classifier.set_params(epoch=5)
    with pytest.raises(SettingsError, match=r"no setting 'learning_rat'\. Did you mean 'learning_rate'\?"):
        TextClassifier(learning_rat=1e-4)


def test_parameters_are_looked_at_in_fit_only(make: Make, reviews: Callable[..., Any]) -> None:
    classifier = make(epochs=-1, schedule="cosin")
    with pytest.raises(SettingsError, match=r"epochs must be above 0, not -1; schedule must be one of .* Did you mean 'cosine'\?"):
        classifier.fit(*reviews(20))


def test_it_shows_what_was_changed() -> None:
    assert repr(TextClassifier(epochs=2, kind="multi")) == "TextClassifier(kind='multi', epochs=2)"


def test_before_fit_every_method_says_so(make: Make) -> None:
    classifier = make()
    for call in (
        lambda: classifier.predict(["a"]),
        lambda: classifier.predict_proba(["a"]),
        lambda: classifier.evaluate(["a"], ["b"]),
        lambda: classifier.score(["a"], ["b"]),
        lambda: classifier.save("x"),
    ):
        with pytest.raises(NotFittedError, match=r"not fitted yet: call fit\(texts, labels\), or load one"):
            call()
    with pytest.raises(TheirNotFittedError):
        check_is_fitted(classifier)


def test_it_counts_as_fitted_and_as_what_it_is(fitted: Make, make: Make) -> None:
    check_is_fitted(fitted())
    assert is_classifier(fitted())
    assert not is_regressor(fitted())
    assert is_regressor(make(kind="number"))
    assert fitted().classes_.tolist() == ["bad", "good"]


def test_it_ends_a_pipeline(make: Make, reviews: Callable[..., Any]) -> None:
    texts, labels = reviews(64)
    pipeline = Pipeline([("clean", FunctionTransformer(lambda rows: [row.strip("# ") for row in rows])), ("classify", make(epochs=1))])
    pipeline.fit(["## " + text for text in texts], labels)
    alone = make(epochs=1).fit(texts, labels)
    np.testing.assert_array_equal(pipeline.predict_proba(["## " + t for t in texts[:5]]), alone.predict_proba(texts[:5]))
    assert pipeline.classes_.tolist() == ["bad", "good"]
    assert pipeline.set_params(classify__epochs=2).get_params()["classify__epochs"] == 2


def test_cross_validation(make: Make, reviews: Callable[..., Any]) -> None:
    texts, labels = reviews(90)
    scores = cross_val_score(make(), texts, labels, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.5
    losses = cross_val_score(make(epochs=1), np.array(texts, dtype=object), np.array(labels), cv=2, scoring="neg_log_loss")
    assert (losses < 0).all()


def test_a_search_over_learning_rates(make: Make, reviews: Callable[..., Any]) -> None:
    texts, labels = reviews(60)
    search = GridSearchCV(make(epochs=2), {"learning_rate": [1e-6, 1e-2]}, cv=2, scoring="accuracy").fit(texts, labels)
    assert search.best_params_ in ({"learning_rate": 1e-6}, {"learning_rate": 1e-2})
    assert search.best_estimator_.result_.steps == 8
    assert len(search.predict(texts[:3])) == 3


def test_scikit_learn_is_not_imported(tiny_bert: Path, tmp_path: Path) -> None:
    program = f"""
import sys
import bertworks as bw
texts, labels = ["good tea", "bad tea", "fine wine", "sad song"] * 4, ["good", "bad"] * 8
classifier = bw.TextClassifier({str(tiny_bert)!r}, epochs=1, precision="float32", threads=1, progress=False).fit(
    texts, labels, validation=(texts, labels)
)
classifier.evaluate(texts, labels)
bw.load(classifier.save({str(tmp_path / "model")!r}), verify=True).predict(texts)
loaded = [name for name in ("sklearn", "scipy", "transformers", "pandas", "datasets") if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
