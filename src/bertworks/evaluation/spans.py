"""Metrics of labelled spans: named entities in conlleval's convention and in the strict one, and labels of single words.

A prediction is right where words and label are those of the truth. The two conventions differ in how spans are read from tags
that break the rules of their scheme (`data/tag_schemes.py`): conlleval (Tjong Kim Sang & Buchholz 2000), which seqeval follows
by default, begins an entity wherever one can be meant; the strict one, seqeval's other mode, counts only what is spelled as
the scheme demands. For tags without faults the two are equal.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.data.tag_schemes import NAMELESS, Convention, Scheme, Span, spans_of
from bertworks.errors import DataError, nearest
from bertworks.evaluation.bootstrap import Replicates, merge_replicates
from bertworks.evaluation.checks import checked_labels
from bertworks.evaluation.intervals import Method, interval_lists
from bertworks.evaluation.metrics import per_label_rows, ratio, require_rows

CONVENTIONS: tuple[Convention, ...] = ("conlleval", "strict")
ERRORS = ("boundary", "type", "boundary_and_type", "missed", "spurious")
"""Kinds of errors. The first three: a true span that was found with other borders, another label, or both; then one that was
not found at all, and a prediction that touches no true span."""


class SpanStatistics:
    """What each sentence adds: its words and how many of them have the right tag; for each convention and type the spans that
    were predicted rightly, those that were predicted, and those that are true."""

    def __init__(self, types: int, *, spans: bool = True) -> None:
        """`spans` is False where every word is a span by itself, so that only its label can be wrong."""
        self.types, self.spans = types, spans
        self.has_words = not spans
        self.columns = 3 + 2 * 3 * types

    @property
    def methods(self) -> Mapping[str, Method]:
        if not self.spans:
            return {"accuracy": "accelerated", "macro_f1": "accelerated"}
        names = [f"{convention}_{name}" for convention in CONVENTIONS for name in ("f1", "precision", "recall")]
        return dict.fromkeys([*names, "macro_f1", *(["word_accuracy"] if self.has_words else [])], "accelerated")

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Every metric of `SpanMetrics.compute` that is one number."""
        counts = sums[..., 3:].reshape(*sums.shape[:-1], 2, 3, self.types)
        accuracy = ratio(sums[..., 1], sums[..., 2])
        hits, predicted, actual = (counts[..., 0, i, :] for i in range(3))
        occurring = ((predicted + actual) > 0).sum(axis=-1)
        macro = ratio(ratio(2 * hits, predicted + actual).sum(axis=-1), occurring)
        if not self.spans:
            return {"accuracy": accuracy, "macro_f1": macro}
        out: dict[str, Array] = {}
        for convention, of in zip(CONVENTIONS, np.moveaxis(counts.sum(axis=-1), -2, 0), strict=True):
            right, found, true = of[..., 0], of[..., 1], of[..., 2]
            out |= {f"{convention}_f1": ratio(2 * right, found + true)}
            out |= {f"{convention}_precision": ratio(right, found), f"{convention}_recall": ratio(right, true)}
        return out | {"macro_f1": macro} | ({"word_accuracy": accuracy} if self.has_words else {})


