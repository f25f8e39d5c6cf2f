"""Changed copies of texts: whole words, the promised shares, a function of their number."""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bertworks.data.corpus.copies import DROPPED, MOST_CHANGED, REPLACED, TURNED, UNCHANGED, changed_copy

FOREIGN = 1_000_000


def source_of(lengths: list[int]) -> Any:
    """Documents of words with these numbers of tokens, over and over; tokens count up from `FOREIGN`."""
    begins = np.zeros(sum(lengths) * 50, dtype=bool)
    begins[np.cumsum([0, *lengths * 50])[:-1]] = True
    return SimpleNamespace(tokens=np.arange(FOREIGN, FOREIGN + len(begins)), word_starts=lambda start, stop: begins[start:stop])


def text_of(words: int, longest: int = 3) -> tuple[Any, Any]:
    """A text of words of 1, 2 … tokens in turn, all of them different."""
    lengths = [1 + i % longest for i in range(words)]
    begins = np.zeros(sum(lengths), dtype=bool)
    begins[np.cumsum([0, *lengths])[:-1]] = True
    return np.arange(100, 100 + len(begins)), begins


def words_of(tokens: Any, begins: Any) -> list[tuple[int, ...]]:
    return [tuple(word.tolist()) for word in np.split(tokens, np.flatnonzero(begins)[1:])]


def test_copies_are_made_of_whole_words_in_the_promised_shares() -> None:
    tokens, begins = text_of(60)
    source, own = source_of([2, 1, 4]), words_of(tokens, begins)
    unchanged, turned, shares, kinds = 0, 0, [], Counter[str]()
    for number in range(2000):
        copied = words_of(*changed_copy(tokens, begins, source, at_most=10_000, seed=3, number=number))
        kept = [word for word in copied if word[0] < FOREIGN]
        assert set(kept) <= set(own)
        assert len(set(kept)) == len(kept)
        for word in set(copied) - set(kept):
            assert len(word) in (1, 2, 4) or word[-1] == source.tokens[-1], "a whole word, or the end of the source"
            assert word == tuple(range(word[0], word[0] + len(word)))
        starts = [word[0] for word in kept]
        falls = sum(b < a for a, b in pairwise(starts))
        assert falls <= 1, "two parts at most"
        turned += falls
        unchanged += copied == own or (falls == 1 and sorted(copied) == own)
        foreign = len(copied) - len(kept)
        missing = len(own) - len(kept)
        shares.append((missing + foreign) / len(own))
        kinds.update(missing=missing, foreign=foreign)
    assert unchanged / 2000 == pytest.approx(UNCHANGED, abs=0.04)  # some are unchanged as no word's lot falls on it
    assert turned / 2000 == pytest.approx(TURNED * 59 / 60, abs=0.03)
    # of the changed words two in three are missing, two in three bring a foreign one
    changes = DROPPED + 2 * REPLACED + (1 - DROPPED - REPLACED)
    assert np.mean(shares) == pytest.approx((1 - UNCHANGED) * MOST_CHANGED / 2 * changes, rel=0.05)
    assert kinds["missing"] == pytest.approx(kinds["foreign"], rel=0.03)


def test_a_copy_is_a_function_of_seed_and_number() -> None:
    tokens, begins = text_of(30)
    source = source_of([1])
    copies = {
        (seed, number): tuple(changed_copy(tokens, begins, source, at_most=99, seed=seed, number=number)[0])
        for seed in (0, 1)
        for number in range(20)
    }
    large = changed_copy(tokens, begins, source, at_most=99, seed=2**64 + 1, number=7)[0]
    assert tuple(large) == copies[1, 7], "seeds of any size"
    again = tuple(changed_copy(tokens, begins, source, at_most=99, seed=1, number=7)[0])
    assert again == copies[1, 7]
    assert len(set(copies.values())) > 30


@pytest.mark.parametrize("words", [1, 2])
def test_short_texts_and_limits(words: int) -> None:
    tokens, begins = text_of(words)
    begins[0] = False  # the text begins within a word
    source = source_of([9])
    for number in range(200):
        copied, starts = changed_copy(tokens, begins, source, at_most=len(tokens), seed=0, number=number)
        assert 1 <= len(copied) == len(starts) <= len(tokens)
        assert starts[0]
