"""Exact match and F1 of extracted answers, as SQuAD's official evaluations define them (Rajpurkar et al. 2016, 2018).

Both compare words without case, punctuation, articles and spacing, and take the best of the answers that are right. The two
versions differ where nothing is left of an answer: 1.1 gives such an F1 of 0; 2.0 takes no words for "no answer", which
is right where nothing is to be found, and wrong elsewhere. `squad_v1` and `squad_v2` give the official numbers, in percent
and by their official names; `AnswerMetrics` the same as shares, while rows stream by, with intervals.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, merge_replicates
from bertworks.evaluation.intervals import Method, interval_lists, wilson_interval
from bertworks.evaluation.metrics import ratio, require_rows

Version = Literal["1.1", "2.0"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """The words of an answer as they are compared.

    >>> normalized("The  U.S.A., in a word")
    'usa in word'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def answer_scores(prediction: str, answers: Sequence[str], version: Version) -> tuple[float, float]:
    """Exact match (0 or 1) and F1 of a prediction: the best that any of the right answers gives it. No answers: none is right.

    >>> answer_scores("in the great hall", ["The great hall", "the hall"], "1.1")
    (0.0, 0.8)
    >>> answer_scores("", [], "2.0")
    (1.0, 1.0)
    """
    words = normalized(prediction).split()
    right = [normalized(answer).split() for answer in answers]
    if version == "2.0":
        right = [each for each in right if each] or [[]]
    exact = max((float(words == each) for each in right), default=0.0)
    return exact, max((_f1(words, each, version) for each in right), default=0.0)


def _f1(predicted: list[str], right: list[str], version: Version) -> float:
    if version == "2.0" and not (predicted and right):
        return float(predicted == right)
    same = (Counter(predicted) & Counter(right)).total()
    if not same:
        return 0.0
    precision, recall = same / len(predicted), same / len(right)
    return 2 * precision * recall / (precision + recall)