class SpanMetrics:
    """Precision, recall and F1 of spans, over sentences that stream by.

    The statistics take `6 · types + 8` numbers, however many sentences are seen. With `replicates` (1,000 is usual), `compute`
    adds 95 % intervals from a bootstrap over sentences, whose words are not independent of each other. For the scheme "words"
    each word is a span, and its label is what can be wrong. Rows are numbered as in `ClassificationMetrics`.

    Raises `DataError` where types are not distinct, `SettingsError` for fewer than 100 replicates.

    >>> metrics = SpanMetrics(["PER", "LOC"], "IOB2")
    >>> metrics.update([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "B-PER"]])
    >>> found = metrics.compute()
    >>> found["conlleval_f1"], found["errors"]["type"], [row["f1"] for row in found["per_type"]]
    (0.5, 1, [0.6666666666666666, 0.0])
    """

    higher_is_better = True

    def __init__(self, types: Sequence[str], scheme: Scheme, *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.types = tuple(str(name) for name in checked_labels(types)) if types else ()
        self.scheme = scheme
        self.statistics = SpanStatistics(len(self.types), spans=scheme != "words")
        self.replicates = Replicates(replicates, self.statistics.columns, seed=seed, first_row=first_row) if replicates else None
        self.sums: Float[Array, "columns"] = np.zeros(self.statistics.columns)
        self.errors: Int[Array, "kinds"] = np.zeros(len(ERRORS), dtype=np.int64)
        """How many of each kind of `ERRORS` there were, by conlleval's reading."""
        self._index = {name: i for i, name in enumerate(self.types)}

    @property
    def headline(self) -> str:
        return "accuracy" if self.scheme == "words" else "conlleval_f1"

    @property
    def rows(self) -> int:
        """Sentences seen."""
        return int(self.sums[0])

    def update(self, truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
        """Adds sentences by the tags of their words.

        Raises `DataError` where a sentence has more predictions than words, or fewer, or a type is unknown.
        """
        statistics = np.zeros((len(truth), self.statistics.columns))
        for row, (true, found) in enumerate(zip(truth, predicted, strict=True)):
            if len(true) != len(found):
                raise DataError(f"sentence {row} has {len(true)} words, but {len(found)} tags were predicted")
            right = sum(a == b for a, b in zip(true, found, strict=True))
            statistics[row, :3] = 1, right, len(true)
            for place, convention in enumerate(CONVENTIONS):
                spans = [spans_of(tags, self.scheme, convention) for tags in (true, found)]
                self._count(statistics[row], place, *spans)
            self.statistics.has_words = True
        self._add(statistics)

    def update_spans(self, truth: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> None:
        """Adds texts by their spans, in characters. Raises `DataError` where a type is unknown."""
        statistics = np.zeros((len(truth), self.statistics.columns))
        statistics[:, 0] = 1
        for row, (true, found) in enumerate(zip(truth, predicted, strict=True)):
            for place in range(len(CONVENTIONS)):
                self._count(statistics[row], place, list(true), list(found))
        self._add(statistics)

    def _add(self, statistics: Float[Array, "rows columns"]) -> None:
        self.sums += statistics.sum(axis=0)
        if self.replicates is not None and len(statistics):
            self.replicates.add(statistics)

    def _count(self, out: Float[Array, "columns"], convention: int, true: list[Span], found: list[Span]) -> None:
        """Adds the spans of one sentence to its own statistics."""
        counts = out[3:].reshape(2, 3, len(self.types))[convention]
        right = set(true) & set(found)
        for place, spans in enumerate((right, set(found), set(true))):
            for span in spans:
                if span.label not in self._index:
                    raise DataError(f"the label {span.label!r} is none of {', '.join(self.types[:8])}.{nearest(span.label, self.types)}")
                counts[place, self._index[span.label]] += 1
        if convention == 0:
            self.errors += count_errors(true, found)

    def merge(self, other: "SpanMetrics") -> None:
        """Adds the sentences that `other` has seen. Raises `DataError` where its types, scheme or replicates differ."""
        if (other.types, other.scheme) != (self.types, self.scheme):
            raise DataError("metrics of different labels or schemes cannot be merged")
        merge_replicates(self.replicates, other.replicates)
        self.sums += other.sums
        self.errors += other.errors
        self.statistics.has_words |= other.statistics.has_words

    def compute(self) -> dict[str, Any]:
        """All metrics of the sentences seen; shares lie in [0, 1], and are 0 where nothing was to be found or predicted.

        - `conlleval_precision`, `conlleval_recall`, `conlleval_f1`: over all spans (micro), by conlleval's reading;
        - `strict_precision`, `strict_recall`, `strict_f1`: the same of spans spelled by the rules of `scheme`;
        - `macro_f1`: the mean of F1 (conlleval) over the types that occur among targets or predictions;
        - `word_accuracy`: the share of words with the right tag, where words were given;
        - `per_type`: precision, recall and F1 (conlleval), support and the strict F1 of each type;
        - `errors`: how many there were of each kind (`ERRORS`), and `correct`, the true spans that were found;
        - for the scheme "words": `accuracy`, `macro_f1` and `per_type` instead;
        - `intervals`, with replicates: [low, high] of each metric that is one number.

        Raises `DataError` where no sentence was seen.
        """
        require_rows(self.rows)
        counts = self.sums[3:].reshape(2, 3, len(self.types)).astype(np.int64)
        values = {name: float(value) for name, value in self.statistics.values(self.sums).items()}
        per_type = per_label_rows([name or NAMELESS for name in self.types], *counts[0])
        out: dict[str, Any] = {"rows": self.rows, **({"words": int(self.sums[2])} if self.statistics.has_words else {}), **values}
        if self.statistics.spans:
            strict = ratio(2 * counts[1, 0], counts[1, 1] + counts[1, 2]).tolist()
            per_type = [{**row, "strict_f1": value} for row, value in zip(per_type, strict, strict=True)]
            out["errors"] = {"correct": int(counts[0, 0].sum()), **dict(zip(ERRORS, self.errors.tolist(), strict=True))}
        return {**out, "scheme": self.scheme, "per_type": per_type, **interval_lists(self.statistics, self.replicates)}


def count_errors(true: Sequence[Span], found: Sequence[Span]) -> Int[Array, "kinds"]:
    """How many errors of each kind of `ERRORS` there are in a sentence.

    Each true span that was not found counts once: as `type` where a prediction has its borders; else as `boundary` where one
    that is not right itself touches it and has its label, as `boundary_and_type` where only others touch it; else as `missed`.

    >>> count_errors([Span(0, 2, "PER"), Span(4, 5, "LOC")], [Span(0, 1, "PER"), Span(7, 8, "ORG")]).tolist()
    [1, 0, 0, 1, 1]
    """
    kinds = [error_kind(span, true, found) for span in true if span not in set(found)]
    kinds += ["spurious" for span in found if not any(_touch(span, other) for other in true)]
    return np.array([kinds.count(kind) for kind in ERRORS], dtype=np.int64)


def error_kind(span: Span, true: Sequence[Span], found: Sequence[Span]) -> str:
    """What went wrong with a true span that was not found."""
    near = [other for other in found if other not in set(true) and _touch(span, other)]
    if any((other.start, other.end) == (span.start, span.end) for other in near):
        return "type"
    if any(other.label == span.label for other in near):
        return "boundary"
    return "boundary_and_type" if near else "missed"


def _touch(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
