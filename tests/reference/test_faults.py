"""Every planted fault makes the comparison with the reference fail: what passes it has none of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bertworks.batch import PackedBatch
from bertworks.inference import LoadedModel
from bertworks.nn import attention as attention_room
from bertworks.nn import layer as layer_room
from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.encoder import Encoder, EncoderOutput, Pooler
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.layer import Layer, SelfAttention
from bertworks.nn.layout import Layout
from bertworks.nn.norm import Norm
from bertworks.nn.pattern import Block, Part
from tests.reference.comparison import CPU, DifferentError, Reference, compare

Patch = pytest.MonkeyPatch
Fault = Callable[[LoadedModel, Patch], None]
FAULTS: dict[str, tuple[str, Fault]] = {}


def planted(name: str, case: str = "pretraining") -> Callable[[Fault], Fault]:
    """Registers a fault under a name, with the case that must notice it."""

    def register(fault: Fault) -> Fault:
        FAULTS[name] = (case, fault)
        return fault

    return register


def layers(loaded: LoadedModel) -> list[Layer]:
    return [layer for layer in loaded.model.encoder.layers if isinstance(layer, Layer)]


def on_batch(change: Callable[[PackedBatch], dict[str, Any]]) -> Fault:
    """A fault of the inputs: the encoder sees a batch with something changed."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        original = Encoder.forward

        def forward(self: Encoder, inputs: ModelInputs, **options: Any) -> EncoderOutput:
            values = {name: getattr(inputs, name).numpy() for name in ("input_ids", "position_ids", "segment_ids")}
            numbered = np.arange(inputs.layout.sequences)
            batch = PackedBatch(**values, offsets=inputs.layout.offsets, groups=numbered, keys=numbered)
            changed = {name: torch.from_numpy(np.array(value)) for name, value in change(batch).items()}
            return original(self, replace(inputs, **changed), **options)

        patch.setattr(Encoder, "forward", forward)

    return fault


def zero(name: str) -> Fault:
    """A parameter that is left out."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        parameter = dict(loaded.model.named_parameters())[name]
        with torch.no_grad():
            assert parameter.abs().min() > 0
            parameter.zero_()

    return fault


def exchange_rows(name: str, order: Sequence[int]) -> Fault:
    """The equal parts of a parameter in another order."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        parameter = dict(loaded.model.named_parameters())[name]
        with torch.no_grad():
            parts = parameter.chunk(len(order))
            parameter.copy_(torch.cat([parts[i] for i in order]))

    return fault


def on_project(change: Callable[[Tensor, SelfAttention], tuple[Tensor, ...]]) -> Fault:
    """A fault between the query-key-value projection and attention."""
    return lambda loaded, patch: patch.setattr(SelfAttention, "project", lambda self, x: change(self.qkv(x), self))