def squad_v1(answers: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """`exact_match` and `f1` in percent, as the official evaluation of version 1.1 computes them.

    Both mappings go by question id. A question without a prediction scores 0, as there. Raises `DataError` where there is none.

    >>> squad_v1({"q": ["at noon", "noon"]}, {"q": "Noon."})
    {'exact_match': 100.0, 'f1': 100.0}
    """
    require_rows(len(answers))
    scores = [answer_scores(predictions[key], right, "1.1") if key in predictions else (0.0, 0.0) for key, right in answers.items()]
    return {name: 100 * sum(column) / len(scores) for name, column in zip(("exact_match", "f1"), zip(*scores, strict=True), strict=True)}


def squad_v2(
    answers: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """The numbers of the official evaluation of version 2.0, in percent, by its names: `exact`, `f1`, `total`, the same for
    `HasAns_` and `NoAns_`, and, with `no_answer_scores`, `best_exact`, `best_f1` and their thresholds.

    All mappings go by question id; no answers, or an empty prediction, mean that there is none. A question whose
    no-answer score is above `threshold` counts as not answered. Raises `DataError` where a question lacks a prediction or
    a score (the official script leaves such a question out).
    """
    require_rows(len(answers))
    for what, given in (("prediction", predictions), ("no-answer score", no_answer_scores)):
        missing = [] if given is None else [key for key in answers if key not in given]
        if missing:
            raise DataError(f"{len(missing):,} of {len(answers):,} questions have no {what}: {', '.join(missing[:5])}; give one for each")
    has = np.array([bool(right) for right in answers.values()])
    raw = np.array([answer_scores(predictions[key], right, "2.0") for key, right in answers.items()])
    scores = raw
    if no_answer_scores is not None:
        doubts = np.array([float(no_answer_scores[key]) for key in answers])
        scores = np.where((doubts > threshold)[:, None], ~has[:, None], raw)
    found: dict[str, float] = {}
    for prefix, chosen in (("", np.ones(len(has), dtype=bool)), ("HasAns_", has), ("NoAns_", ~has)):
        if chosen.any():
            exact, f1 = (100 * float(column.sum()) / int(chosen.sum()) for column in scores[chosen].T)
            found |= {f"{prefix}exact": exact, f"{prefix}f1": f1, f"{prefix}total": int(chosen.sum())}
    if no_answer_scores is not None:
        predicted = np.array([bool(predictions[key]) for key in answers])
        for name, column in (("exact", raw[:, 0]), ("f1", raw[:, 1])):
            best, at = best_threshold(column, has, predicted, doubts)
            found |= {f"best_{name}": 100 * best, f"best_{name}_thresh": at}
    return found


def best_threshold(
    scores: Float[Array, "questions"],
    has_answer: Bool[Array, "questions"],
    predicted: Bool[Array, "questions"],
    doubts: Float[Array, "questions"],
    *,
    of_nothing: float = 0.0,
) -> tuple[float, float]:
    """The best mean score that any threshold on the doubts gives, and the lowest such threshold, as the official script finds
    them: `of_nothing` where it is best to answer nothing; a question is answered where its doubt is at most the threshold.

    `scores` are those of the answers, `predicted` says which are not empty.

    >>> best_threshold(np.array([1.0, 0.5, 0.0]), np.array([True, True, False]), np.ones(3, dtype=bool), np.array([0.1, 0.3, 0.8]))
    (0.8333333333333334, 0.3)
    """
    order = np.argsort(doubts, kind="stable")
    gains = np.where(has_answer, scores, -predicted.astype(np.float64))[order]
    sums = (~has_answer).sum() + np.cumsum(gains)
    best = int(np.argmax(sums))
    if sums[best] > (~has_answer).sum():
        return float(sums[best]) / len(scores), float(doubts[order][best])
    return float((~has_answer).sum()) / len(scores), of_nothing


class AnswerStatistics:
    """A question's exact match and F1, and the same where it has an answer."""

    columns: ClassVar[int] = 6

    def __init__(self, both: bool) -> None:
        self.both = both
        """Whether there are questions with and without an answer."""
        own: dict[str, Method] = {"has_answer_f1": "accelerated"} if both else {}
        self.methods: Mapping[str, Method] = {"exact_match": "proportion", "f1": "accelerated", **own}

    @staticmethod
    def of_rows(exact: Float[Array, "rows"], f1: Float[Array, "rows"], has_answer: Bool[Array, "rows"]) -> Float[Array, "rows columns"]:
        """The contribution of each question."""
        has = has_answer.astype(np.float64)
        return np.stack([np.ones(len(f1)), exact, f1, has, exact * has, f1 * has], axis=1)

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `AnswerMetrics.compute` that has an interval."""
        rows, exact, f1, has, exact_has, f1_has = np.moveaxis(sums, -1, 0)
        found = {"exact_match": exact / rows, "f1": f1 / rows}
        if self.both:
            found |= {"has_answer_exact_match": ratio(exact_has, has), "has_answer_f1": ratio(f1_has, has)}
            found |= {"no_answer_accuracy": ratio(exact - exact_has, rows - has)}
        return found


class AnswerMetrics:
    """Exact match and F1, and, where some questions have no answer, each kind's own and what the best threshold would give.

    Intervals take questions to be independent; where many share a context they are a little too narrow. Of each question
    40 bytes are kept, for the thresholds.

    >>> metrics = AnswerMetrics("1.1")
    >>> metrics.update([["noon", "at noon"], ["a blackbird"]], ["At noon.", "a bird"])
    >>> metrics.compute()
    {'rows': 2, 'f1': 0.5, 'exact_match': 0.5}
    """

    headline = "f1"
    higher_is_better = True

    def __init__(self, version: Version, *, replicates: int = 0, seed: int = 0) -> None:
        self.version = version
        self.sums: Float[Array, "columns"] = np.zeros(AnswerStatistics.columns)
        self.replicates = Replicates(replicates, AnswerStatistics.columns, seed=seed) if replicates else None
        self._forced: list[Float[Array, "questions 5"]] = []

    def update(
        self,
        answers: Sequence[Sequence[str]],
        predictions: Sequence[str],
        forced: Sequence[str] | None = None,
        doubts: Float[Array, "rows"] | None = None,
    ) -> None:
        """Adds questions: the right answers of each (none where it has none) and what was predicted ("" for no answer).

        For the best thresholds, `forced` are the predictions where an answer must be given, and `doubts` the higher the
        surer it is that there is none.
        """
        scores = np.array([answer_scores(text, right, self.version) for text, right in zip(predictions, answers, strict=True)]).reshape(
            -1, 2
        )
        has = np.array([bool(right) for right in answers], dtype=bool)
        rows = AnswerStatistics.of_rows(scores[:, 0], scores[:, 1], has)
        self.sums += rows.sum(axis=0)
        if self.replicates is not None:
            self.replicates.add(rows)
        if forced is not None and doubts is not None:
            if list(forced) != list(predictions):
                scores = np.array([answer_scores(text, right, self.version) for text, right in zip(forced, answers, strict=True)]).reshape(
                    -1, 2
                )
            self._forced.append(np.column_stack([scores, has, [bool(text) for text in forced], doubts]))

    def merge(self, other: "AnswerMetrics") -> None:
        """Adds the questions of other metrics. Raises `DataError` where their versions differ."""
        if other.version != self.version:
            raise DataError(f"metrics of SQuAD {self.version} and {other.version} cannot be merged")
        merge_replicates(self.replicates, other.replicates)
        self.sums = self.sums + other.sums
        self._forced += other._forced

    def compute(self) -> dict[str, Any]:
        """All metrics as shares, `f1` first; see `Metrics.compute`. Raises `DataError` before any question was seen."""
        require_rows(int(self.sums[0]))
        both = 0 < self.sums[3] < self.sums[0]
        statistics = AnswerStatistics(both)
        values = {name: float(value) for name, value in statistics.values(self.sums).items()}
        found: dict[str, Any] = {"rows": int(self.sums[0]), "f1": values.pop("f1"), **values}
        kinds = {"has_answer": int(self.sums[3]), "no_answer": int(self.sums[0] - self.sums[3])}
        if both:
            found["rows_of_kinds"] = kinds
        if both and self._forced:
            exact, f1, has, predicted, doubts = np.concatenate(self._forced).T
            for name, column in (("exact_match", exact), ("f1", f1)):
                best, at = best_threshold(column, has > 0, predicted > 0, doubts, of_nothing=float(doubts.min()) - 1)
                found[f"best_{name}"] = best
                found.setdefault("best_thresholds", {})[name] = at
        found |= interval_lists(statistics, self.replicates)
        if both and self.replicates is not None:  # shares of a part of the rows
            for name, rows in (("has_answer_exact_match", kinds["has_answer"]), ("no_answer_accuracy", kinds["no_answer"])):
                found["intervals"][name] = list(wilson_interval(found[name], rows))
        return found
