"""How a sentence whose words get labels is read: which tokens stand for its words, in which window, and what is wanted of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.data.tag_schemes import Span
from bertworks.tokenization import Encoding
from bertworks.tokenization.words import joined, units_of, words_joined_by

_IGNORED = -100
"""The target of a token that has none, as in PyTorch."""
_EDGE = -1
"""What stands before the first word of a sentence, and after its last."""

Copies = Sequence[tuple[Int[Array, "copies"], Int[Array, "copies"]]]
"""For each window of a row: which of the words that are read begin in it, and their places."""


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
    spans: Int[Array, "read 2"]
    """The words of which a token is read, in characters of the text."""
    places: Int[Array, "read"]
    """Where each is scored: the token of the packed batch that begins it."""
    numbers: Int[Array, "read"]
    """The number of each among the sentence's words; two that a token crosses are read as the first."""
    words: int
    """The number of words, also of those that have no token, or none that is read."""


def read(sentence: Sentence, windows: Sequence[Encoding], begin: int, joiners: str = "") -> tuple[Reading, Copies]:
    """How a row is read whose first token is number `begin` of the batch; and, for each window, which of its words begin in it,
    with their places. A word of several windows is scored in the one where it has most context."""
    whole = windows[0].texts[0]
    given = words_joined_by(sentence.text, joiners) if sentence.words is None else sentence.words
    units = units_of(given, whole.offsets)
    numbers = np.arange(len(units.tokens))
    if sentence.words is not None:
        numbers = np.searchsorted(given[:, 0], units.spans[:, 0], side="right") - 1
    best, context = np.full(len(units.tokens), -1), np.full(len(units.tokens), -1.0)
    copies = []
    for window in windows:
        place_of = np.full(len(whole), -1)
        own = np.flatnonzero(window.token_numbers >= 0)
        tokens = window.token_numbers[own]
        place_of[tokens] = own + begin
        inside = np.flatnonzero(place_of[units.tokens] >= 0)
        copies.append((inside, place_of[units.tokens[inside]]))
        reach = _context(units.tokens[inside], tokens, len(whole))
        better = reach > context[inside]
        context[inside[better]], best[inside[better]] = reach[better], copies[-1][1][better]
        begin += len(window)
    seen = best >= 0
    known = len(units.tokens) if sentence.words is None else len(given)
    rank = np.cumsum(seen) - 1
    copies = [(rank[inside], places) for inside, places in copies]
    return Reading(sentence, units.spans[seen], best[seen], numbers[seen], known), copies


def _context(wanted: Int[Array, "words"], tokens: Int[Array, "window"], whole: int) -> Float[Array, "words"]:
    """How many tokens of a window stand at least on either side; where the text begins or ends, nothing is missing."""
    if not len(tokens):
        return np.zeros(len(wanted))
    left = np.where(tokens[0] > 0, wanted - tokens[0], np.inf)
    right = np.where(tokens[-1] < whole - 1, tokens[-1] - wanted, np.inf)
    nearest: Array = np.minimum(left, right)
    return nearest


def targets_of(reading: Reading, copies: Copies, labels: Int[Array, "read"], begin: int, tokens: int) -> dict[str, Array]:
    """What is wanted of each token of a row, by the endings of the names of targets: its label; `_weights`, which sum to 1 over
    the windows; and `_words`: the number of the word that is scored there, else -1."""
    wanted, weights, words = np.full(tokens, _IGNORED), np.zeros(tokens, dtype=np.float32), np.full(tokens, -1)
    times = np.bincount(np.concatenate([inside for inside, _ in copies]), minlength=len(labels))
    for inside, places in copies:
        wanted[places - begin], weights[places - begin] = labels[inside], 1 / times[inside]
    words[reading.places - begin] = np.arange(len(labels))
    return {"": wanted, "_weights": weights, "_words": words}


def targets_in_chains(reading: Reading, labels: Int[Array, "read"], begin: int, lengths: Sequence[int]) -> dict[str, Array]:
    """The same for words that are learnt as one sequence, whose neighbours have scores too, from windows of so many tokens: each word
    once, where it is scored, with what stands before and after it (`nn/tag_sequences.py`), and `_words`."""
    wanted, words = np.full((sum(lengths), 3), _IGNORED), np.full(sum(lengths), -1)
    places = reading.places - begin
    window = np.searchsorted(np.cumsum(lengths), places, side="right")
    goes_on = np.diff(window) == 0
    wanted[places, 0] = labels
    wanted[places[1:], 1] = np.where(goes_on, _IGNORED, labels[:-1])
    wanted[places[:-1], 2] = np.where(goes_on, _IGNORED, labels[1:])
    wanted[places[:1], 1] = wanted[places[-1:], 2] = _EDGE
    words[places] = np.arange(len(labels))
    return {"": wanted, "_words": words}


def touched(reading: Reading, spans: Iterable[Span]) -> list[Span]:
    """Spans of characters as spans of the words that are read: those that they touch. Of spans that overlap the longest is kept."""
    taken = np.zeros(len(reading.spans), dtype=bool)
    out = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        start = int(np.searchsorted(reading.spans[:, 1], span.start, side="right"))
        end = int(np.searchsorted(reading.spans[:, 0], span.end, side="left"))
        if start < end and not taken[start:end].any():
            taken[start:end] = True
            out.append(Span(start, end, span.label))
    return sorted(out)
