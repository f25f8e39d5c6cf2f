"""What is reached without a model that reads: the most frequent answer, and a linear model of words (TF-IDF).

A trained model that does not clearly beat these has learnt nothing that counting words does not give. Baselines are
trained on the same rows, evaluated on the same test rows by the same metrics, and take a minute of one core at most.
scikit-learn is imported only when they are asked for.
"""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.checks import Kind, checked_kind, checked_labels
from bertworks.evaluation.classification import ClassificationMetrics
from bertworks.evaluation.multilabel import MultiLabelMetrics
from bertworks.evaluation.regression import RegressionMetrics
from bertworks.evaluation.thresholds import best_thresholds

MOST_ROWS = 100_000
MOST_CHARACTERS = 40_000_000
"""Training rows beyond either are left out by chance: the vocabulary of all word pairs takes memory, and time."""
MOST_FEATURES = 100_000
MOST_WEIGHTS = 5_000_000
"""Features times labels: the optimizer keeps some twenty copies of its weights."""
RARE_WORDS_FROM = 1000
"""Training texts from which on words that occur in only one of them are left out."""
TUNING_ROWS = 1000
"""Training rows from which on a fifth is held out to tune the thresholds of several labels."""

_SOLITARY = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and ideographs stand without spaces: each is a word
_WORD = rf"[{_SOLITARY}]|[^\W{_SOLITARY}]+"
_INVERSE_PENALTY = 10.0  # rows have length 1, so that scikit-learn's default of 1 would hold the weights too small
_RIDGE_PENALTY = 3.0
_ROWS_AT_ONCE = 4096

Texts = Sequence[str] | Sequence[tuple[str, str]]


