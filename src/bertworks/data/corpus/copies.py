"""Changed copies of texts: pairs that differ in details, as those of most tasks of sentence pairs do.

The neighbours and strangers of next sentence prediction (Devlin et al. 2019, section 3.1) differ in what they are about, so a small
model learns topics from them. Beside a changed copy, a hidden word stands a second time in the sequence, somewhere else: to say it, the
model has to find its counterpart, as in the translation language model of Conneau & Lample (2019), where the second text is a
translation of the first. The changes are those by which denoising autoencoders spoil text (Hill et al. 2016; Lewis et al.
2020, section 2.2): words missing, others put in or in their place, and parts in another order.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from bertworks.batch import Array
from bertworks.data.corpus.shards import Documents

UNCHANGED = 0.1
"""Share of the copies that have the words of their text and no others."""
MOST_CHANGED = 0.5
"""The others change a share of their words that is drawn between 0 and this."""
DROPPED, REPLACED = 1 / 3, 1 / 3
"""What becomes of a word that is changed: it is missing, it is another, or (the rest) another stands behind it. As many come as go."""
TURNED = 0.2
"""Share of the copies whose two parts, on either side of some word, have changed places."""
_LONGEST_WORD = 6
"""Tokens of a foreign word, at most."""


def changed_copy(
    tokens: Int[Array, "tokens"], word_starts: Bool[Array, "tokens"], source: Documents, *, at_most: int, seed: int, number: int
) -> tuple[Int[Array, "copied"], Bool[Array, "copied"]]:
    """A changed copy of a text, and where its words begin: a function of the arguments. Foreign words come from `source`.

    A copy has one word at least and `at_most` tokens. It is cut where it would be longer, which only words that were put in can bring about
    as long as `at_most` is no less than the text.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, number], dtype=np.uint64)))
    words = list(_words(tokens, word_starts))
    unchanged, share, turned, border = generator.random(4).tolist()
    if turned < TURNED:
        first = int(border * len(words))
        words = words[first:] + words[:first]
    share = 0.0 if unchanged < UNCHANGED else share * MOST_CHANGED
    copied: list[Array] = []
    for word, (lot, kind) in zip(words, generator.random((len(words), 2)).tolist(), strict=True):
        if lot >= share:
            copied.append(word)
        elif kind >= DROPPED:
            copied += [*([word] if kind >= DROPPED + REPLACED else []), _foreign_word(source, generator)]
    copied = copied or words[:1]
    begins = np.zeros(sum(map(len, copied)), dtype=bool)
    begins[np.cumsum([0, *map(len, copied[:-1])])] = True
    return np.concatenate(copied)[:at_most], begins[:at_most]


def _words(tokens: Int[Array, "tokens"], word_starts: Bool[Array, "tokens"]) -> Iterator[Array]:
    """The tokens of each word; the first token begins one, whether or not the text begins within a word."""
    starts = [0, *np.flatnonzero(word_starts[1:]) + 1, len(tokens)]
    for start, stop in pairwise(starts):
        yield tokens[start:stop]


def _foreign_word(source: Documents, generator: np.random.Generator) -> Int[Array, "tokens"]:
    """A word from a random place: common words are common among them."""
    at = int(generator.integers(len(source.tokens)))
    stop = min(at + 2 * _LONGEST_WORD, len(source.tokens))
    starts = at + np.flatnonzero(source.word_starts(at, stop))
    begin = int(starts[0]) if len(starts) else at
    end = int(starts[1]) if len(starts) > 1 else stop
    word: Array = source.tokens[begin : min(end, begin + _LONGEST_WORD)]
    return word
