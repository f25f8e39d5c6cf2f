"""Rotary positions: the formula, their gradient, and what follows from them for packed batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bertworks.nn.rotary import Rotation
from bertworks.spec import EmbeddingSpec, EncoderSpec, NormSpec
from tests.nn.small import VOCABULARY, batch, encoder, inputs, layer, model


def states(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_each_pair_is_a_complex_number_that_is_turned() -> None:
    x, positions = states(7, 3, 10), torch.tensor([0, 1, 2, 5, 900, 8191, 3])
    pairs = torch.complex(x[..., :5].double(), x[..., 5:].double())
    angles = positions[:, None, None] * 10_000.0 ** (-torch.arange(5, dtype=torch.float64) / 5)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    wanted = torch.cat([turned.real, turned.imag], -1)
    torch.testing.assert_close(Rotation.make(positions, 10_000.0, 10).turn(x).double(), wanted, atol=2e-3, rtol=0)
    near = positions < 1000  # at 8,191, an angle in float32 is exact to 0.0005
    torch.testing.assert_close(Rotation.make(positions, 10_000.0, 10).turn(x).double()[near], wanted[near], atol=1e-4, rtol=0)


@pytest.mark.parametrize("tokens", [0, 1, 6, 12_000])
def test_the_gradient_is_turned_back(tokens: int) -> None:
    """12,000 tokens are turned in several parts."""
    x = states(tokens, 3, 10).requires_grad_()
    rotation = Rotation.make(torch.arange(tokens), 100.0, 10)
    weights = torch.linspace(-1, 1, x.numel()).view_as(x)
    first, second = x.chunk(2, -1)
    c, s = rotation.cosines, rotation.sines
    slow = torch.cat([first * c - second * s, second * c + first * s], -1)
    (wanted,) = torch.autograd.grad((slow * weights).sum(), x)
    own = rotation.turn(x)
    (gradient,) = torch.autograd.grad((own * weights).sum(), x)
    torch.testing.assert_close(own, slow)
    torch.testing.assert_close(gradient, wanted)


def test_products_depend_on_the_distance_alone() -> None:
    q, k = states(1, 1, 8).expand(5, 1, 8), states(1, 1, 8).expand(5, 1, 8) + 1
    for distance in (0, 1, 3):
        at = torch.arange(5) * 7
        products = (Rotation.make(at, 50.0, 8).turn(q) * Rotation.make(at + distance, 50.0, 8).turn(k)).sum(-1)
        torch.testing.assert_close(products, products[:1].expand_as(products), atol=1e-5, rtol=0)


def test_half_precision_is_rounded_once() -> None:
    x = states(9, 2, 6).bfloat16()
    rotation = Rotation.make(torch.arange(9) * 100, 10_000.0, 6)
    assert torch.equal(rotation.turn(x), rotation.turn(x.float()).bfloat16())


def modern(dropout: float = 0.0, last_is_local: bool = False) -> EncoderSpec:
    """A global and a local layer as ModernBERT has them, of odd sizes."""
    base = layer(dropout, norm_position="before", feed_forward_dropout=0.0)
    gated = replace(base.feed_forward, gated=True, bias=False, dropout=dropout)
    attention = replace(base.attention, head_dim=6, bias=False, output_bias=False)
    local = replace(base, attention=replace(attention, rotary_base=100.0, window=(4, 4)), feed_forward=gated)
    everywhere = replace(base, attention=replace(attention, rotary_base=1600.0), feed_forward=gated)
    kinds = (everywhere, local) if last_is_local else (local, everywhere)
    embedding = EmbeddingSpec(VOCABULARY, 14, 400, positions="none", segments=0, norm=NormSpec(1e-6, bias=False), dropout=dropout)
    layers = tuple(replace(kind, weights=number) for number, kind in enumerate(kinds))
    return replace(encoder(0), embedding=embedding, layers=layers, pooler=None, final_norm=NormSpec(1e-6, bias=False))


@given(
    lengths=st.lists(st.integers(1, 220), min_size=1, max_size=4),
    dropout=st.sampled_from([0.0, 0.3]),
    last_is_local=st.booleans(),
    data=st.data(),
)
def test_a_packed_batch_is_each_sequence_alone(lengths: list[int], dropout: float, last_is_local: bool, data: st.DataObject) -> None:
    made = model(modern(dropout, last_is_local))
    packed = batch(lengths, keys=range(50, 50 + len(lengths)))
    chosen = data.draw(st.integers(0, len(lengths) - 1))
    steps = (3, 1) if dropout else None
    with torch.set_grad_enabled(data.draw(st.booleans())):
        together = made.encoder(inputs(packed, steps)).hidden
        alone = made.encoder(inputs(packed.take([chosen]), steps)).hidden
    of_chosen = slice(int(packed.offsets[chosen]), int(packed.offsets[chosen + 1]))
    torch.testing.assert_close(together[of_chosen], alone, atol=1e-5, rtol=1e-5)


def test_only_the_differences_of_positions_count() -> None:
    made, packed = model(modern()), batch((9, 120))
    shifted = replace(inputs(packed), position_ids=inputs(packed).position_ids + 37)
    torch.testing.assert_close(made.encoder(shifted).hidden, made.encoder(inputs(packed)).hidden, atol=1e-4, rtol=1e-4)
    stretched = replace(inputs(packed), position_ids=inputs(packed).position_ids * 2)
    assert not torch.allclose(made.encoder(stretched).hidden, made.encoder(inputs(packed)).hidden, atol=1e-2)


def test_first_tokens_alone_are_those_of_all() -> None:
    made, packed = model(modern()), batch((9, 120, 1))
    whole = made.encoder(inputs(packed)).hidden[torch.from_numpy(packed.offsets[:-1])]
    assert made.encoder.may_compute_only("first")
    torch.testing.assert_close(made.encoder(inputs(packed), ends="first").hidden, whole, atol=1e-5, rtol=1e-5)
    local = model(modern(last_is_local=True))
    assert not local.encoder.may_compute_only("first")
    last = local.encoder(inputs(packed)).hidden[torch.from_numpy(packed.offsets[1:] - 1)]
    torch.testing.assert_close(local.encoder(inputs(packed), ends="last").hidden, last, atol=1e-5, rtol=1e-5)


def test_dropout_stands_before_the_second_projection() -> None:
    made = model(modern(0.5)).encoder.layers[0].feed_forward
    x, keys = states(4, 14), inputs(batch((4,)), (1, 1)).dropout
    with torch.no_grad():
        made.down.weight.copy_(torch.eye(14, 22))
    dropped, whole = made(x, keys, 9), made(x)
    kept = dropped != 0
    assert 0.2 < kept.float().mean() < 0.8
    torch.testing.assert_close(dropped[kept], 2 * whole[kept], atol=1e-4, rtol=1e-3)
    assert np.isclose(float(made(x, None, 9).sub(whole).abs().max()), 0)
