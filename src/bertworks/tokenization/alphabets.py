"""Words as symbols: the single characters, or bytes, that a vocabulary begins with."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from tokenizers import pre_tokenizers

from bertworks.batch import Array

CONTINUING = "##"
"""What WordPiece writes before a piece that does not begin a word."""
LONGEST_WORDPIECE_WORD = 100
"""Characters of the longest word that WordPiece looks up; a longer one is unknown."""


@dataclass(frozen=True)
class Alphabet:
    """The symbols that words begin as, and the words written in them."""

    symbols: list[str]
    kept: int
    """Characters that are kept."""
    met: int
    """Different characters in the words."""
    left_out: list[str]
    """Characters that are not kept, the most frequent ones first."""
    words: Int[Array, "symbols"]
    lengths: Int[Array, "words"]
    counts: Int[Array, "words"]
    unknown: int = 0
    """How often a word was met that cannot be written in the symbols."""

    @classmethod
    def of_bytes(cls, words: Mapping[str, int]) -> "Alphabet":
        symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
        characters, lengths, counts = _flat(words)
        number: Int[Array, "code_points"] = np.zeros(ord(symbols[-1]) + 1, dtype=np.int32)
        number[[ord(symbol) for symbol in symbols]] = np.arange(len(symbols))
        return cls(symbols, len(symbols), len(np.unique(characters)), [], number[characters], lengths, counts)

    @classmethod
    def of_characters(cls, words: Mapping[str, int], limit: int) -> "Alphabet":
        """The most frequent characters, each as the beginning of a word and, where it is met inside of one, with ##."""
        characters, lengths, counts = _flat(words)
        frequency = np.bincount(characters, weights=np.repeat(counts, lengths))
        met = np.flatnonzero(frequency)
        order = met[np.argsort(-frequency[met], kind="stable")]
        known: Bool[Array, "code_points"] = np.zeros(len(frequency), dtype=bool)
        known[order[:limit]] = True
        starts = np.cumsum(lengths) - lengths
        writable = np.logical_and.reduceat(known[characters], starts) & (lengths <= LONGEST_WORDPIECE_WORD)
        unknown = int(counts[~writable].sum())
        inside: Bool[Array, "symbols"] = np.ones(len(characters), dtype=bool)
        inside[starts] = False
        keep = np.repeat(writable, lengths)
        characters, inside = characters[keep], inside[keep]
        beginnings, continuations = np.flatnonzero(known), np.unique(characters[inside])
        number: Int[Array, "2 code_points"] = np.zeros((2, len(known)), dtype=np.int32)
        number[0, beginnings] = np.arange(len(beginnings))
        number[1, continuations] = len(beginnings) + np.arange(len(continuations))
        symbols = [chr(c) for c in beginnings] + [CONTINUING + chr(c) for c in continuations]
        left_out = [chr(c) for c in order[limit:]]
        written = number[inside.astype(np.int8), characters]
        return cls(symbols, len(beginnings), len(met), left_out, written, lengths[writable], counts[writable], unknown)


def _flat(words: Mapping[str, int]) -> tuple[Int[Array, "symbols"], Int[Array, "words"], Int[Array, "words"]]:
    """The characters of all words in a row, how many each word has, and how often it was met."""
    characters = np.frombuffer("".join(words).encode("utf-32-le"), dtype=np.uint32).astype(np.int32)
    return characters, np.fromiter(map(len, words), dtype=np.int64), np.fromiter(words.values(), dtype=np.int64)
