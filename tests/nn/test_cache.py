"""Reading tokens bit by bit with a cache is reading them at once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.batch import PackedBatch
from bertworks.nn.attention import attention
from bertworks.nn.cache import KeyValueCache, LayerCache
from bertworks.nn.layout import Layout
from bertworks.nn.model import Model
from bertworks.nn.pattern import AttentionPattern
from bertworks.spec import EncoderSpec
from tests.nn.small import VOCABULARY, encoder, inputs, layer, model


def causal(layers: int = 2, window: tuple[int, int] | None = None, rotary: float | None = None) -> EncoderSpec:
    base = layer().attention
    attention = replace(base, causal=True, window=window, rotary_base=rotary, head_dim=6 if rotary else base.head_dim)
    return replace(
        encoder(layers, pooler=None), layers=tuple(layer(attention=attention, norm_position="before", weights=i) for i in range(layers))
    )


def read(made: Model, parts: Sequence[Sequence[Sequence[int]]]) -> torch.Tensor:
    """The hidden states after the last of some parts, each of which has further tokens of every sequence."""
    cache = KeyValueCache(len(made.spec.layers))
    for part in parts:
        batch = PackedBatch.from_sequences([np.array(ids) for ids in part])
        before = cache.lengths if len(cache.lengths) else np.zeros(len(part), dtype=np.int64)
        batch = replace(batch, position_ids=batch.position_ids + np.repeat(before, batch.lengths))
        hidden = made.encoder(replace(inputs(batch), cache=cache)).hidden
    return hidden


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(3, 20), min_size=1, max_size=5),
    cuts=st.sets(st.integers(1, 19), max_size=3),
    window=st.sampled_from([None, (3, 0)]),
    rotary=st.sampled_from([None, 100.0]),
    ungraded=st.booleans(),
)
def test_parts_are_the_whole(
    lengths: list[int], cuts: set[int], window: tuple[int, int] | None, rotary: float | None, ungraded: bool
) -> None:
    made = model(causal(2, window, rotary))
    draw = np.random.default_rng(0)
    sequences = [draw.integers(0, VOCABULARY, n) for n in lengths]
    edges = [0, *sorted(cut for cut in cuts if cut < min(lengths)), max(lengths)]
    parts = [[ids[a : b if b < edges[-1] else None] for ids in sequences] for a, b in pairwise(edges)]
    with torch.set_grad_enabled(not ungraded):
        whole = made.encoder(inputs(PackedBatch.from_sequences(sequences))).hidden.split(lengths)
        last = read(made, parts).split([len(ids) for ids in parts[-1]])
    for all_states, states in zip(whole, last, strict=True):
        torch.testing.assert_close(states, all_states[-len(states) :], atol=2e-5, rtol=2e-5)


def test_a_cache_notices_faults() -> None:
    """The comparison above is not blind: wrong positions or a forgotten token are seen."""
    made = model(causal())
    ids = [np.array([5, 9, 2, 7]), np.array([1, 2, 3, 4, 5])]
    whole = made.encoder(inputs(PackedBatch.from_sequences(ids))).hidden
    right = read(made, [[i[:-1] for i in ids], [i[-1:] for i in ids]])
    forgotten = read(made, [[i[:-2] for i in ids], [i[-1:] for i in ids]])
    torch.testing.assert_close(right, whole[[3, 8]], atol=1e-5, rtol=1e-5)
    assert (forgotten - whole[[3, 8]]).abs().max() > 0.01


def test_the_last_layer_may_compute_the_last_token_only() -> None:
    made = model(causal())
    ids = [np.array([5, 9, 2, 7]), np.array([1, 2, 3, 4, 5])]
    cache = KeyValueCache(2)
    for part in ([i[:2] for i in ids], [i[2:] for i in ids]):
        batch = PackedBatch.from_sequences(part)
        batch = replace(batch, position_ids=batch.position_ids + (2 if len(cache.lengths) else 0))
        hidden = made.encoder(replace(inputs(batch), cache=cache), ends="last").hidden
    whole = made.encoder(inputs(PackedBatch.from_sequences(ids))).hidden
    torch.testing.assert_close(hidden, whole[[3, 8]], atol=1e-5, rtol=1e-5)


def test_sequences_can_be_dropped_and_reordered() -> None:
    made = model(causal())
    ids = [np.array([5, 9, 2]), np.array([1, 2, 3, 4, 5]), np.array([8, 8])]
    cache = KeyValueCache(2)
    made.encoder(replace(inputs(PackedBatch.from_sequences(ids)), cache=cache))
    cache.keep([2, 0])
    assert cache.lengths.tolist() == [2, 3]
    batch = PackedBatch.from_sequences([np.array([4]), np.array([6])])
    batch = replace(batch, position_ids=cache.lengths)
    hidden = made.encoder(replace(inputs(batch), cache=cache)).hidden
    whole = made.encoder(inputs(PackedBatch.from_sequences([[8, 8, 4], [5, 9, 2, 6]]))).hidden
    torch.testing.assert_close(hidden, whole[[2, 6]], atol=1e-5, rtol=1e-5)


def test_buffers_grow_by_half_and_hold_no_padding() -> None:
    cache, pattern = LayerCache(), AttentionPattern(1.0, causal=True)
    copies = 0
    for step in range(400):
        lengths = [3, 40] if step == 0 else [1, 1]
        own = Layout(np.concatenate([[0], np.cumsum(lengths)]))
        k = torch.full((sum(lengths), 2, 4), float(step))
        before = [buffer.data_ptr() for buffer in cache._buffers]
        cache.attend(k, k, k, own, own, pattern)
        copies += sum(a != b.data_ptr() for a, b in zip(before, cache._buffers, strict=False))
    assert cache.lengths == [402, 439]
    assert copies < 20
    for buffer, length in zip(cache._buffers, cache.lengths, strict=True):
        assert buffer.shape[1] <= 1.5 * length + 32  # each as long as its own sequence needs
    kept = cache._kept(0)
    assert kept[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0, *map(float, range(1, 400))]
    assert torch.equal(kept[0], kept[1])


def test_every_sequence_must_go_on() -> None:
    cache, pattern = LayerCache(), AttentionPattern(1.0, causal=True)
    k, two, one = torch.ones(2, 2, 4), Layout(np.array([0, 1, 2])), Layout(np.array([0, 2]))
    cache.attend(k, k, k, two, two, pattern)
    with pytest.raises(AssertionError, match="each sequence"):
        cache.attend(k, k, k, one, one, pattern)


@pytest.mark.parametrize("queries", [1, 2])
def test_keys_in_a_row_are_the_same_keys(queries: int) -> None:
    """What a kernel is given that takes all sequences at once."""
    cache, pattern = LayerCache(), AttentionPattern(0.3, causal=True)
    draw = torch.Generator().manual_seed(0)
    for lengths in ((4, 7, 4), (2, 2, 2), (queries,) * 3):
        own = Layout(np.concatenate([[0], np.cumsum(lengths)]))
        q, k, v = (torch.randn(sum(lengths), 2, 5, generator=draw) for _ in range(3))
        mixed = cache.attend(q, k, v, own, own, pattern)
    torch.testing.assert_close(attention(q, *cache.packed()[:2], own, cache.packed()[2], pattern), mixed, atol=1e-6, rtol=1e-6)
