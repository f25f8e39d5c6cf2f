"""Which tokens of a corpus make up each sequence of pretraining: a plan, drawn anew for every epoch.

Nothing is cut away: where a sentence does not fit, the next sequence begins with it.
"""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.corpus.shards import Documents
from bertworks.errors import DataError, SettingsError, nearest

Pairing = Literal["none", "next_sentence", "sentence_order"]
Part = tuple[int, int, int]
"""A run of tokens: the number of its shard, its first token, and the one behind its last."""
Draw = Callable[[], float]
"""Gives random numbers in [0, 1)."""

COPY = -100
"""The label of a text and its changed copy, which is no question of order: losses and metrics leave rows of this label out."""
_SHORTEST = 2


class NoPairsError(DataError):
    """Pairs of texts are wanted, and the documents make none."""


@dataclass(frozen=True)
class SequenceSettings:
    """How sequences are cut out of documents."""

    max_tokens: int = 128
    """Longest sequence, special tokens included."""
    pairing: Pairing = "next_sentence"
    """none: one run of text; next_sentence: two, of which half the time the second comes from another document (Devlin
    et al. 2019, appendix A.2); sentence_order: two that follow each other, half the time swapped (Lan et al. 2020)."""
    short_share: float = 0.1
    """Share of the sequences whose length is drawn anew between 2 tokens and the limit (Devlin et al. 2019, appendix A.2)."""
    cross_documents: bool = False
    """Without pairs: fill sequences across the ends of documents, with a separator in between (Liu et al. 2019, section 4.2)."""
    seed: int = 0
    copies: float = 0.0
    """Share of the pairs whose second text is the first one, changed (`copies.py`), beside those of `pairing`. (Where the order of
    sentences is learnt, a text of one sentence makes a copy and no pair otherwise, so the share is larger.)"""

    def __post_init__(self) -> None:
        if self.pairing not in get_args(Pairing):
            hint = nearest(self.pairing, get_args(Pairing))
            raise SettingsError(f"pairing must be one of {', '.join(get_args(Pairing))}, not {self.pairing!r}.{hint}")
        if self.room < 2 * _SHORTEST:
            raise SettingsError(f"max_tokens is {self.max_tokens}: too short for two tokens of each text")
        if not 0 <= self.short_share <= 1:
            raise SettingsError(f"short_share must lie in [0, 1], not {self.short_share}")
        if not 0 <= self.copies <= 1:
            raise SettingsError(f"copies must lie in [0, 1], not {self.copies}")
        if self.copies and self.pairing == "none":
            raise SettingsError(
                "copies are pairs of texts, and no objective asks for pairs: add next_sentence or text_overlap, or leave copies out"
            )
        if self.cross_documents and self.pairing != "none":
            raise SettingsError("cross_documents needs pairing = 'none': pairs are made of the sentences of one document")

    @property
    def room(self) -> int:
        """Tokens of text in the longest sequence, beside [CLS] and a [SEP] behind each text."""
        return self.max_tokens - (2 if self.pairing == "none" else 3)


@dataclass(frozen=True)
class Plan:
    """The sequences of some shards. Sequence `i` is made of the parts from `offsets[i]` to `offsets[i + 1]`."""

    parts: Int[Array, "parts 3"]
    """Shard, first token, and the one behind the last, of each part."""
    offsets: Int[Array, "sequences_plus_one"]
    labels: Int[Array, "sequences"]
    """1 where the second text comes from elsewhere, or the two are swapped; else 0 (as in Devlin et al.'s code). `COPY` where the second
    is a changed copy of the first, which is the only part then."""

    def __len__(self) -> int:
        return len(self.labels)


