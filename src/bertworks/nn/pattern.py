"""What a query may see, and which queries and keys are therefore multiplied together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from bertworks.batch import Array
from bertworks.nn.layout import Layout

_LEAST_ROWS, _MOST_ROWS = 64, 128
"""Queries at once where a sequence is cut: products of this size stay in a core's cache, and are large enough that the
calls cost little beside them. Between the two, as many as the window is wide: then half of the products count."""
_BLOCK_ROWS = (16, 32, 48, 64, 80, 112)
"""Rows of the blocks in which training computes short sequences of unequal length together."""
_NO_LIMIT = 1 << 40
_Run = tuple[int, int, int, int, int]
"""(count, q_start, q_length, k_start, k_length) of neighbouring sequences with equal lengths on both sides."""


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

    @property
    def is_whole(self) -> bool:
        """Whether these are all tokens of their sequences."""
        return self.rows == self.length

    def of(self, x: Shaped[Tensor, "tokens heads *features"]) -> Shaped[Tensor, "sequences heads rows *features"]:
        """What `x` has for these tokens, as a view."""
        whole = x[self.start : self.start + self.sequences * self.length].view(self.sequences, self.length, *x.shape[1:])
        return whole[:, self.first : self.last].transpose(1, 2)

    def put(self, out: Shaped[Tensor, "tokens heads features"], values: Shaped[Tensor, "sequences_heads rows features"]) -> None:
        """Writes the values of these tokens into `out`."""
        target = self.of(out)
        target.copy_(values.view(target.shape))

    def add(self, out: Shaped[Tensor, "tokens heads features"], values: Shaped[Tensor, "sequences_heads rows features"]) -> None:
        """Adds the values of these tokens to what `out` has."""
        target = self.of(out)
        target.add_(values.view(target.shape))


@dataclass(frozen=True)
class Block:
    """All tokens of some neighbouring short sequences, each in as many rows; the rows behind a sequence's end repeat its last token, and
    nothing that is computed for them counts. In the model's states there are no such rows: they last for one product."""

    start: int
    """Where the first sequence begins in the batch."""
    sequences: int
    rows: int
    tokens: Int[Tensor, "sequences*rows"]
    """The token of each row."""
    own: Int[Tensor, "tokens"]
    """The row of each token."""
    beyond: Bool[Tensor, "sequences 1 rows"]
    """True in the rows behind a sequence's end."""
    first = 0
    is_whole = True

    @classmethod
    def make(cls, start: int, lengths: Int[Array, "sequences"], rows: int, device: torch.device) -> "Block":
        """The block of sequences of some lengths, the first of which begins at token `start`."""
        places = np.arange(rows)
        begins = start + np.cumsum(lengths) - lengths
        beyond = places >= lengths[:, None]
        tokens = begins[:, None] + np.minimum(places, lengths[:, None] - 1)
        own = np.flatnonzero(~beyond)
        given = (torch.from_numpy(x).to(device) for x in (tokens.ravel(), own, beyond[:, None]))
        return cls(start, len(lengths), rows, *given)

    def of(self, x: Shaped[Tensor, "tokens heads *features"]) -> Shaped[Tensor, "sequences heads rows *features"]:
        """What `x` has for these rows, as a copy."""
        return x.index_select(0, self.tokens).view(self.sequences, self.rows, *x.shape[1:]).transpose(1, 2)

    def put(self, out: Shaped[Tensor, "tokens heads features"], values: Shaped[Tensor, "sequences_heads rows features"]) -> None:
        """Writes the values of the sequences' own rows into `out`."""
        rows = values.view(self.sequences, -1, *values.shape[1:]).transpose(1, 2).reshape(self.sequences * self.rows, *out.shape[1:])
        out[self.start : self.start + len(self.own)] = rows.index_select(0, self.own)


