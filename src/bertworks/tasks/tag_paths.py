"""Sequences of tags that a scheme allows: the best one (Viterbi 1967), and how probable its spans are.

Scores of neighbours do not depend on each other but for what the scheme forbids: a path of tags is as probable as the product
of its tags' probabilities, shared out over the paths that are allowed. Where a model has learnt scores of neighbours as well
(Lafferty et al. 2001), these multiply too. All sentences are computed at once, word by word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from bertworks.batch import Array
from bertworks.data.tag_schemes import OUTSIDE, Scheme, Span, begins, may_follow, parse

_FORBIDDEN = -1e9
"""Added to a score for a step that is not allowed: less than any sum of scores, but a path there is always."""
_NUMBERS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Steps:
    """Which tags may follow which, for the tags of one model."""

    labels: tuple[str, ...]
    scheme: Scheme
    learnt: Float[Array, "labels_and_ends labels"] | None = field(default=None, compare=False)
    """What a model has learnt of neighbours, in the rows of `rules`."""

    @cached_property
    def rules(self) -> Float[Array, "labels_and_ends labels"]:
        """0 where the tag of the column may follow that of the row, else a large negative number. The last two rows are of the
        beginning of a sentence, which a tag may follow, and of its end, which may follow a tag."""
        between = [[may_follow(a, b, self.scheme) for b in self.labels] for a in self.labels]
        first = [may_follow(OUTSIDE, tag, self.scheme) for tag in self.labels]
        last = [may_follow(tag, OUTSIDE, self.scheme) for tag in self.labels]
        return np.where(np.array([*between, first, last], dtype=bool), 0.0, _FORBIDDEN)

    @cached_property
    def table(self) -> Float[Array, "labels_and_ends labels"]:
        """The rules, and what was learnt besides."""
        return self.rules if self.learnt is None else self.rules + self.learnt

    @property
    def between(self) -> Float[Array, "labels labels"]:
        return self.table[:-2]

    @property
    def first(self) -> Float[Array, "labels"]:
        row: Array = self.table[-2]
        return row

    @property
    def last(self) -> Float[Array, "labels"]:
        row: Array = self.table[-1]
        return row

    @cached_property
    def begins(self) -> Bool[Array, "labels_and_edge labels_and_edge"]:
        """Where a span begins at the tag of the column after that of the row; the last of each is the edge of a sentence."""
        named = [*self.labels, OUTSIDE]
        return np.array([[begins(a, b, self.scheme) for b in named] for a in named])


def best_paths(scores: Sequence[Float[Array, "words labels"]], steps: Steps) -> list[Int[Array, "words"]]:
    """The most probable allowed tags of each sentence, as indices of labels, from the scores of its words.

    >>> steps = Steps(("O", "B-PER", "I-PER"), "IOB2")
    >>> best_paths([np.log([[0.4, 0.3, 0.3], [0.1, 0.2, 0.7]])], steps)[0].tolist()
    [1, 2]
    """
    out: list[Int[Array, "words"]] = [np.zeros(0, dtype=np.int64)] * len(scores)
    for part in _parts(scores):
        for row, path, length in zip(part.rows, _viterbi(part, steps), part.lengths.tolist(), strict=True):
            out[row] = path[:length]
    return out


def _viterbi(part: "_Part", steps: Steps) -> Int[Array, "sentences longest"]:
    scores = part.scores
    count, longest, labels = scores.shape
    back = np.zeros((count, longest, labels), dtype=np.int32)
    best = scores[:, 0] + steps.first
    for place in range(1, longest):
        here = part.reaching(place)
        reached = best[:here, :, None] + steps.between
        back[:here, place] = reached.argmax(axis=1)
        best[:here] = reached.max(axis=1) + scores[:here, place]
    path = np.zeros((count, longest), dtype=np.int64)
    tag = (best + steps.last).argmax(axis=1)
    for place in range(longest - 1, -1, -1):
        here = part.reaching(place)
        path[:here, place] = tag[:here]
        if place:
            tag[:here] = back[np.arange(here), place, tag[:here]]
    return path


@dataclass(frozen=True)
class Lattice:
    """One sentence with the probabilities of all allowed paths, in logarithms."""

    scores: Float[Array, "words labels"]
    ahead: Float[Array, "words labels"]
    """Of all ways to come to each tag, that tag's score included."""
    behind: Float[Array, "words labels"]
    """Of all ways to go on from each tag to the end."""
    steps: Steps

    @property
    def total(self) -> float:
        return float(_log_sum(self.ahead[-1] + self.behind[-1], axis=0)) if len(self.scores) else 0.0

    def marginals(self) -> Float[Array, "words labels"]:
        """The probability of each tag of each word; rows sum to 1."""
        values: Array = np.exp(self.ahead + self.behind - self.total)
        return values

    def span_probability(self, span: Span) -> float:
        """How probable it is that exactly these words are a span with this label: the share of the paths that say so."""
        steps, scheme = self.steps, self.steps.scheme
        own = [i for i, tag in enumerate(steps.labels) if (tag == span.label if scheme == "words" else _is_part(tag, span.label, scheme))]
        if not own:
            return 0.0
        opens, edge = steps.begins, len(steps.labels)
        if span.start == 0:
            reach = np.where(opens[edge, own], steps.first[own], -np.inf) + self.scores[0, own]
        else:
            ways = np.where(opens[:edge, own], self.ahead[span.start - 1][:, None] + steps.between[:, own], -np.inf)
            reach = _log_sum(ways, axis=0) + self.scores[span.start, own]
        among = np.ix_(own, own)
        inner = np.where(opens[among], -np.inf, steps.between[among])
        for place in range(span.start + 1, span.end):
            reach = _log_sum(reach[:, None] + inner, axis=0) + self.scores[place, own]
        if span.end == len(self.scores):
            left = steps.last[own]
        else:
            stays = np.array([[not opens[i, j] and steps.labels[j] != OUTSIDE for j in range(edge)] for i in own])
            onward = steps.between[own] + self.scores[span.end] + self.behind[span.end]
            left = _log_sum(np.where(stays, -np.inf, onward), axis=1)
        return float(np.exp(np.minimum(_log_sum(reach + left, axis=0) - self.total, 0.0)))