def sequences_in(tokens: int, settings: SequenceSettings) -> int:
    """How many sequences of a plan make an epoch of so many tokens: as many as would hold them, were all full (of changed copies, half
    of a sequence is text that is taken). A plan has some more, since some sequences are short, and the more the more copies there are;
    which are left for the next epoch is drawn by lot."""
    return max(1, int(tokens // (settings.room * (1 - settings.copies / 2))))


def plan(shards: Sequence[tuple[int, Documents]], settings: SequenceSettings, epoch: int) -> Plan:
    """Cuts the documents of some shards (with their numbers in the corpus) into sequences, in the order of the text.

    Raises `NoPairsError` where pairs with text of another document are wanted, and there is one document only.
    """
    first = min((number for number, _ in shards), default=0)
    draw = random.Random(f"{settings.seed}/{epoch}/{first}").random
    rows = _runs(shards, settings, draw) if settings.pairing == "none" else _Pairs(shards, settings, draw).rows()
    parts: list[Part] = []
    counts: list[int] = []
    labels: list[int] = []
    for of_sequence, label in rows:
        parts += of_sequence
        counts.append(len(of_sequence))
        labels.append(label)
    return Plan(
        np.array(parts, dtype=np.int64).reshape(-1, 3),
        np.array([0, *accumulate(counts)], dtype=np.int64),
        np.array(labels, dtype=np.int64),
    )


def _length(settings: SequenceSettings, draw: Draw) -> int:
    """The room of a sequence; `short_share` of them get less."""
    if draw() >= settings.short_share:
        return settings.room
    return _SHORTEST + int(draw() * (settings.room - _SHORTEST + 1))


def _runs(shards: Sequence[tuple[int, Documents]], settings: SequenceSettings, draw: Draw) -> Iterator[tuple[list[Part], int]]:
    """Sequences of one text, or of the ends and beginnings of neighbouring documents."""
    held: list[Part] = []
    left = _length(settings, draw)
    for number, shard in shards:
        for start, stop in pairwise(shard.document_tokens.tolist()):
            while start < stop:
                taken = min(left, stop - start)
                held.append((number, start, start + taken))
                start += taken
                left -= taken + 1  # the separator before the next document
                if left <= 0 or (start == stop and not settings.cross_documents):
                    yield held, 0
                    held, left = [], _length(settings, draw)
    if held:
        yield held, 0


class _Pairs:
    """Sequences of two texts."""

    def __init__(self, shards: Sequence[tuple[int, Documents]], settings: SequenceSettings, draw: Draw) -> None:
        self.shards, self.settings, self.draw = shards, settings, draw
        self._firsts = [0, *accumulate(len(shard.documents) - 1 for _, shard in shards)]
        self._owed = 0
        """Sequences whose lot was the true second text, but that had none; as many of the others take the true one instead of a
        random one, so that halves stay halves."""
        if settings.pairing == "next_sentence" and self._firsts[-1] < 2:
            raise NoPairsError(
                "pairs with random texts (next_sentence, text_overlap) need text of at least two documents: "
                "separate documents by a blank line"
            )

    def rows(self) -> Iterator[tuple[list[Part], int]]:
        for index, (number, shard) in enumerate(self.shards):
            documents = shard.documents.tolist()
            for document, (a, b) in enumerate(pairwise(documents)):
                yield from self._document(number, shard.sentences[a : b + 1].tolist(), self._firsts[index] + document)

    def _document(self, shard: int, starts: list[int], document: int) -> Iterator[tuple[list[Part], int]]:
        """The pairs of a document whose sentences begin at `starts`; the last entry is its end."""
        at, sentence = starts[0], 0
        while at < starts[-1]:
            length = _length(self.settings, self.draw)
            is_copy = self.settings.copies > 0 and self.draw() < self.settings.copies
            behind = min(bisect_left(starts, at + length, lo=sentence + 1), len(starts) - 1)
            inner = starts[sentence + 1 : behind]  # where the two texts may be parted
            if is_copy:
                half = max(1, length // 2)
                ends = starts[sentence + 1 : bisect_right(starts, at + half)]  # whole sentences of which two have room
                stop = ends[int(self.draw() * len(ends))] if ends else at + half
                yield [(shard, at, stop)], COPY
                at = stop
            elif not inner and self.settings.pairing == "sentence_order":
                at = starts[behind]  # a text without an inner border has no order
            elif not inner:
                self._owed += self.draw() >= 0.5
                stop = min(starts[behind], at + length - max(1, length // 4))
                yield self._with_random(shard, at, stop, length, document)
                at = stop
            else:
                middle = inner[int(self.draw() * len(inner))]
                swapped = self.draw() < 0.5
                if self.settings.pairing == "next_sentence" and swapped and not self._pays():
                    yield self._with_random(shard, at, middle, length, document)
                    at = middle
                else:
                    stop = min(starts[behind], at + length)
                    texts = [(shard, at, middle), (shard, middle, stop)]
                    turned = swapped and self.settings.pairing == "sentence_order"
                    yield (texts[::-1], 1) if turned else (texts, 0)
                    at = starts[behind] if stop == starts[behind] else starts[behind - 1]
            while sentence + 1 < len(starts) and starts[sentence + 1] <= at:
                sentence += 1

    def _pays(self) -> bool:
        """Whether a true second text is owed, and is given now."""
        owed = self._owed > 0
        self._owed -= owed
        return owed

    def _with_random(self, shard: int, start: int, stop: int, length: int, document: int) -> tuple[list[Part], int]:
        """A text followed by one from another document, from a random sentence on."""
        other = int(self.draw() * (self._firsts[-1] - 1))
        other += other >= document
        index = bisect_left(self._firsts, other + 1) - 1
        number, source = self.shards[index]
        a, b = source.documents[other - self._firsts[index] :][:2].tolist()
        begin = int(source.sentences[a + int(self.draw() * (b - a))])
        end = min(int(source.sentences[b]), begin + length - (stop - start))
        return [(shard, start, stop), (number, begin, end)], 1
