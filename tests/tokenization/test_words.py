"""Words of texts, and the units that labels can be given to."""

import itertools
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.tokenization import Tokenizer
from bertworks.tokenization.words import joined, joiners_of, units_of, word_spans, words_joined_by
from tests.tokenization.conftest import FAMILIES

TEXT = st.text(alphabet=st.sampled_from("ab Z9-.'_\n\u00a0\u200d\u0301é博東ไท😀$₤\t"), max_size=24)


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in word_spans(text).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.S.-led", ["U", ".", "S", ".", "-", "led"]),
        ("California.", ["California", "."]),
        ("a_b  c\tд", ["a", "_", "b", "c", "д"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("東京は", ["東", "京", "は"]),
        ("👍🏽ok", ["👍", "🏽", "ok"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(TEXT)
def test_words_hold_every_character_that_is_no_space_once(text: str) -> None:
    covered = np.zeros(len(text), dtype=int)
    for start, end in word_spans(text).tolist():
        assert start < end
        covered[start:end] += 1
    for character, times in zip(text, covered, strict=True):
        blank = character.isspace() or unicodedata.category(character) == "Cc"
        assert times == (0 if blank else 1)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=30))
def test_the_fast_way_for_plain_texts_is_the_slow_one(text: str) -> None:
    assert words(text) == [w for part in (text + "é").split("é") for w in words(part)][: len(words(text))]
    marked = word_spans(text + " é")[:-1]
    assert marked.tolist() == word_spans(text).tolist()


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXT)
def test_units_have_borders_of_words_and_of_tokens(small: Callable[[str], Tokenizer], family: str, text: str) -> None:
    encoding = small(family).encode(text + " dog")
    whole = encoding.texts[0]
    parts = word_spans(whole._text)
    units = units_of(parts, whole.offsets)
    spans, tokens = units.spans.tolist(), units.tokens.tolist()
    assert set(np.array(spans)[:, 0]) <= set(parts[:, 0].tolist())
    assert set(np.array(spans)[:, 1]) <= set(parts[:, 1].tolist())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    for (start, end), token in zip(spans, tokens, strict=True):
        assert start <= whole.offsets[token, 0] < end
        earlier = whole.offsets[:token]
        assert not ((earlier[:, 0] >= start) & (earlier[:, 0] < end) & (earlier[:, 0] < earlier[:, 1])).any()
    for first, last in whole.offsets.tolist():  # no token lies across a border
        assert not any(first < border < last for border in {border for span in spans for border in span})


def test_joined_words_stand_where_they_are_said_to() -> None:
    text, spans = joined(["New York", "", "is", "big"])
    assert text == "New York  is big"
    assert [text[a:b] for a, b in spans.tolist()] == ["New York", "", "is", "big"]
    assert joined([])[1].shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "joiners", "expected"),
    [
        ("Jean-Claude met O'Neill.", "-'", ["Jean-Claude", "met", "O'Neill", "."]),
        ("in the U.S. now", ".", ["in", "the", "U.S.", "now"]),
        ("the end.", ".", ["the", "end", "."]),
        ("www.x.com.", ".", ["www.x.com", "."]),
        ("- a - b -", "-", ["-", "a", "-", "b", "-"]),
        ("x--y", "-", ["x", "-", "-", "y"]),
        ("a-b", "", ["a", "-", "b"]),
    ],
)
def test_words_are_joined_within(text: str, joiners: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in words_joined_by(text, joiners).tolist()] == expected
    assert words_joined_by("", joiners).shape == (0, 2)


def test_joiners_are_told_by_the_words_of_the_data() -> None:
    glued = [["the", "so-called", "U.S.", "law"], ["an", "on-going", "case", "."]]
    apart = [["a", "190", "-", "kD", "protein"], ["BRCA1", "-", "linked"]]
    assert joiners_of(glued) == "-."
    assert joiners_of(apart) == ""
    assert joiners_of([*glued, *apart, *apart]) == "."
