"""Words as hashes, for millions of words a second: no word becomes a Python object.

A word is a run of letters, marks and digits, case folded. In scripts that are written without spaces between words
(Chinese, Japanese, Thai …) each character is a word.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from jaxtyping import Int, UInt8, UInt32, UInt64

from bertworks.batch import Array
from bertworks.data.counter import mixed

_BLOCK = 1 << 20
"""Characters that are worked on at once."""
_BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2^64, by which a hash does not depend on the word's place."""
_INVERSE = pow(_BASE, -1, 1 << 64)
_NO_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Burmese, Khmer
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # Chinese and Japanese
    *((0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x20000, 0x3FFFF)),
)
"""First and last code points of scripts that are written without spaces."""
_UNKNOWN, _OTHER, _PART, _WHOLE = 0, 1, 2, 3
"""What a character can be: not looked up yet, no part of a word, part of a word, a word by itself."""


class WordHasher:
    """Hashes the words of documents; it keeps what it has learnt about characters."""

    def __init__(self) -> None:
        self._classes: UInt8[Array, "code_points"] = np.zeros(0x110000, dtype=np.uint8)
        self._powers = _powers(_BASE, _BLOCK)
        self._inverses = _powers(_INVERSE, _BLOCK)

    def blocks(self, documents: Iterable[str]) -> Iterator[tuple[list[str], UInt64[Array, "words"], Int[Array, "documents_and_one"]]]:
        """Some documents at a time (in lower case), the hashes of all their words, and where each document's words begin.

        >>> [(_, words, starts)] = WordHasher().blocks(["The dog.", "...", "THE"])
        >>> starts.tolist(), words[0] == words[2], words[0] == words[1]
        ([0, 2, 2, 3], np.True_, np.False_)
        """
        waiting: list[str] = []
        size = 0
        for document in documents:
            waiting.append(document.casefold())
            size += len(waiting[-1]) + 1
            if size >= _BLOCK:
                yield waiting, *self._hash(waiting)
                waiting, size = [], 0
        if waiting:
            yield waiting, *self._hash(waiting)

    def _hash(self, documents: list[str]) -> tuple[UInt64[Array, "words"], Int[Array, "documents_and_one"]]:
        """A hash is a polynomial of the code points, as a difference of prefix sums, and then mixed."""
        codes: UInt32[Array, "characters"] = np.frombuffer(
            "\n".join([*documents, ""]).encode("utf-32-le", "surrogatepass"), dtype=np.uint32
        )
        classes = self._classes_of(codes)
        part, whole = classes == _PART, classes == _WHOLE
        before, after = np.append(False, part[:-1]), np.append(part[1:], False)
        begins, ends = np.flatnonzero(whole | (part & ~before)), np.flatnonzero(whole | (part & ~after)) + 1
        powers, inverses = self._places(len(codes))
        sums: UInt64[Array, "characters_and_one"] = np.append(np.uint64(0), np.cumsum(codes * powers, dtype=np.uint64))
        hashes = mixed((sums[ends] - sums[begins]) * inverses[begins])
        starts = np.cumsum(np.fromiter(chain([0], (len(document) + 1 for document in documents)), dtype=np.int64))
        return hashes, np.searchsorted(begins, starts)

    def _classes_of(self, codes: UInt32[Array, "characters"]) -> UInt8[Array, "characters"]:
        classes = self._classes[codes]
        if not classes.all():
            for code in np.unique(codes[classes == _UNKNOWN]).tolist():
                word = unicodedata.category(chr(code))[0] in "LMN"
                alone = word and any(first <= code <= last for first, last in _NO_SPACES)
                self._classes[code] = _WHOLE if alone else _PART if word else _OTHER
            classes = self._classes[codes]
        return classes

    def _places(self, count: int) -> tuple[UInt64[Array, "places"], UInt64[Array, "places"]]:
        """Powers of the base and of its inverse, for so many characters."""
        if count > len(self._powers):
            self._powers, self._inverses = _powers(_BASE, count), _powers(_INVERSE, count)
        return self._powers[:count], self._inverses[:count]


def _powers(base: int, count: int) -> UInt64[Array, "count"]:
    """base, base², base³ … modulo 2^64."""
    powers: UInt64[Array, "count"] = np.multiply.accumulate(np.full(count, base, dtype=np.uint64))
    return powers
