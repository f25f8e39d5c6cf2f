"""What a query may see, and which queries and keys are therefore multiplied together."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from bertworks.nn.layout import Layout

_LEAST_ROWS, _MOST_ROWS = 64, 128
"""Queries at once where a sequence is cut: products of this size stay in a core's cache, and are large enough that the
calls cost little beside them. Between the two, as many as the window is wide: then half of the products count."""
_NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class AttentionPattern:
    """What a query may see, and the factor on the products; see `AttentionSpec`."""

    scale: float
    causal: bool = False
    window: tuple[int, int] | None = None

    @property
    def reach(self) -> tuple[int, int]:
        """How many tokens a query sees to its left and to its right."""
        left, right = self.window or (_NO_LIMIT, _NO_LIMIT)
        return left, 0 if self.causal else right

    def hidden(self, queries: int, keys: int, device: torch.device, ahead: int | None = None) -> Bool[Tensor, "queries keys"] | None:
        """True where a query must not see a key; None where all is seen. The first query stands `ahead` tokens behind the
        first key in the sequence; if nothing is said, the last query stands at the last key.
        """
        left, right = self.reach
        ahead = keys - queries if ahead is None else ahead
        if ahead + queries - 1 <= left and keys - 1 - ahead <= right:
            return None
        distance = torch.arange(-ahead, keys - ahead, device=device) - torch.arange(queries, device=device)[:, None]
        return (distance < -left) | (distance > right)


class Part(NamedTuple):
    """The tokens `first` to `last` (not included) of each of some neighbouring sequences of equal length."""

    start: int
    """Where the first sequence begins in the batch."""
    sequences: int
    length: int
    """Of the whole sequences."""
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first

    def of(self, x: Shaped[Tensor, "tokens heads *features"]) -> Shaped[Tensor, "sequences heads rows *features"]:
        """What `x` has for these tokens, as a view."""
        whole = x[self.start : self.start + self.sequences * self.length].view(self.sequences, self.length, *x.shape[1:])
        return whole[:, self.first : self.last].transpose(1, 2)


class Piece(NamedTuple):
    """Queries, all the keys that any of them sees, and which of these are hidden from which query (None: none)."""

    queries: Part
    keys: Part
    hidden: Bool[Tensor, "queries keys"] | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all queries and all keys of their sequences."""
        return self.queries.rows == self.queries.length and self.keys.rows == self.keys.length


def pieces(
    q_layout: Layout, k_layout: Layout, pattern: AttentionPattern, device: torch.device, longest_whole: int = _NO_LIMIT
) -> list[Piece]:
    """The products that attention is made of: together they hold every query once.

    Where the reach is limited, a long sequence is cut into stretches of queries, each with the band of keys that it sees:
    time and memory are linear in the length then. Sequences longer than `longest_whole` are cut in any case. Computed
    once a batch: layers of the same pattern share the answer.
    """
    key = (None if q_layout is k_layout else q_layout, pattern, device, longest_whole)
    known: list[Piece] | None = k_layout.known.get(key)
    if known is None:
        known = k_layout.known[key] = _cut(q_layout, k_layout, pattern, device, longest_whole)
    return known


def _cut(q_layout: Layout, k_layout: Layout, pattern: AttentionPattern, device: torch.device, longest_whole: int) -> list[Piece]:
    masks: dict[tuple[int, int, int], Tensor | None] = {}
    cut = []
    for count, q_start, q_length, k_start, k_length in _paired_runs(q_layout, k_layout):
        for first, last, k_first, k_last in _stretches(q_length, k_length, pattern, longest_whole):
            where = last - first, k_last - k_first, first + k_length - q_length - k_first
            if where not in masks:
                masks[where] = pattern.hidden(where[0], where[1], device, where[2])
            queries = Part(q_start, count, q_length, first, last)
            cut.append(Piece(queries, Part(k_start, count, k_length, k_first, k_last), masks[where]))
    return cut


def _stretches(q_length: int, k_length: int, pattern: AttentionPattern, longest_whole: int) -> list[tuple[int, int, int, int]]:
    """Stretches of queries and the keys that they see, as (first, last, first key, last key), last not included."""
    left, right = pattern.reach
    shift = k_length - q_length  # the last query stands at the last key
    whole = min(left, right) >= k_length and k_length <= longest_whole
    rows = q_length if whole else min(_MOST_ROWS, max(_LEAST_ROWS, left + right))
    count = max(1, round(q_length / rows))
    edges = np.linspace(0, q_length, count + 1).astype(int).tolist()
    return [
        # the first key's number is a multiple of four, as the draws of dropout want it (`keep_mask`)
        (first, last, max(0, first + shift - left) // 4 * 4, min(k_length, last + shift + right))
        for first, last in pairwise(edges)
    ]


def _paired_runs(q_layout: Layout, k_layout: Layout) -> list[tuple[int, int, int, int, int]]:
    """(count, q_start, q_length, k_start, k_length) of neighbouring sequences with equal lengths on both sides."""
    if q_layout is k_layout:
        return [(r.sequences, r.start, r.length, r.start, r.length) for r in q_layout.runs]
    changes = (np.diff(q_layout.lengths) != 0) | (np.diff(k_layout.lengths) != 0)
    firsts = [0, *(np.flatnonzero(changes) + 1).tolist(), q_layout.sequences]
    return [
        (b - a, int(q_layout.offsets[a]), int(q_layout.lengths[a]), int(k_layout.offsets[a]), int(k_layout.lengths[a]))
        for a, b in pairwise(firsts)
        if b > a
    ]
