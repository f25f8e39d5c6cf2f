"""Metrics of spans: published cases, seqeval, scikit-learn, and counting by hand."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from bertworks.data.tag_schemes import Scheme, Span, all_tags, spans_of
from bertworks.errors import DataError
from bertworks.evaluation.spans import ERRORS, SpanMetrics, count_errors
from bertworks.evaluation.word_lookup import WordLookup

TYPES = ("PER", "LOC", "ORG")
Rows = list[tuple[list[str], list[str]]]


@st.composite
def sentences(draw: st.DrawFn, scheme: Scheme) -> Rows:
    tags = st.sampled_from(all_tags(TYPES, scheme))
    words = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    return [(draw(st.lists(tags, min_size=n, max_size=n)), draw(st.lists(tags, min_size=n, max_size=n))) for n in words]


def measured(rows: Rows, scheme: Scheme, **options: Any) -> dict[str, Any]:
    metrics = SpanMetrics(TYPES, scheme, **options)
    metrics.update([true for true, _ in rows], [found for _, found in rows])
    return metrics.compute()


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES", "IOB1"])
@given(data=st.data())
def test_equal_to_seqeval(scheme: Scheme, data: st.DataObject) -> None:
    seqeval: Any = pytest.importorskip("seqeval.metrics")
    schemes: Any = pytest.importorskip("seqeval.scheme")
    rows = data.draw(sentences(scheme))
    true, found = [list(t) for t, _ in rows], [list(f) for _, f in rows]
    got = measured(rows, scheme)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function in (("precision", seqeval.precision_score), ("recall", seqeval.recall_score), ("f1", seqeval.f1_score)):
            assert got[f"conlleval_{name}"] == pytest.approx(function(true, found, zero_division=0))
        assert got["macro_f1"] == pytest.approx(
            seqeval.f1_score(true, found, average="macro", zero_division=0) if _any(rows, scheme) else 0
        )
        assert got["word_accuracy"] == pytest.approx(seqeval.accuracy_score(true, found))
        if scheme != "IOB1":  # its strict reading of IOB1 drops some entities for a fault of the next one
            kind = {"IOB2": schemes.IOB2, "BIOES": schemes.IOBES}[scheme]
            strict = _strict_f1(seqeval, true, found, kind)
            assert got["strict_f1"] == pytest.approx(strict)


def _any(rows: Rows, scheme: Scheme) -> bool:
    return any(spans_of(tags, scheme) for row in rows for tags in row)


def _strict_f1(seqeval: Any, true: list[list[str]], found: list[list[str]], kind: Any) -> float:
    try:
        return float(seqeval.f1_score(true, found, mode="strict", scheme=kind, zero_division=0))
    except ValueError:  # no entity by the strict reading on either side
        return 0.0


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU", "IO"])
@given(data=st.data())
def test_counted_one_by_one(scheme: Scheme, data: st.DataObject) -> None:
    rows = data.draw(sentences(scheme))
    got = measured(rows, scheme)
    for convention in ("conlleval", "strict"):
        true = {(i, *s) for i, (t, _) in enumerate(rows) for s in spans_of(t, scheme, convention)}  # type: ignore[arg-type]
        found = {(i, *s) for i, (_, f) in enumerate(rows) for s in spans_of(f, scheme, convention)}  # type: ignore[arg-type]
        right = len(true & found)
        assert got[f"{convention}_precision"] == (right / len(found) if found else 0)
        assert got[f"{convention}_recall"] == (right / len(true) if true else 0)
        assert got[f"{convention}_f1"] == pytest.approx(2 * right / (len(true) + len(found)) if true or found else 0)
    assert sum(row["support"] for row in got["per_type"]) == sum(len(spans_of(t, scheme)) for t, _ in rows)
    kinds = got["errors"]
    assert kinds["correct"] + sum(kinds[name] for name in ERRORS[:4]) == sum(len(spans_of(t, scheme)) for t, _ in rows)


def test_seqevals_published_examples() -> None:
    """From the README of seqeval 1.2.2."""
    rows = [
        (["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"]),
        (["B-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"]),
    ]
    metrics = SpanMetrics(["MISC", "PER"], "IOB2")
    metrics.update([true for true, _ in rows], [found for _, found in rows])
    found = metrics.compute()
    assert found["conlleval_f1"] == 0.5
    assert found["word_accuracy"] == 0.8
    assert [(row["label"], row["f1"], row["support"]) for row in found["per_type"]] == [("MISC", 0.0, 1), ("PER", 1.0, 1)]
    assert found["errors"] == {"correct": 1, "boundary": 1, "type": 0, "boundary_and_type": 0, "missed": 0, "spurious": 0}
    strict = SpanMetrics(["NP"], "IOB2")
    strict.update([["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]])
    assert (strict.compute()["conlleval_f1"], strict.compute()["strict_f1"]) == (1.0, 0.0)


@given(data=st.data())
def test_labels_of_words_are_scikit_learns(data: st.DataObject) -> None:
    rows = data.draw(sentences("words"))
    got = measured(rows, "words")
    true, found = [t for row, _ in rows for t in row], [f for _, row in rows for f in row]
    assert got["accuracy"] == pytest.approx(np.mean([a == b for a, b in zip(true, found, strict=True)]))
    assert got["macro_f1"] == pytest.approx(f1_score(true, found, average="macro", labels=sorted({*true, *found}), zero_division=0))


@pytest.mark.parametrize(
    ("true", "found", "expected"),
    [
        ([(0, 2, "A")], [(0, 2, "A")], {}),
        ([(0, 2, "A")], [(0, 2, "B")], {"type": 1}),
        ([(0, 2, "A")], [(1, 2, "A")], {"boundary": 1}),
        ([(0, 2, "A")], [(1, 3, "B")], {"boundary_and_type": 1}),
        ([(0, 2, "A")], [], {"missed": 1}),
        ([], [(0, 2, "A")], {"spurious": 1}),
        ([(0, 4, "A")], [(0, 1, "A"), (3, 4, "B")], {"boundary": 1}),
        ([(0, 1, "A"), (1, 2, "A")], [(0, 2, "A")], {"boundary": 2}),
        ([(0, 1, "A"), (3, 4, "A")], [(0, 1, "A"), (5, 6, "A")], {"missed": 1, "spurious": 1}),
    ],
)
def test_kinds_of_errors(true: list[Any], found: list[Any], expected: dict[str, int]) -> None:
    counts = dict(zip(ERRORS, count_errors([Span(*s) for s in true], [Span(*s) for s in found]).tolist(), strict=True))
    assert {name: count for name, count in counts.items() if count} == expected


def test_parts_merge_to_the_whole_with_the_same_intervals() -> None:
    draw = np.random.default_rng(0)
    tags = all_tags(TYPES, "IOB2")
    rows = [(draw.choice(tags, 6).tolist(), draw.choice(tags, 6).tolist()) for _ in range(120)]
    whole = measured(rows, "IOB2", replicates=200)
    first, second = SpanMetrics(TYPES, "IOB2", replicates=200), SpanMetrics(TYPES, "IOB2", replicates=200, first_row=50)
    first.update([t for t, _ in rows[:50]], [f for _, f in rows[:50]])
    second.update([t for t, _ in rows[50:]], [f for _, f in rows[50:]])
    first.merge(second)
    merged = first.compute()
    assert merged == {**whole, "intervals": merged["intervals"]}
    for name, ends in whole["intervals"].items():
        assert merged["intervals"][name] == pytest.approx(ends)
    low, high = whole["intervals"]["conlleval_f1"]
    assert low < whole["conlleval_f1"] < high


def test_intervals_resample_sentences_not_words() -> None:
    """Twice the same words in half as many sentences: the interval of the fewer, longer sentences is wider."""
    draw = np.random.default_rng(1)
    good = draw.random(200) < 0.7
    one = [(["B-PER"], ["B-PER" if g else "O"]) for g in good]
    long = [(["B-PER"] * 10, ["B-PER" if g else "O"] * 10) for g in good[:20]]
    wide, narrow = measured(long, "IOB2", replicates=400), measured(one, "IOB2", replicates=400)
    assert np.diff(wide["intervals"]["conlleval_recall"])[0] > 2 * np.diff(narrow["intervals"]["conlleval_recall"])[0]


def test_spans_of_characters_and_errors() -> None:
    metrics = SpanMetrics(["PER"], "IOB2")
    metrics.update_spans([[Span(0, 9, "PER")]], [[Span(0, 9, "PER"), Span(12, 14, "PER")]])
    found = metrics.compute()
    assert (found["conlleval_precision"], found["conlleval_recall"], found["strict_f1"]) == (0.5, 1.0, found["conlleval_f1"])
    assert "word_accuracy" not in found
    with pytest.raises(DataError, match="label 'LOC' is none of"):
        metrics.update_spans([[Span(0, 1, "LOC")]], [[]])
    with pytest.raises(DataError, match="3 words, but 1 tags"):
        metrics.update([["O", "O", "O"]], [["O"]])
    with pytest.raises(DataError, match="no rows"):
        SpanMetrics(["PER"], "IOB2").compute()


def test_the_lookup_knows_words_only() -> None:
    lookup = WordLookup("words")
    lookup.add(["run", "run", "run", "the"], ["VERB", "NOUN", "NOUN", "DET"])
    assert lookup.tags(["run", "the", "unheard"]) == ["NOUN", "DET", "NOUN"]
