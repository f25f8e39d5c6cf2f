"""Learning merges: the definition word for word, the library `tokenizers`, and numbers worked out by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from bertworks.tokenization import merges
from bertworks.tokenization.merges import learn_merges

ALPHABET = "abcd"


def learnt(words: dict[str, int], minimum_count: int, most: int) -> list[tuple[str, str]]:
    """The merges of words written in `ALPHABET`."""
    symbols = np.array([ALPHABET.index(character) for word in words for character in word])
    lengths, counts = np.array([len(word) for word in words]), np.array(list(words.values()))
    names, pairs = list(ALPHABET), []
    for left, right in learn_merges(symbols, lengths, counts, len(ALPHABET), minimum_count=minimum_count):
        pairs.append((names[left], names[right]))
        names.append(names[left] + names[right])
        if len(pairs) == most:
            break
    return pairs


def cut(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """A word as merges cut it: again and again the earliest merge that applies, the leftmost place first."""
    pieces = list(word)
    while True:
        places = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not places:
            return pieces
        at = min(places)[1]
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


def slowly_learnt(words: dict[str, int], minimum_count: int, most: int) -> list[tuple[str, str]]:
    """Every word is cut anew for every merge, and all pairs are counted."""
    known, ranks = list(ALPHABET), dict[tuple[str, str], int]()
    while len(ranks) < most:
        counts: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            pieces = cut(word, ranks)
            for pair in pairwise(pieces):
                counts[pair] += count
        frequent = [pair for pair, count in counts.items() if count >= minimum_count]
        if not frequent:
            break
        pair = min(frequent, key=lambda pair: (-counts[pair], known.index(pair[0]), known.index(pair[1])))
        assert pair not in ranks
        assert pair[0] + pair[1] not in known
        ranks[pair] = len(ranks)
        known.append(pair[0] + pair[1])
    return list(ranks)


WORDS = st.dictionaries(st.text(ALPHABET, min_size=1, max_size=14), st.integers(1, 9), min_size=1, max_size=12)


@given(words=WORDS, minimum_count=st.integers(1, 4), most=st.integers(1, 60))
def test_merges_are_those_of_the_definition(words: dict[str, int], minimum_count: int, most: int) -> None:
    assert learnt(words, minimum_count, most) == slowly_learnt(words, minimum_count, most)


@given(words=st.dictionaries(st.text("ab", min_size=1, max_size=40), st.integers(1, 3), min_size=1, max_size=4))
def test_repeated_letters(words: dict[str, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merges, "_AT_ONCE", 3)  # as for texts of many millions of characters
        assert learnt(words, 1, 100) == slowly_learnt(words, 1, 100)


def test_by_hand() -> None:
    """aab 3 ×, ab 2 ×, cab 1 ×: a b stands 6 times, then a ab 3 times, then c ab once; a a is never merged."""
    assert learnt({"aab": 3, "ab": 2, "cab": 1}, 1, 9) == [("a", "b"), ("a", "ab"), ("c", "ab")]
    assert learnt({"aab": 3, "ab": 2, "cab": 1}, 2, 9) == [("a", "b"), ("a", "ab")]
    assert learnt({"aaaaa": 1}, 1, 9) == [("a", "a"), ("aa", "a"), ("aa", "aaa")]
    assert learnt({"a": 5}, 1, 9) == []


def test_of_equally_frequent_pairs_the_one_of_earlier_symbols() -> None:
    assert learnt({"dc": 2, "bd": 2, "ca": 2, "bc": 2}, 1, 9) == [("b", "c"), ("b", "d"), ("c", "a"), ("d", "c")]


@pytest.mark.parametrize("seed", range(3))
def test_merges_are_those_of_the_tokenizers_library(seed: int) -> None:
    draws = np.random.Generator(np.random.PCG64(seed))
    texts = ["".join(draws.choice(list("aabbcd "), 30)) for _ in range(60)]
    counts = Counter(word for text in texts for word in text.split())
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=200, min_frequency=2, initial_alphabet=list(ALPHABET), show_progress=False)
    backend.train_from_iterator(texts, trainer)
    pieces = [backend.id_to_token(number) for number in range(backend.get_vocab_size())]
    ours = learnt(dict(counts), 2, 200 - len(ALPHABET))
    assert pieces == [*ALPHABET, *(left + right for left, right in ours)]