def lattices(scores: Sequence[Float[Array, "words labels"]], steps: Steps) -> list[Lattice]:
    """The probabilities of all allowed paths of each sentence (Rabiner 1989, section III: forward and backward)."""
    out = [Lattice(values, values, values, steps) for values in scores]
    for part in _parts(scores):
        padded, lengths = part.scores, part.lengths
        ahead, behind = np.zeros_like(padded), np.zeros_like(padded)
        ahead[:, 0] = padded[:, 0] + steps.first
        longest = padded.shape[1]
        for place in range(1, longest):
            here = part.reaching(place)
            ahead[:here, place] = _log_sum(ahead[:here, place - 1, :, None] + steps.between, axis=1) + padded[:here, place]
        behind[np.arange(len(lengths)), lengths - 1] = steps.last
        for place in range(longest - 2, -1, -1):
            here = part.reaching(place + 1)
            onward = padded[:here, place + 1] + behind[:here, place + 1]
            behind[:here, place] = _log_sum(steps.between + onward[:, None], axis=2)
        for i, (row, length) in enumerate(zip(part.rows, lengths.tolist(), strict=True)):
            out[row] = Lattice(scores[row], ahead[i, :length], behind[i, :length], steps)
    return out


def log_probabilities(scores: Float[Array, "words labels"]) -> Float[Array, "words labels"]:
    """Logarithms of probabilities, in float64, from a head's scores."""
    shifted: Array = scores.astype(np.float64) - scores.max(axis=1, keepdims=True, initial=-np.inf)
    normalized: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized


def _is_part(tag: str, label: str, scheme: Scheme) -> bool:
    return tag != OUTSIDE and parse(tag, scheme).type == label


@dataclass(frozen=True)
class _Part:
    """Some sentences side by side, the longest first: at each word those that are long enough are the first ones."""

    rows: list[int]
    scores: Float[Array, "sentences longest labels"]
    lengths: Int[Array, "sentences"]

    def reaching(self, place: int) -> int:
        """How many sentences have a word at `place`."""
        return int((self.lengths > place).sum())


def _parts(scores: Sequence[Float[Array, "words labels"]]) -> Iterator[_Part]:
    """Sentences that have words, longest first, some at a time."""
    order = sorted((row for row, values in enumerate(scores) if len(values)), key=lambda row: -len(scores[row]))
    while order:
        longest, labels = scores[order[0]].shape
        rows = order[: max(1, _NUMBERS_AT_ONCE // (longest * labels + labels * labels))]
        order = order[len(rows) :]
        padded = np.zeros((len(rows), longest, labels))
        for i, row in enumerate(rows):
            padded[i, : len(scores[row])] = scores[row]
        yield _Part(rows, padded, np.array([len(scores[row]) for row in rows]))


def _log_sum(values: Array, axis: int) -> Array:
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        sums: Array = np.log(np.exp(values - most).sum(axis=axis, keepdims=True)) + most
    return sums.squeeze(axis)
