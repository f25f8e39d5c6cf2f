"""The pieces that attention is cut into hold every pair of tokens that see each other, once; and few others."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bertworks.nn.layout import Layout
from bertworks.nn.pattern import AttentionPattern, pieces
from tests.nn.small import CPU

lengths = st.lists(st.integers(1, 400), min_size=1, max_size=5)
patterns = st.builds(AttentionPattern, st.just(1.0), st.booleans(), st.none() | st.tuples(st.integers(0, 150), st.integers(0, 150)))


def layout(of: list[int]) -> Layout:
    return Layout(np.concatenate([[0], np.cumsum(of)]))


def seen_by_pieces(q: Layout, k: Layout, pattern: AttentionPattern, longest_whole: int) -> np.ndarray:
    """How often each query meets each key."""
    met = np.zeros((int(q.offsets[-1]), int(k.offsets[-1])), dtype=int)
    for queries, keys, hidden in pieces(q, k, pattern, CPU, longest_whole):
        assert keys.first % 4 == 0
        for i in range(queries.sequences):
            rows, columns = (part.start + i * part.length for part in (queries, keys))
            shown = np.ones((queries.rows, keys.rows), dtype=int) if hidden is None else 1 - hidden.numpy()
            met[rows + queries.first : rows + queries.last, columns + keys.first : columns + keys.last] += shown
    return met


def seen_in_blocks(own: Layout, pattern: AttentionPattern) -> np.ndarray:
    """The same with short sequences in blocks, by what each piece takes and puts back."""
    tokens = int(own.offsets[-1])
    met = np.zeros((tokens, tokens), dtype=int)
    numbers = torch.arange(tokens)[:, None, None]
    for piece in pieces(own, own, pattern, CPU, blocks=True):
        queries, keys = (part.of(numbers)[:, 0, :, 0] for part in (piece.queries, piece.keys))
        back = torch.full((tokens, 1, 1), -1)
        piece.queries.put(back, torch.arange(queries.numel()).view(*queries.shape, 1))
        row_of = {int(row): token for token, row in enumerate(back.flatten().tolist()) if row >= 0}
        shown = np.ones((*queries.shape, keys.shape[1]), dtype=int)
        if piece.hidden is not None:
            shown &= ~piece.hidden.numpy()
        for row, token in row_of.items():
            sequence, place = divmod(row, queries.shape[1])
            assert queries[sequence, place] == token
            np.add.at(met, (token, keys[sequence].numpy()), shown[sequence, place])
    return met


def seen(q: Layout, k: Layout, pattern: AttentionPattern) -> np.ndarray:
    """The definition, pair by pair: the last query of a sequence stands at its last key."""
    sequence_q, sequence_k = (np.repeat(np.arange(x.sequences), x.lengths) for x in (q, k))
    place_q, place_k = (np.arange(len(s)) - x.offsets[1:][s] for x, s in ((q, sequence_q), (k, sequence_k)))
    distance = place_k[None] - place_q[:, None]
    left, right = pattern.window or (10**6, 10**6)
    return (sequence_q[:, None] == sequence_k) & (distance >= -left) & (distance <= (0 if pattern.causal else right))


@given(lengths, patterns, st.sampled_from([64, 200, 10**6]))
def test_every_visible_pair_once(of: list[int], pattern: AttentionPattern, longest_whole: int) -> None:
    own = layout(of)
    assert np.array_equal(seen_by_pieces(own, own, pattern, longest_whole), seen(own, own, pattern))


@given(st.lists(st.integers(1, 130), min_size=1, max_size=12), patterns)
def test_every_visible_pair_once_in_blocks(of: list[int], pattern: AttentionPattern) -> None:
    own = layout(of)
    assert np.array_equal(seen_in_blocks(own, pattern), seen(own, own, pattern))


def test_short_sequences_are_taken_together_by_their_own_length() -> None:
    own = layout([3, 9, 16, 17, 30, 64, 64, 113, 115])
    everything = AttentionPattern(1.0)
    shapes = [(piece.queries.sequences, piece.queries.rows) for piece in pieces(own, own, everything, CPU, blocks=True)]
    assert shapes == [(3, 16), (2, 32), (2, 64), (1, 113), (1, 115)]
    assert len(pieces(own, own, everything, CPU)) == 8, "each length by itself where blocks are not asked for"
    for alone in (9, 30):
        (piece,) = pieces(layout([alone]), layout([alone]), everything, CPU, blocks=True)
        assert piece.queries.rows == alone, "other layouts of queries and keys have no blocks"
        one = layout([alone])
        (piece,) = pieces(one, one, everything, CPU, blocks=True)
        assert piece.queries.rows == {9: 16, 30: 32}[alone]
    windowed = pieces(own, own, AttentionPattern(1.0, window=(40, 40)), CPU, blocks=True)
    assert [piece.queries.rows for piece in windowed[:2]] == [16, 32]
    assert all(piece.hidden is not None for piece in windowed[2:]), "what does not see itself whole is in no block"


@given(lengths, patterns, st.randoms(use_true_random=False))
def test_every_visible_pair_once_with_fewer_queries(of: list[int], pattern: AttentionPattern, random: np.random.Generator) -> None:
    k, q = layout(of), layout([random.randint(1, n) for n in of])  # type: ignore[attr-defined]
    assert np.array_equal(seen_by_pieces(q, k, pattern, 10**6), seen(q, k, pattern))


@given(st.integers(1, 20_000), st.integers(0, 100), st.integers(0, 100))
def test_windows_cost_a_band(length: int, left: int, right: int) -> None:
    own = layout([length])
    products = sum(p.queries.rows * p.keys.rows for p in pieces(own, own, AttentionPattern(1.0, window=(left, right)), CPU))
    assert products <= length * (left + right + 3 + 192)


def test_layers_of_one_pattern_share_the_pieces() -> None:
    own = layout([300, 7])
    first = pieces(own, own, AttentionPattern(1.0, window=(9, 9)), CPU)
    assert pieces(own, own, AttentionPattern(1.0, window=(9, 9)), CPU) is first
    assert pieces(own, own, AttentionPattern(1.0, window=(9, 8)), CPU) is not first
    masks = {id(piece.hidden) for piece in first if piece.hidden is not None}
    assert len(masks) < len(first)
    assert isinstance(first[0].hidden, torch.Tensor)


@dataclass(frozen=True)
class Interrupted(AttentionPattern):
    """A pattern whose mask of seven queries cannot be made the first time, as where a user interrupts, or memory runs out."""

    left: list[bool] = field(default_factory=lambda: [True], compare=False)

    def hidden(self, queries: int, keys: int, device: torch.device, ahead: int | None = None) -> Tensor | None:
        if queries == 7 and self.left and self.left.pop():
            raise KeyboardInterrupt
        return super().hidden(queries, keys, device, ahead)


def test_an_interruption_leaves_nothing_half_done() -> None:
    own, interrupted = layout([300, 7]), Interrupted(1.0, window=(9, 9))
    with pytest.raises(KeyboardInterrupt):
        pieces(own, own, interrupted, CPU)
    again = pieces(own, own, interrupted, CPU)
    whole = pieces(own, own, AttentionPattern(1.0, window=(9, 9)), CPU)
    assert [piece[:2] for piece in again] == [piece[:2] for piece in whole]
