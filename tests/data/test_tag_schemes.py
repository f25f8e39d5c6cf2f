"""Schemes of tags, held against seqeval and against each other."""

import itertools
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.tag_schemes import (
    SCHEMES,
    Scheme,
    Span,
    all_tags,
    begins,
    checked_scheme,
    faults,
    guess_scheme,
    scheme_of_tags,
    spans_of,
    tags_of,
)
from bertworks.errors import SettingsError

WITH_PREFIXES: tuple[Scheme, ...] = ("IOB1", "IOB2", "BIOES")


@st.composite
def tagged(draw: st.DrawFn, schemes: tuple[Scheme, ...] = SCHEMES) -> tuple[Scheme, list[str]]:
    scheme = draw(st.sampled_from(schemes))
    return scheme, draw(st.lists(st.sampled_from(all_tags(["PER", "creative-work"], scheme)), max_size=9))


@st.composite
def spanned(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans that do not overlap, with room between some of them."""
    spans, place = [], 0
    for length, gap, label in draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.sampled_from(["PER", "LOC"])), max_size=5)):
        spans.append(Span(place + gap, place + gap + length, label))
        place += gap + length
    return spans, place + draw(st.integers(0, 2))


@given(spanned(), st.sampled_from(["IOB1", "IOB2", "BIOES", "BILOU"]))
def test_spans_come_back_from_their_tags(case: tuple[list[Span], int], scheme: Scheme) -> None:
    spans, words = case
    tags = tags_of(spans, words, scheme)
    assert not faults(tags, scheme)
    assert spans_of(tags, scheme) == spans == spans_of(tags, scheme, "strict")


@given(tagged())
def test_tags_without_faults_come_back_from_their_spans(case: tuple[Scheme, list[str]]) -> None:
    scheme, tags = case
    if scheme not in ("words", "IO") and not faults(tags, scheme):
        assert tags_of(spans_of(tags, scheme), len(tags), scheme) == tags


def slow_chunks(tags: list[str]) -> set[tuple[int, int, str]]:
    """conlleval's rules as the Perl script has them, tag by tag (Tjong Kim Sang & Buchholz 2000)."""

    def ends(p: str, t: str, p_type: str, t_type: str) -> bool:
        return p in "ES" or (p in "BI" and t in "BSO") or (p != "O" and p_type != t_type)

    def starts(p: str, t: str, p_type: str, t_type: str) -> bool:
        return t in "BS" or (p in "ESO" and t in "EI") or (t != "O" and p_type != t_type)

    found, begin, previous, previous_type = set(), 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        if previous != "O" and ends(previous, prefix, previous_type, kind):
            found.add((begin, i, previous_type))
        if starts(previous, prefix, previous_type, kind):
            begin = i
        previous, previous_type = prefix, kind
    return found


@given(tagged(WITH_PREFIXES))
def test_spans_are_those_of_conlleval(case: tuple[Scheme, list[str]]) -> None:
    assert set(spans_of(case[1], case[0])) == slow_chunks(case[1])


@given(tagged(("IOB1", "IOB2", "BIOES", "BILOU")))
def test_spans_are_those_of_seqeval(case: tuple[Scheme, list[str]]) -> None:
    scheme: Any = pytest.importorskip("seqeval.scheme")
    labeling: Any = pytest.importorskip("seqeval.metrics.sequence_labeling")
    name, tags = case
    if name != "BILOU":  # seqeval's default mode does not know its letters
        assert {(s.label, s.start, s.end - 1) for s in spans_of(tags, name)} == set(labeling.get_entities(tags))
    broken = any(a[0] == b[0] == "B" and a[1:] != b[1:] for a, b in itertools.pairwise(tags))
    if name == "IOB1" and broken:
        return  # there seqeval drops an entity of one word for a fault of the next one's
    kind = {"IOB1": scheme.IOB1, "IOB2": scheme.IOB2, "BIOES": scheme.IOBES, "BILOU": scheme.BILOU}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {(e.start, e.end, e.tag) for sentence in scheme.Entities([tags], kind).entities for e in sentence}
    assert {(s.start, s.end, s.label) for s in spans_of(tags, name, "strict")} == theirs


@given(tagged())
def test_a_span_begins_where_conlleval_says_so(case: tuple[Scheme, list[str]]) -> None:
    scheme, tags = case
    starts = [i for i, (a, b) in enumerate(zip(["O", *tags], tags, strict=False)) if begins(a, b, scheme)]
    assert starts == [span.start for span in spans_of(tags, scheme)]


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ([["I-PER", "I-PER", "O"], ["O", "I-LOC", "B-LOC"]], "IOB1"),
        ([["B-PER", "I-PER", "O"], ["O", "B-LOC", "B-LOC"]], "IOB2"),
        ([["B-PER", "O", "I-PER"], ["B-PER", "O", "B-LOC"], ["B-PER"]], "IOB2"),  # one fault is no other scheme
        ([["O", "O"]], "IOB2"),
        ([["B-PER", "E-PER", "S-LOC", "O"]], "BIOES"),
        ([["B-PER", "L-PER", "U-LOC", "O"]], "BILOU"),
        ([["B", "I", "O"], ["O", "B"]], "IOB2"),
        ([["person", "person", "O"]], "IO"),
        ([["DET", "NOUN"], ["VERB", "X"]], "words"),
        ([["person-actor", "O"]], "IO"),
    ],
)
def test_the_scheme_is_told_by_the_tags(sentences: list[list[str]], scheme: str) -> None:
    assert guess_scheme(sentences) == scheme


def test_the_scheme_of_a_set_of_tags() -> None:
    assert scheme_of_tags(["O", "B-PER", "I-PER"]) == "IOB2"
    assert scheme_of_tags(["LABEL_0", "LABEL_1"]) == "words"


def test_an_unknown_scheme_is_named_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'BIOES'"):
        checked_scheme("bioe")


def test_where_a_scheme_has_no_prefixes_a_tag_is_its_own_type() -> None:
    tags = ["B-cell", "B-cell", "O-ring", "O", "B-cell"]
    spans = [Span(0, 2, "B-cell"), Span(2, 3, "O-ring"), Span(4, 5, "B-cell")]
    assert spans_of(tags, "IO") == spans_of(tags, "IO", "strict") == spans
    assert tags_of(spans, 5, "IO") == tags