def layer_specs(**changes: Any) -> Fault:
    """Layers that are described otherwise."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        encoder = loaded.model.encoder
        encoder.spec = replace(encoder.spec, layers=tuple(replace(layer, **changes) for layer in encoder.spec.layers))

    return fault


FIRST, LAST = "encoder.layers.0.", "encoder.layers.2."
for parameter in [
    f"{FIRST}attention.qkv.bias",
    f"{LAST}attention.output.bias",
    f"{FIRST}attention_norm.bias",
    f"{FIRST}feed_forward.up.bias",
    f"{LAST}feed_forward.down.bias",
    f"{LAST}feed_forward_norm.bias",
    "encoder.embeddings.norm.bias",
    "encoder.pooler.dense.bias",
    "heads.words.dense.bias",
    "heads.words.norm.bias",
    "heads.words.bias",
    "heads.next.output.bias",
]:
    FAULTS[f"{parameter} dropped"] = ("pretraining", zero(parameter))
for case, parameter in {
    "sequence_classification": "heads.label.output.bias",
    "token_classification": "heads.tags.output.bias",
    "question_answering": "heads.span.output.bias",
    "multiple_choice": "heads.choice.output.bias",
}.items():
    FAULTS[f"{parameter} dropped"] = (case, zero(parameter))

FAULTS |= {
    "segments ignored": ("bare", on_batch(lambda b: {"segment_ids": np.zeros_like(b.segment_ids)})),
    "segments exchanged": ("bare", on_batch(lambda b: {"segment_ids": 1 - b.segment_ids})),
    "position shifted by one": ("bare", on_batch(lambda b: {"position_ids": b.position_ids + 1})),
    "positions counted through the batch": ("bare", on_batch(lambda b: {"position_ids": np.arange(b.tokens) % 40})),
    "norm before instead of after": ("bare", layer_specs(norm_position="before")),
    "last layer skipped": (
        "pretraining",
        lambda loaded, patch: setattr(
            loaded.model.encoder, "spec", replace(loaded.model.encoder.spec, layers=loaded.model.encoder.spec.layers[:2])
        ),
    ),
    "layers share the first one's weights": ("bare", layer_specs(weights=0)),
    "query and key swapped": ("bare", on_project(lambda x, a: [x.view(len(x), 3, 4, 15).unbind(1)[i] for i in (1, 0, 2)])),
    "key and value swapped": ("bare", exchange_rows(f"{LAST}attention.qkv.weight", (0, 2, 1))),
    "heads interleaved": ("bare", on_project(lambda x, a: x.view(len(x), 3, 15, 4).transpose(2, 3).unbind(1))),
    "query, key and value interleaved": ("bare", on_project(lambda x, a: x.view(len(x), 4, 3, 15).unbind(2))),
    "scores of next sentence exchanged": ("next_sentence", exchange_rows("heads.next.output.weight", (1, 0))),
    "start and end exchanged": ("question_answering", exchange_rows("heads.span.output.weight", (1, 0))),
}


@planted("attention scale of the hidden size", "bare")
def _scale(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        layer.attention.pattern = replace(layer.attention.pattern, scale=60**-0.5)


@planted("attention scale wrong by one per cent", "bare")
def _scale_slightly(loaded: LoadedModel, patch: Patch) -> None:
    layer = layers(loaded)[1]
    layer.attention.pattern = replace(layer.attention.pattern, scale=layer.attention.pattern.scale * 1.01)


@planted("attention looks back only", "bare")
def _causal(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        layer.attention.pattern = replace(layer.attention.pattern, causal=True)


@planted("attention crosses sequences", "bare")
def _crossing(loaded: LoadedModel, patch: Patch) -> None:
    real = layer_room.attention

    def crossing(q: Tensor, k: Tensor, v: Tensor, q_layout: Layout, k_layout: Layout, *rest: Any) -> Tensor:
        whole = Layout(np.array([0, len(q)]))
        return real(q, k, v, whole, whole, *rest)

    patch.setattr(layer_room, "attention", crossing)


@planted("sequences of a run exchanged", "bare")
def _run_exchanged(loaded: LoadedModel, patch: Patch) -> None:
    for kind in (Part, Block):  # whichever takes the sequences
        real = kind.put
        patch.setattr(kind, "put", lambda self, out, values, real=real: real(self, out, values.roll(out.shape[1], 0)))


@planted("attention's backward pass forgets the scale", "bare")
def _unscaled_gradient(loaded: LoadedModel, patch: Patch) -> None:
    real = attention_room._PieceAttention.backward

    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.scale = 1.0
        return real(ctx, *gradients)

    patch.setattr(attention_room._PieceAttention, "backward", staticmethod(backward))


@pytest.mark.parametrize("where", ["embeddings", "layers", "heads"])
def test_epsilon(reference: Callable[[str], Reference], where: str) -> None:
    made = reference("masked_lm")
    loaded = made.load()
    for name, module in loaded.model.named_modules():
        if isinstance(module, Norm) and where in name:
            module.epsilon = 1e-12
    with pytest.raises(DifferentError):
        compare(made, loaded)


@planted("tanh for exact GELU", "bare")
def _tanh(loaded: LoadedModel, patch: Patch) -> None:
    for layer in layers(loaded):
        layer.feed_forward.activation = ACTIVATIONS["gelu_tanh"]


@planted("tanh for exact GELU in the masked-LM head", "masked_lm")
def _tanh_in_head(loaded: LoadedModel, patch: Patch) -> None:
    head = loaded.model.heads["words"]
    assert isinstance(head, Head)
    head.spec = replace(head.spec, activation="gelu_tanh")


@planted("residual of attention missing", "bare")
def _no_residual(loaded: LoadedModel, patch: Patch) -> None:
    real = SelfAttention.forward
    patch.setattr(SelfAttention, "forward", lambda self, x, *rest: real(self, x, *rest) - x)


@planted("residual of the feed-forward network missing", "bare")
def _no_second_residual(loaded: LoadedModel, patch: Patch) -> None:
    real = layer_room.FeedForward.forward
    patch.setattr(layer_room.FeedForward, "forward", lambda self, x, *rest: real(self, x, *rest) - x)


@planted("embedding norm missing", "bare")
def _no_embedding_norm(loaded: LoadedModel, patch: Patch) -> None:
    patch.setattr(loaded.model.encoder.embeddings.norm, "forward", lambda x: x)


@planted("masked-LM head without its norm", "masked_lm")
def _no_head_norm(loaded: LoadedModel, patch: Patch) -> None:
    head = loaded.model.heads["words"]
    assert isinstance(head, Head)
    patch.setattr(head.norm, "forward", lambda x: x)


@planted("pooler without tanh", "bare")
def _no_tanh(loaded: LoadedModel, patch: Patch) -> None:
    patch.setattr(Pooler, "forward", lambda self, first: self.dense(first))


@planted("pooler reads the last token", "bare")
def _last_token(loaded: LoadedModel, patch: Patch) -> None:
    real = Encoder.forward

    def forward(self: Encoder, inputs: ModelInputs, **options: Any) -> EncoderOutput:
        out = real(self, inputs, **options)
        assert self.pooler is not None
        out.pooled = self.pooler(out.hidden[torch.from_numpy(inputs.layout.offsets[1:] - 1)])
        return out

    patch.setattr(Encoder, "forward", forward)


@planted("classifier reads the first token instead of the pooler", "sequence_classification")
def _first_token(loaded: LoadedModel, patch: Patch) -> None:
    head = loaded.model.heads["label"]
    assert isinstance(head, Head)
    head.spec = replace(head.spec, reads="first")


@planted("masked-LM decoder not tied: its part of the embedding's gradient is lost", "masked_lm")
def _not_tied(loaded: LoadedModel, patch: Patch) -> None:
    real = Head.forward
    patch.setattr(Head, "forward", lambda self, out, inputs, name, weight, site: real(self, out, inputs, name, weight.detach(), site))


@planted("masked-LM decoder shifted by a row", "masked_lm")
def _wrong_row(loaded: LoadedModel, patch: Patch) -> None:
    real = Head.forward
    patch.setattr(Head, "forward", lambda self, out, inputs, name, weight, site: real(self, out, inputs, name, weight.roll(1, 0), site))


def test_dropout_active(reference: Callable[[str], Reference]) -> None:
    made = reference("bare")
    with pytest.raises(DifferentError):
        compare(made, made.load(), lambda batch: model_inputs(batch, CPU, dropout=(0, 0)))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(reference: Callable[[str], Reference], monkeypatch: Patch, name: str) -> None:
    case, fault = FAULTS[name]
    made = reference(case)
    loaded = made.load()
    compare(made, loaded)
    fault(loaded, monkeypatch)
    with pytest.raises(DifferentError):
        compare(made, loaded)
