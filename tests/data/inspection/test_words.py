"""Words as hashes, against words as Python finds them."""

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.inspection import words as module
from bertworks.data.inspection.words import WordHasher


def words_of(text: str) -> list[str]:
    """Runs of letters, marks and digits, one character at a time."""
    spaced = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text.casefold())
    return re.findall(r"[^ ]+", spaced)


HASHER = WordHasher()


def hashes_of(texts: list[str], hasher: WordHasher = HASHER) -> list[list[int]]:
    return [words[start:end].tolist() for _, words, starts in hasher.blocks(texts) for start, end in pairwise(starts)]


LATIN = st.text(st.characters(codec="latin-1"), max_size=40)
GREEK_AND_INDIAN = st.text("αβγ ςΣ-ािक ख ٣ é é", max_size=30)


@given(st.lists(LATIN | GREEK_AND_INDIAN, max_size=6))
def test_equal_words_have_equal_hashes_and_others_have_others(texts: list[str]) -> None:
    found = hashes_of(texts)
    assert [len(hashes) for hashes in found] == [len(words_of(text)) for text in texts]
    by_word: dict[str, int] = {}
    for text, hashes in zip(texts, found, strict=True):
        for word, value in zip(words_of(text), hashes, strict=True):
            assert by_word.setdefault(word, value) == value
    assert len(set(by_word.values())) == len(by_word)


def test_many_words_do_not_collide() -> None:
    texts = [" ".join(f"{number:x} {number}z x{number}" for number in range(start, start + 1000)) for start in range(0, 50_000, 1000)]
    words = {word for text in texts for word in words_of(text)}
    assert len({value for hashes in hashes_of(texts) for value in hashes}) == len(words)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["One fine day.", "", "a much longer text than a block of sixteen characters has", "日本語です", "fine"]
    whole = hashes_of(texts)
    monkeypatch.setattr(module, "_BLOCK", 16)
    assert hashes_of(texts, WordHasher()) == whole
    assert len(list(WordHasher().blocks(texts))) > 1


def test_characters_of_scripts_without_spaces_are_words() -> None:
    (chinese, mixed) = hashes_of(["日本", "ab日 本cd"])
    assert mixed[1:3] == chinese
    assert len(mixed) == 4
