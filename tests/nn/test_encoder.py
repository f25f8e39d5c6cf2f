"""What a description may say, each against the formula written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.layer import Layer
from bertworks.spec import EmbeddingSpec, NormSpec
from tests.nn.small import batch, encoder, inputs, layer, model

LENGTHS = (4, 4, 7, 1)


def norm(x: Tensor, weight: Tensor, bias: Tensor | None, epsilon: float) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + epsilon).sqrt() * weight + (0 if bias is None else bias)


def test_embeddings_are_a_sum_and_a_norm() -> None:
    spec = encoder(0, embedding=EmbeddingSpec(31, 14, 24, position_offset=2, segments=1, norm=NormSpec(0.1)))
    made, packed = model(spec), batch(LENGTHS)
    e = made.encoder.embeddings
    assert e.position is not None
    assert e.segment is not None
    assert e.position.weight.shape == (26, 14)
    x = e.token.weight[packed.input_ids] + e.position.weight[packed.position_ids + 2] + e.segment.weight[0]
    assert packed.segment_ids.max() == 1  # clamped to the one row there is
    out = made.encoder(inputs(packed), hidden_states=True)
    torch.testing.assert_close(out.hidden, norm(x, e.norm.weight, e.norm.bias, 0.1))
    assert len(out.hidden_states) == 1


def test_embeddings_without_positions_segments_and_norm() -> None:
    spec = encoder(0, embedding=EmbeddingSpec(31, 14, 24, positions="none", segments=0, norm=None))
    made, packed = model(spec), batch(LENGTHS)
    assert {name for name, _ in made.named_parameters() if "embeddings" in name} == {"encoder.embeddings.token.weight"}
    assert torch.equal(made.encoder(inputs(packed)).hidden, made.encoder.embeddings.token.weight[packed.input_ids])


def test_narrow_embeddings_are_projected() -> None:
    spec = encoder(0, embedding=EmbeddingSpec(31, 6, 24), projection=True, pooler=None, final_norm=NormSpec(0.2, bias=False))
    made, packed = model(spec), batch(LENGTHS)
    narrow = made.encoder.embeddings(inputs(packed))
    assert made.encoder.projection is not None
    x = narrow @ made.encoder.projection.weight.T + made.encoder.projection.bias
    out = made.encoder(inputs(packed))
    torch.testing.assert_close(out.hidden, norm(x, made.encoder.final_norm.weight, None, 0.2))
    assert out.pooled is None


def formula(own: Layer, x: Tensor, position: str) -> Tensor:
    """One layer, sequence by sequence and head by head."""

    def attend(x: Tensor) -> Tensor:
        q, k, v = (own.attention.qkv.weight @ x.T + own.attention.qkv.bias[:, None]).T.chunk(3, -1)
        heads = []
        for h in range(3):
            of_head = slice(5 * h, 5 * h + 5)
            mixed = [
                (q[a:b, of_head] @ k[a:b, of_head].T / 5**0.5).softmax(-1) @ v[a:b, of_head] for a, b in ((0, 4), (4, 8), (8, 15), (15, 16))
            ]
            heads.append(torch.cat(mixed))
        return torch.cat(heads, -1) @ own.attention.output.weight.T + own.attention.output.bias

    def feed(x: Tensor) -> Tensor:
        up = x @ own.feed_forward.up.weight.T + own.feed_forward.up.bias
        act = ACTIVATIONS[own.feed_forward.spec.activation]
        inner = act(up[:, :22]) * up[:, 22:] if own.feed_forward.spec.gated else act(up)
        return inner @ own.feed_forward.down.weight.T + own.feed_forward.down.bias

    def norms(kind: str, x: Tensor) -> Tensor:
        module = getattr(own, f"{kind}_norm")
        return x if isinstance(module, torch.nn.Identity) else norm(x, module.weight, module.bias, module.epsilon)

    if position == "before":
        x = x + attend(norms("attention", x))
        return x + feed(norms("feed_forward", x))
    x = norms("attention", x + attend(x))
    return norms("feed_forward", x + feed(x))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("identity", [False, True])
def test_a_layer_is_its_formula(position: str, gated: bool, identity: bool) -> None:
    base = layer()
    changed = layer(
        norm_position=position,
        feed_forward=replace(base.feed_forward, gated=gated),
        attention_norm=None if identity else NormSpec(0.05, bias=False),
    )
    made, packed = model(replace(encoder(), layers=(changed,))), batch(LENGTHS)
    out = made.encoder(inputs(packed), hidden_states=True, attentions=[0])
    own = made.encoder.layers[0]
    assert isinstance(own, Layer)
    torch.testing.assert_close(out.hidden, formula(own, out.hidden_states[0], position), atol=1e-5, rtol=1e-5)


def test_layers_may_share_weights() -> None:
    shared = replace(encoder(), layers=(layer(weights=0), layer(weights=1), layer(weights=0)))
    made = model(shared)
    assert len(made.encoder.layers) == 2
    states = made.encoder(inputs(batch(LENGTHS)), hidden_states=True).hidden_states
    for number, weights in enumerate((0, 1, 0)):
        own = made.encoder.layers[weights]
        assert isinstance(own, Layer)
        torch.testing.assert_close(states[number + 1], formula(own, states[number], "after"), atol=1e-5, rtol=1e-5)


def test_windows_and_causality_limit_what_is_seen() -> None:
    base = layer()
    seen = replace(base, attention=replace(base.attention, window=(1, 2))), replace(base, attention=replace(base.attention, causal=True))
    for spec, sees in zip(seen, (lambda i, j: -1 <= j - i <= 2, lambda i, j: j <= i), strict=True):
        made = model(replace(encoder(), layers=(spec,)))
        attention = made.encoder(inputs(batch((9,))), attentions=[0]).attentions[0][0]
        wanted = np.array([[sees(i, j) for j in range(9)] for i in range(9)])
        assert np.array_equal((attention > 0).numpy(), np.broadcast_to(wanted, (3, 9, 9)))


def test_attentions_are_given_for_the_layers_asked_for() -> None:
    made, packed = model(encoder(3)), batch(LENGTHS)
    plain = made.encoder(inputs(packed))
    out = made.encoder(inputs(packed), attentions=[0, 2])
    assert not plain.attentions
    assert not plain.hidden_states
    assert sorted(out.attentions) == [0, 2]
    assert [tuple(p.shape) for p in out.attentions[2]] == [(3, n, n) for n in LENGTHS]
    assert all(torch.allclose(p.sum(-1), torch.ones(())) for layer in out.attentions.values() for p in layer)
    assert torch.equal(plain.hidden, out.hidden)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    wanted = {
        "gelu": x * torch.distributions.Normal(0.0, 1.0).cdf(x),
        "gelu_tanh": 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
        "relu": x.clamp(min=0),
        "silu": x * torch.sigmoid(x),
        "tanh": torch.tanh(x),
    }
    torch.testing.assert_close(ACTIVATIONS[name](x), wanted[name], atol=1e-6, rtol=1e-6)
    assert F.gelu(x).sub(wanted["gelu"]).abs().max() < 1e-6