class Piece(NamedTuple):
    """Queries, all the keys that any of them sees, and which of these are hidden from which query (None: none)."""

    queries: Part | Block
    keys: Part | Block
    hidden: Bool[Tensor, "queries keys"] | Bool[Tensor, "sequences 1 keys"] | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all queries and all keys of their sequences."""
        return self.queries.is_whole and self.keys.is_whole


def pieces(
    q_layout: Layout,
    k_layout: Layout,
    pattern: AttentionPattern,
    device: torch.device,
    longest_whole: int = _NO_LIMIT,
    *,
    blocks: bool = False,
) -> list[Piece]:
    """The products that attention is made of: together they hold every query once.

    Where the reach is limited, a long sequence is cut into stretches of queries, each with the band of keys that it sees:
    time and memory are linear in the length then. Sequences longer than `longest_whole` are cut in any case. Computed
    once a batch: layers of the same pattern share the answer.

    With `blocks`, short sequences that see themselves whole are taken together although their lengths differ (`Block`). Which
    block a sequence is in depends on its own length alone, and so does what is computed for it.
    """
    key = (None if q_layout is k_layout else q_layout, pattern, device, longest_whole, blocks)
    known: list[Piece] | None = k_layout.known.get(key)
    if known is None:
        most = min(longest_whole, *pattern.reach) if blocks and q_layout is k_layout else 0  # rows of a block all see each other
        known = k_layout.known[key] = _cut(q_layout, k_layout, pattern, device, longest_whole, most)
    return known


def _cut(
    q_layout: Layout, k_layout: Layout, pattern: AttentionPattern, device: torch.device, longest_whole: int, most_in_block: int
) -> list[Piece]:
    masks: dict[tuple[int, int, int], Tensor | None] = {}
    cut = []
    for rows, runs in groupby(_paired_runs(q_layout, k_layout), key=lambda run: _rows_of_block(run[2], most_in_block)):
        if rows:
            cut.append(_block(list(runs), rows, device))
            continue
        for count, q_start, q_length, k_start, k_length in runs:
            for first, last, k_first, k_last in _stretches(q_length, k_length, pattern, longest_whole):
                where = last - first, k_last - k_first, first + k_length - q_length - k_first
                if where not in masks:
                    masks[where] = pattern.hidden(where[0], where[1], device, where[2])
                queries = Part(q_start, count, q_length, first, last)
                cut.append(Piece(queries, Part(k_start, count, k_length, k_first, k_last), masks[where]))
    return cut


def _rows_of_block(length: int, most: int) -> int:
    """The rows of the block that a sequence of this length is in; 0 where it is in none, for blocks have at most so many.

    >>> [_rows_of_block(length, 100) for length in (5, 16, 17, 80, 81)]
    [16, 16, 32, 80, 0]
    """
    return next((rows for rows in _BLOCK_ROWS if length <= rows <= most), 0)


def _block(runs: Sequence[_Run], rows: int, device: torch.device) -> Piece:
    """All tokens of neighbouring runs of sequences, in so many rows each."""
    (count, start, length, *_), *others = runs
    if not others and length == rows:
        part = Part(start, count, length, 0, length)
        return Piece(part, part, None)
    block = Block.make(start, np.repeat([run[2] for run in runs], [run[0] for run in runs]), rows, device)
    return Piece(block, block, block.beyond)


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


def _paired_runs(q_layout: Layout, k_layout: Layout) -> list[_Run]:
    if q_layout is k_layout:
        return [(r.sequences, r.start, r.length, r.start, r.length) for r in q_layout.runs]
    changes = (np.diff(q_layout.lengths) != 0) | (np.diff(k_layout.lengths) != 0)
    firsts = [0, *(np.flatnonzero(changes) + 1).tolist(), q_layout.sequences]
    return [
        (b - a, int(q_layout.offsets[a]), int(q_layout.lengths[a]), int(k_layout.offsets[a]), int(k_layout.lengths[a]))
        for a, b in pairwise(firsts)
        if b > a
    ]
