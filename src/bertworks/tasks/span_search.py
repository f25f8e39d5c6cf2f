"""The best spans of text among the scores of first and last tokens: over all windows of a question, without a loop over pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy.lib.stride_tricks import sliding_window_view

from bertworks.batch import Array

NOWHERE = -1
"""What stands for a place in the text where a token has none that could be of an answer."""


@dataclass(frozen=True)
class Spans:
    """The best spans of one question, the best first, each found once however many windows show it."""

    characters: Int[Array, "spans 2"]
    """First character of each and the one after its last, in the context."""
    scores: Float[Array, "spans"]
    """Score of the first token to begin an answer, plus that of the last to end it."""
    tokens: Int[Array, "spans 2"]
    """First and last token, counted over the whole batch."""
    no_answer: float
    """Score that there is no answer: of all windows the lowest, since a single window may hold it …"""
    no_answer_token: int
    """… and the token of the batch that has it: the first of that window."""

    @property
    def doubt(self) -> float:
        """By how much "no answer" is above the best span; infinite where there is no span."""
        return self.no_answer - float(self.scores[0]) if len(self.scores) else np.inf


def best_spans(
    scores: Float[Array, "tokens 2"],
    characters: Int[Array, "tokens 2"],
    offsets: Int[Array, "sequences_plus_one"],
    groups: Int[Array, "sequences"],
    *,
    longest: int,
    count: int,
) -> Iterator[Spans]:
    """The `count` best spans of each group of sequences (groups stand together), of at most `longest` tokens.

    `scores` are those of each token to be an answer's first and its last, `characters` the tokens' places in the context,
    `NOWHERE` for tokens that are not of it: with these, and with tokens that have no character of it, no answer begins or ends.
    Spans lie within one sequence. Of equal scores the earlier and shorter span comes first. The first token of a sequence stands
    for "no answer" there.

    >>> scores = np.array([[0.0, 1.0], [3.0, 0.0], [1.0, 0.5], [0.0, 2.0]])
    >>> places = np.array([[-1, -1], [0, 3], [4, 8], [9, 12]])
    >>> found = next(best_spans(scores, places, np.array([0, 4]), np.array([0]), longest=2, count=2))
    >>> found.characters.tolist(), found.scores.tolist(), found.no_answer
    ([[0, 8], [0, 3]], [3.5, 3.0], 1.0)
    """
    if not len(groups):
        return
    inside = characters[:, 1] > characters[:, 0]
    begins, ends = (np.where(inside, column, -np.inf) for column in scores.astype(np.float64).T)
    ahead = sliding_window_view(np.append(ends, np.full(longest - 1, -np.inf)), longest)  # [tokens, longest]
    left = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(scores))  # tokens from here to the end of the sequence
    of_none = scores[offsets[:-1]].astype(np.float64).sum(axis=1)
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1), len(groups)]
    for first, last in pairwise(edges):
        tokens = offsets[first] + np.flatnonzero(inside[offsets[first] : offsets[last]])
        sums = np.where(np.arange(longest) < left[tokens, None], begins[tokens, None] + ahead[tokens], -np.inf).reshape(-1)
        window = first + int(of_none[first:last].argmin())
        places = _highest(sums, count * (last - first))
        chosen = np.stack([tokens[places // longest], tokens[places // longest] + places % longest], axis=1)
        spans = np.stack([characters[chosen[:, 0], 0], characters[chosen[:, 1], 1]], axis=1)
        once = np.sort(np.unique(spans, axis=0, return_index=True)[1])[:count]
        yield Spans(spans[once], sums[places[once]], chosen[once], float(of_none[window]), int(offsets[window]))


def _highest(values: Float[Array, "values"], count: int) -> Int[Array, "places"]:
    """The places of the highest finite values, the highest first, of equal ones the first."""
    if len(values) > count:
        limit = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= limit)
    else:
        places = np.arange(len(values))
    places = places[np.isfinite(values[places])]
    return places[np.argsort(-values[places], kind="stable")][:count]
