"""Words of a text, the same for every tokenizer as far as that is possible: what labels are given to, and answers made of.

A tokenizer's own words differ from family to family: some keep the full stop with the word before it, some the space. Here
a word is a run of letters, digits and marks; a punctuation mark or symbol is a word by itself, and so is a character of a
script that is written without spaces (Chinese, Japanese, Thai …). Where a token crosses a border of such words, they are
one: a unit is the smallest stretch of text whose borders are borders of words and of tokens alike.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array

_ASCII_WORD = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9\x00-\x1f\x7f]")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Hiragana, Katakana, Han."""
_GAP, _LETTER, _ALONE, _CLINGING = range(4)


def word_spans(text: str) -> Int[Array, "words 2"]:
    """The spans of the words of a text, in characters.

    >>> [("The U.S.-led plan cost $5."[a:b]) for a, b in word_spans("The U.S.-led plan cost $5.").tolist()]
    ['The', 'U', '.', 'S', '.', '-', 'led', 'plan', 'cost', '$', '5', '.']
    """
    spans = [found.span() for found in _ASCII_WORD.finditer(text)] if text.isascii() else _spans_of_any(text)
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _spans_of_any(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    before = _GAP
    for place, kind in enumerate(map(_kind, text)):
        if kind == _CLINGING and before != _GAP:  # a mark belongs to the character before it
            spans[-1] = (spans[-1][0], place + 1)
            continue
        kind = _LETTER if kind == _CLINGING else kind
        if kind == _LETTER and before == _LETTER:
            spans[-1] = (spans[-1][0], place + 1)
        elif kind != _GAP:
            spans.append((place, place + 1))
        before = kind
    return spans


@cache
def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cc", "Zs", "Zl", "Zp"):
        return _GAP
    if category[0] == "M" or category == "Cf":
        return _CLINGING
    return _ALONE if category[0] in "PS" or _UNSPACED.match(character) else _LETTER


def words_joined_by(text: str, joiners: str) -> Int[Array, "words 2"]:
    """The spans of the words of a text, where the characters `joiners` join what stands on both sides of them ("Jean-Claude",
    "O'Neill", "3.14"); a full stop also belongs to an abbreviation of letters before it.

    >>> [("Mr. O'Neill (U.S.)."[a:b]) for a, b in words_joined_by("Mr. O'Neill (U.S.).", ".'").tolist()]
    ['Mr', '.', "O'Neill", '(', 'U.S.', ')', '.']
    """
    words = word_spans(text)
    spans, count = words.tolist(), len(words)
    joins = [False] * count  # whether a word belongs to the one before it
    for i in range(1, count if joiners else 0):
        start, end = spans[i]
        if start + 1 != end or text[start] not in joiners or spans[i - 1][1] != start or not text[spans[i - 1][0]].isalnum():
            continue
        if i + 1 < count and spans[i + 1][0] == end and text[end].isalnum():
            joins[i] = joins[i + 1] = True
        elif text[start] == "." and joins[i - 1] and text[spans[i - 2][0]] == "." and spans[i - 1][1] - spans[i - 1][0] == 1:
            joins[i] = True
    firsts = np.flatnonzero(~np.array(joins, dtype=bool))
    lasts = np.append(firsts[1:], count)[: len(firsts)] - 1
    return np.stack([words[firsts, 0], words[lasts, 1]], axis=1)


def joiners_of(sentences: Iterable[Sequence[str]]) -> str:
    """The punctuation and symbols that, by sentences which come as words, stand within words rather than between them.

    >>> joiners_of([["Jean-Claude", "met", "O'Neill", "."], ["a", "-", "b"], ["the", "so-called", "plan"]])
    "'-"
    """
    within: Counter[str] = Counter()
    between: Counter[str] = Counter()
    for sentence in sentences:
        for place, word in enumerate(sentence):
            if len(word) == 1:
                neighbours = [*sentence[place - 1 : place], *sentence[place + 1 : place + 2]]
                if len(neighbours) == 2 and all(other[:1].isalnum() for other in neighbours):
                    between[word] += 1
            elif not word.isalnum():
                within.update(b for a, b, c in zip(word, word[1:], word[2:], strict=False) if a.isalnum() and c.isalnum())
    return "".join(sorted(c for c, times in within.items() if _kind(c) == _ALONE and times > between[c] and not c.isalnum()))


class Units(NamedTuple):
    """What labels can be given to: words, or several of them where a token crosses their borders."""

    spans: Int[Array, "units 2"]
    """Their first character, and the one after their last."""
    tokens: Int[Array, "units"]
    """The first token of each, counted in its own whole text."""


def units_of(words: Int[Array, "words 2"], offsets: Int[Array, "tokens 2"]) -> Units:
    """The units of a text, by its words (which may be any that do not overlap, in their order) and the spans of its tokens.
    Words of which the tokenizer makes nothing are in none.

    >>> units_of(np.array([[0, 3], [3, 4], [5, 6], [7, 9]]), np.array([[0, 2], [2, 4], [7, 9]]))
    Units(spans=array([[0, 4],
           [7, 9]]), tokens=array([0, 2]))
    """
    real = np.flatnonzero(offsets[:, 0] < offsets[:, 1])
    first = np.searchsorted(words[:, 1], offsets[real, 0], side="right")  # the word in which a token begins …
    last = np.searchsorted(words[:, 0], offsets[real, 1], side="left") - 1  # … and the one in which it ends
    inside = first <= last
    real, first, last = real[inside], first[inside], last[inside]
    crossed = np.zeros(len(words) + 1, dtype=np.int64)  # between each word and the one before it
    np.add.at(crossed, first + 1, 1)
    np.add.at(crossed, last + 1, -1)
    joined = np.cumsum(crossed)[:-1] > 0
    unit = np.cumsum(~joined) - 1  # of each word
    numbers, places = np.unique(unit[first], return_index=True)
    starts, ends = np.flatnonzero(~joined), np.append(np.flatnonzero(~joined)[1:], len(words)) - 1
    return Units(np.stack([words[starts[numbers], 0], words[ends[numbers], 1]], axis=1), real[places])


def joined(words: Iterable[str]) -> tuple[str, Int[Array, "words 2"]]:
    """Words as one text with a space between them, and where each of them stands in it.

    >>> joined(["A", "fine", "day"])[0], joined(["A", "fine", "day"])[1].tolist()
    ('A fine day', [[0, 1], [2, 6], [7, 10]])
    """
    given = list(words)
    lengths = np.array([len(word) for word in given], dtype=np.int64)
    starts = np.cumsum(lengths + 1) - lengths - 1
    return " ".join(given), np.stack([starts, starts + lengths], axis=1)