def baselines(
    kind: Kind,
    labels: Sequence[Hashable],
    train_texts: Texts,
    train_labels: Sequence[Any],
    test_texts: Texts,
    test_labels: Sequence[Any],
    *,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The metrics of each baseline, as the metrics class of `kind` computes them, by the baseline's name.

    - `majority_class` (single and several labels): the share of each label among the training rows is its probability;
    - `tfidf_logistic_regression`: words and pairs of neighbouring words, by sublinear TF-IDF, into a logistic
      regression; one for each of several labels, their thresholds tuned on a held-out fifth where there are rows enough;
    - `mean` and `tfidf_ridge` for numbers.

    Texts are strings, or pairs of strings: then both have features of their own, and so have the distances and the
    cosine between them. `train_labels` and `test_labels` are a label a row, a sequence of labels or a number, as `kind`
    says; `labels` is empty for numbers. A result has an entry `note` where something has to be known about it: that
    training rows were drawn by `seed` because there are more than 100,000 (or 40 million characters), say. Equal input
    gives equal numbers.

    Raises `DataError` where there are no rows, their numbers differ, texts are neither strings nor pairs, or a label is
    unknown; `SettingsError` for an unknown kind.

    >>> found = baselines("single", ["no", "yes"], ["a b", "c d"] * 9, ["no", "yes"] * 9, ["b", "d"], ["no", "yes"], replicates=0)
    >>> [(name, metrics["accuracy"]) for name, metrics in found.items()]
    [('majority_class', 0.5), ('tfidf_logistic_regression', 1.0)]
    """
    names = () if checked_kind(kind) == "number" else checked_labels(labels)
    train_targets, targets = (_targets(kind, names, values) for values in (train_labels, test_labels))
    for part, texts, answers in (("train", train_texts, train_targets), ("test", test_texts, targets)):
        if not len(texts) or len(texts) != len(answers):
            raise DataError(f"{part}: {len(texts)} texts but {len(answers)} labels; a baseline needs a label for each text, and some texts")
    pairs = _are_pairs([*train_texts, *test_texts])

    def measured(outputs: Float[Array, "rows outputs"], thresholds: Float[Array, "labels"] | float = 0.5) -> dict[str, Any]:
        return _measured(kind, names, targets, outputs, thresholds, {"replicates": replicates, "seed": seed})

    constant = np.tile(_frequencies(kind, len(names), train_targets), (len(targets), 1))
    chosen, note = _affordable(train_texts, seed)
    features = _Features([train_texts[row] for row in chosen], pairs, len(names))
    outputs, thresholds = _linear(kind, len(names), features, train_targets[chosen], test_texts, seed)
    simple, linear = ("mean", "tfidf_ridge") if kind == "number" else ("majority_class", "tfidf_logistic_regression")
    notes = [one for one in (note, features.note) if one]
    return {simple: measured(constant), linear: measured(outputs, thresholds) | ({"note": "; ".join(notes)} if notes else {})}


def linear_probe(
    features: Float[Array, "rows features"],
    train_labels: Sequence[Hashable],
    test_features: Float[Array, "others features"],
    test_labels: Sequence[Hashable],
    *,
    replicates: int = 0,
) -> dict[str, Any]:
    """The metrics of a logistic regression on features that a model gave (a linear probe: Alain & Bengio 2017), one label a row.

    Features are standardized by the training rows; the penalty is scikit-learn's usual one (C = 1), for every model alike.
    Raises `DataError` where numbers of rows differ, or a label of the test rows is not among the training labels.

    >>> found = linear_probe(np.array([[0.0], [1.0], [4.0], [5.0]]), ["a", "a", "b", "b"], np.array([[0.5], [4.5]]), ["a", "b"])
    >>> found["accuracy"]
    1.0
    """
    for part, rows, answers in (("train", features, train_labels), ("test", test_features, test_labels)):
        if not len(rows) or len(rows) != len(answers):
            raise DataError(f"{part}: {len(rows)} rows of features but {len(answers)} labels; a label is needed for each, and some rows")
    names = checked_labels(sorted(set(train_labels), key=str))
    train_targets, targets = (_targets("single", names, values) for values in (train_labels, test_labels))
    center, spread = features.mean(axis=0), features.std(axis=0)
    first, second = ((rows - center) / np.where(spread > 0, spread, 1.0) for rows in (features, test_features))
    outputs = _fit_single(first, train_targets, len(names), inverse_penalty=1.0)(second)
    return _measured("single", names, targets, outputs, 0.5, {"replicates": replicates})


# ---- targets and metrics


def _targets(kind: Kind, labels: tuple[Hashable, ...], values: Sequence[Any]) -> Shaped[Array, "rows ..."]:
    """Indices of labels, a row of booleans each, or numbers."""
    if kind == "number":
        numbers = np.array([float(value) for value in values])
        if not np.isfinite(numbers).all():
            raise DataError("targets must be finite numbers; found NaN or infinity")
        return numbers
    index = {label: i for i, label in enumerate(labels)}
    rows = [[value] for value in values] if kind == "single" else [list(value) for value in values]
    unknown = next((label for row in rows for label in row if label not in index), None)
    if unknown is not None:
        raise DataError(f"the label {unknown!r} is none of the {len(labels)} labels")
    if kind == "single":
        return np.array([index[row[0]] for row in rows], dtype=np.int64)
    marks = np.zeros((len(rows), len(labels)), dtype=bool)
    for i, row in enumerate(rows):
        marks[i, [index[label] for label in row]] = True
    return marks


def _frequencies(kind: Kind, labels: int, targets: Shaped[Array, "rows ..."]) -> Float[Array, "outputs"]:
    """The share of each label, or the mean."""
    if kind == "single":
        return np.bincount(targets, minlength=labels) / len(targets)
    means: Array = np.atleast_1d(targets.mean(axis=0))
    return means


def _measured(
    kind: Kind,
    labels: tuple[Hashable, ...],
    targets: Shaped[Array, "rows ..."],
    outputs: Float[Array, "rows outputs"],
    thresholds: Float[Array, "labels"] | float,
    options: dict[str, int],
) -> dict[str, Any]:
    if kind == "number":
        numbers = RegressionMetrics(**options)
        numbers.update(targets, outputs[:, 0])
        return numbers.compute()
    if kind == "multi":
        several = MultiLabelMetrics(labels, **options)
        several.update(targets, outputs, thresholds)
        return several.compute()
    single = ClassificationMetrics(labels, **options)
    single.update(targets, outputs)
    return single.compute()


# ---- features


def _are_pairs(texts: Sequence[Any]) -> bool:
    """Whether the texts are pairs; raises `DataError` where they are neither all strings nor all pairs."""
    if all(isinstance(text, str) for text in texts):
        return False
    if all(isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) for part in text) for text in texts):
        return True
    raise DataError("texts must be all strings, or all pairs of strings: tuples (first, second)")


def _affordable(texts: Texts, seed: int) -> tuple[Int[Array, "chosen"], str]:
    """The rows that are trained on, in order, and what has to be said of them."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(texts))
    characters = np.cumsum([sum(map(len, text)) if isinstance(text, tuple) else len(text) for text in (texts[row] for row in order)])
    count = max(1, min(MOST_ROWS, int(np.searchsorted(characters, MOST_CHARACTERS, side="right"))))
    if count >= len(texts):
        return np.arange(len(texts)), ""
    return np.sort(order[:count]), f"trained on {count:,} of {len(texts):,} rows, drawn by seed {seed}"


class _Features:
    """TF-IDF of words and of pairs of neighbouring words, as rows of a sparse matrix."""

    def __init__(self, texts: list[Any], pairs: bool, labels: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.pairs, self.note = pairs, ""
        documents = [part for text in texts for part in text] if pairs else texts
        self._vectorizer: Any = TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            min_df=2 if len(documents) >= RARE_WORDS_FROM else 1,
            max_features=max(1, min(MOST_FEATURES, MOST_WEIGHTS // max(1, labels)) // (3 if pairs else 1)),
            token_pattern=_WORD,
            dtype=np.float32,
        )
        try:
            fitted = self._vectorizer.fit_transform(documents)
        except ValueError:  # scikit-learn's way to say that no word is left
            self._vectorizer, self.note = None, "no word of the training texts could be used"
        self.train = self._empty(len(texts)) if self._vectorizer is None else self._joined(fitted)

    def of(self, texts: Sequence[Any]) -> Any:
        """The matrix of other texts."""
        if self._vectorizer is None:
            return self._empty(len(texts))
        return self._joined(self._vectorizer.transform([part for text in texts for part in text] if self.pairs else texts))

    def _joined(self, rows: Any) -> Any:
        """Pairs: the first text's features, the second's, their distances, and the cosine (rows have length 1)."""
        if not self.pairs:
            return rows
        first, second = rows[0::2], rows[1::2]
        cosine = type(rows)(first.multiply(second).sum(axis=1), dtype=np.float32)
        return _side_by_side([first, second, abs(first - second), cosine])

    def _empty(self, rows: int) -> Any:
        return np.zeros((rows, 1), dtype=np.float32)


def _side_by_side(matrices: list[Any]) -> Any:
    """One sparse matrix of several that have equally many rows."""
    entries = [matrix.tocoo() for matrix in matrices]
    starts = np.cumsum([0] + [matrix.shape[1] for matrix in matrices])
    rows, columns = (
        np.concatenate([one.row for one in entries]),
        np.concatenate([one.col + at for one, at in zip(entries, starts, strict=False)]),
    )
    values = np.concatenate([one.data for one in entries])
    return type(matrices[0])((values, (rows, columns)), shape=(matrices[0].shape[0], int(starts[-1])))


# ---- linear models


def _linear(
    kind: Kind, labels: int, features: _Features, targets: Shaped[Array, "rows ..."], test_texts: Texts, seed: int
) -> tuple[Float[Array, "rows outputs"], Float[Array, "labels"] | float]:
    """The linear model's outputs for the test texts, and the thresholds of several labels."""
    fit = {"single": _fit_single, "multi": _fit_multi, "number": _fit_number}[kind]
    thresholds: Float[Array, "labels"] | float = 0.5
    if kind == "multi" and len(targets) >= TUNING_ROWS:
        held_out = np.random.Generator(np.random.PCG64(seed)).permutation(len(targets)) % 5 == 0
        tuning = fit(features.train[~held_out], targets[~held_out], labels)
        thresholds = best_thresholds(targets[held_out], tuning(features.train[held_out]))
    predict = fit(features.train, targets, labels)
    chunks = (test_texts[start : start + _ROWS_AT_ONCE] for start in range(0, len(test_texts), _ROWS_AT_ONCE))
    return np.concatenate([predict(features.of(chunk)) for chunk in chunks]), thresholds


def _fit_single(features: Any, targets: Int[Array, "rows"], labels: int, inverse_penalty: float = _INVERSE_PENALTY) -> Any:
    """Labels that the training rows lack have probability 0."""
    seen = np.unique(targets)
    model = _logistic_regression(features, targets, inverse_penalty) if len(seen) > 1 else None

    def predict(rows: Any) -> Float[Array, "rows labels"]:
        out = np.zeros((rows.shape[0], labels))
        out[:, seen] = 1.0 if model is None else model.predict_proba(rows)
        return out

    return predict


def _fit_multi(features: Any, targets: Any, labels: int) -> Any:
    """One model a label; a label that all training rows have, or none, keeps that share."""
    shares = targets.mean(axis=0)
    models = {i: _logistic_regression(features, targets[:, i]) for i in range(labels) if 0 < shares[i] < 1}

    def predict(rows: Any) -> Float[Array, "rows labels"]:
        out = np.tile(shares, (rows.shape[0], 1))
        for i, model in models.items():
            out[:, i] = model.predict_proba(rows)[:, 1]
        return out

    return predict


def _fit_number(features: Any, targets: Float[Array, "rows"], labels: int) -> Any:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=_RIDGE_PENALTY).fit(features, targets)
    return lambda rows: model.predict(rows).astype(np.float64)[:, None]


def _logistic_regression(features: Any, targets: Shaped[Array, "rows"], inverse_penalty: float = _INVERSE_PENALTY) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its last digits are not what a baseline is for
        return LogisticRegression(C=inverse_penalty, max_iter=200).fit(features, targets)


def logistic_weights(
    features: Float[Array, "rows features"], targets: Int[Array, "rows"], *, inverse_penalty: float = 1.0
) -> tuple[Float[Array, "labels features"], Float[Array, "labels"]]:
    """Weights and biases of a logistic regression, a row for each label, whose scores a softmax turns into probabilities.

    >>> weights, bias = logistic_weights(np.array([[0.0], [4.0]]), np.array([0, 1]))
    >>> (np.array([[0.5], [3.5]]) @ weights.T + bias).argmax(axis=1).tolist()
    [0, 1]
    """
    model = _logistic_regression(features, targets, inverse_penalty)
    weights, bias = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(weights) == 1:  # of two labels scikit-learn keeps the second one's alone
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return weights, bias
