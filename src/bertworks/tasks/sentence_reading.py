"""How a sentence whose words get labels is read: which tokens stand for its words, in which window, and what is wanted of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from bertworks.batch import Array
from bertworks.data.tag_schemes import Span
from bertworks.tokenization import Encoding
from bertworks.tokenization.words import joined, joined_by, units_of, word_spans

_IGNORED = -100
"""The target of a token that has none, as in PyTorch."""

Copies = Sequence[tuple[Int[Array, "copies"], Int[Array, "copies"]]]
"""For each window of a row: the units that begin in it, and their places."""


class Sentence(NamedTuple):
    """A text, and its words where the data say which they are."""

    text: str
    words: Int[Array, "words 2"] | None = None
    """The span of each word in the text; None for a text of which nothing else is known."""

    @classmethod
    def of(cls, row: str | Sequence[str]) -> "Sentence":
        """A text, or a list of words."""
        return cls(row) if isinstance(row, str) else cls(*joined(row))


class Truth(NamedTuple):
    """What a sentence is labelled with: the tags of its words, or spans of characters."""

    tags: Sequence[str] | None
    spans: Sequence[Span] | None = None


@dataclass(frozen=True)
class Reading:
    """A sentence as the model reads it."""

    sentence: Sentence
    units: Int[Array, "units 2"]
    """The spans of what gets a label, in characters of the text."""
    places: Int[Array, "units"]
    """Where each is scored: a token of the packed batch; -1 where it is not read."""
    word_of: Int[Array, "units"]
    """The number of the word that each is a part of."""

    @property
    def glued(self) -> Bool[Array, "units"]:
        """Whether a unit belongs to the same word as the one before it."""
        same: Array = np.diff(self.word_of, prepend=-1) == 0
        return same

    @property
    def words(self) -> int:
        """The number of words, also of those that the tokenizer makes nothing of."""
        return int(self.word_of.max(initial=-1)) + 1 if self.sentence.words is None else len(self.sentence.words)


def read(sentence: Sentence, windows: Sequence[Encoding], begin: int, joiners: str = "") -> tuple[Reading, Copies]:
    """How a row is read whose first token is number `begin` of the batch; and, for each window, the units that begin in it
    with their places."""
    whole = windows[0].texts[0]
    parts = word_spans(sentence.text)
    units = units_of(parts, whole.offsets)
    if sentence.words is None:
        of_part = joined_by(sentence.text, parts, joiners)[np.searchsorted(parts[:, 0], units.spans[:, 0])]
        word_of = np.unique(of_part, return_inverse=True)[1]
    else:
        word_of = np.searchsorted(sentence.words[:, 0], units.spans[:, 0], side="right") - 1
    best, context = np.full(len(units.tokens), -1), np.full(len(units.tokens), -1.0)
    copies = []
    for window in windows:
        place_of = np.full(len(whole), -1)
        own = window.token_numbers >= 0
        place_of[window.token_numbers[own]] = np.flatnonzero(own) + begin
        inside = np.flatnonzero(place_of[units.tokens] >= 0)
        numbers = units.tokens[inside]
        first, last = (int(window.token_numbers[own].min(initial=len(whole))), int(window.token_numbers[own].max(initial=-1)))
        left = np.where(first > 0, numbers - first, np.inf)
        right = np.where(last < len(whole) - 1, last - numbers, np.inf)
        better = np.minimum(left, right) > context[inside]
        context[inside[better]] = np.minimum(left, right)[better]
        best[inside[better]] = place_of[numbers[better]]
        copies.append((inside, place_of[numbers]))
        begin += len(window)
    return Reading(sentence, units.spans, best, word_of), copies


def targets_of(reading: Reading, copies: Copies, labels: Int[Array, "units"], begin: int, tokens: int) -> dict[str, Array]:
    """What is wanted of each token of a row, by the endings of the names of targets: its label; `_weights`, which sum to 1 over
    the windows; and `_units`: where the unit is read, its number doubled, plus 1 where it is glued to the one before it."""
    wanted, weights, marks = np.full(tokens, _IGNORED), np.zeros(tokens, dtype=np.float32), np.full(tokens, -1)
    times = np.bincount(np.concatenate([inside for inside, _ in copies]), minlength=len(labels))
    for inside, places in copies:
        wanted[places - begin], weights[places - begin] = labels[inside], 1 / times[inside]
    read = reading.places >= 0
    marks[reading.places[read] - begin] = (2 * np.arange(len(labels)) + reading.glued)[read]
    return {"": wanted, "_weights": weights, "_units": marks}


def unit_spans(reading: Reading, spans: Iterable[Span]) -> list[Span]:
    """Spans of characters as spans of units: the units that they touch. Of spans that overlap the longest is kept."""
    taken = np.zeros(len(reading.units), dtype=bool)
    out = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        start = int(np.searchsorted(reading.units[:, 1], span.start, side="right"))
        end = int(np.searchsorted(reading.units[:, 0], span.end, side="left"))
        if start < end and not taken[start:end].any():
            taken[start:end] = True
            out.append(Span(start, end, span.label))
    return sorted(out)
