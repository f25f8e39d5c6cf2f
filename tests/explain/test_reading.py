"""Words, their places in the original text, and what stands between them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.explain import Reading
from bertworks.tokenization import Tokenizer

from .conftest import LONG


@pytest.fixture(scope="session")
def read(tiny_tokenizer: Tokenizer) -> Callable[..., Reading]:
    def reading(*texts: str, **options: Any) -> Reading:
        return Reading.of(texts, tiny_tokenizer.encode_batch(texts[:1], texts[1:] or None, **options)[0])

    return reading


@given(text=st.text(st.sampled_from("ab The film . ,!\n\tÉ好🙂\u00a0"), max_size=60), limit=st.sampled_from([None, 8]))
@pytest.mark.parametrize("overflow", ["window", "truncate", "head_tail"])
def test_runs_are_the_whole_text(read: Callable[..., Reading], text: str, limit: int | None, overflow: str) -> None:
    reading = read(text, max_tokens=limit, overflow=overflow)
    runs = reading.runs(0)
    assert "".join(run for run, _ in runs) == text
    assert [number for _, number in runs if number is not None] == list(range(len(reading.words)))
    assert all(run == reading.words[number].text for run, number in runs if number is not None)
    assert all(text[word.start : word.end] == word.text for word in reading.words)


def test_pieces_of_a_word_are_summed(read: Callable[..., Reading]) -> None:
    reading = read("the xyz film")
    assert reading.windows[0].tokens == ["[CLS]", "the", "x", "##y", "##z", "film", "[SEP]"]
    assert [word.text for word in reading.words] == ["the", "xyz", "film"]
    assert reading.by_word(np.array([100.0, 1, 2, 4, 8, 16, 100])).tolist() == [1, 14, 16]


def test_pairs_keep_their_words_apart(read: Callable[..., Reading]) -> None:
    reading = read("the film", "the soup is the soup")
    assert [(word.text, word.part, word.start) for word in reading.words] == [
        ("the", 0, 0),
        ("film", 0, 4),
        ("the", 1, 0),
        ("soup", 1, 4),
        ("is", 1, 9),
        ("the", 1, 12),
        ("soup", 1, 16),
    ]
    assert reading.special.tolist() == [True, False, False, True, False, False, False, False, False, True]


def test_a_word_in_two_windows_is_one_word(read: Callable[..., Reading]) -> None:
    whole, parts = read(LONG), read(LONG, max_tokens=20)
    assert len(parts.windows) > 3
    assert parts.words == whole.words
    counts = parts.by_word(np.ones(parts.batch.tokens))
    assert counts.min() >= 1
    assert counts.max() >= 2
    assert counts.sum() == (~parts.special).sum()


def test_what_is_not_read_is_no_word(read: Callable[..., Reading]) -> None:
    reading = read(LONG, max_tokens=12, overflow="head_tail")
    assert reading.truncated_tokens > 0
    between = [run for run, number in reading.runs(0) if number is None and not run.isspace()]
    assert len(between) == 1
    assert len(between[0].split()) > 20
