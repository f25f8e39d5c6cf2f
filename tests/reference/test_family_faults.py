"""Faults planted in what a family has of its own: each must make the comparison fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.inference import LoadedModel
from bertworks.nn.encoder import Encoder, EncoderOutput, Pooler
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.linear import Linear
from tests.reference.comparison import DifferentError, Reference, compare
from tests.reference.test_faults import Fault, Patch, exchange_rows, layers, on_batch, zero


def head_spec(name: str, **changes: Any) -> Fault:
    """A head that is described otherwise."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        head = loaded.model.heads[name]
        assert isinstance(head, Head)
        head.spec = replace(head.spec, **changes)

    return fault


def weights_of_layers(order: Sequence[int]) -> Fault:
    """Layers that use other sets of weights."""

    def fault(loaded: LoadedModel, patch: Patch) -> None:
        encoder = loaded.model.encoder
        assert [layer.weights for layer in encoder.spec.layers] != list(order)
        chosen = tuple(replace(layer, weights=number) for layer, number in zip(encoder.spec.layers, order, strict=True))
        encoder.spec = replace(encoder.spec, layers=chosen)

    return fault


def embedding_spec(**changes: Any) -> Fault:
    def fault(loaded: LoadedModel, patch: Patch) -> None:
        embeddings = loaded.model.encoder.embeddings
        embeddings.spec = replace(embeddings.spec, **changes)

    return fault


def projection_before_norm(loaded: LoadedModel, patch: Patch) -> None:
    """Rows of mean 0 and variance 1 are made of the projected embeddings, not of those that are projected."""
    encoder = loaded.model.encoder
    projection = encoder.projection
    assert isinstance(projection, Linear)
    real = projection.forward
    patch.setattr(encoder.embeddings.norm, "forward", lambda x: x)
    patch.setattr(projection, "forward", lambda x: torch.nn.functional.layer_norm(real(x), [loaded.model.spec.hidden]))


def reads_last_token(loaded: LoadedModel, patch: Patch) -> None:
    real = EncoderOutput.at
    patch.setattr(EncoderOutput, "at", lambda self, end, layout: real(self, "last", layout))
    patch.setattr(Encoder, "may_compute_only", lambda self, ends: False)


def pooler_in_the_way(loaded: LoadedModel, patch: Patch) -> None:
    """The first token goes through the dense layer twice, as if there were a pooler besides."""
    real = Head.read

    def read(self: Head, encoded: EncoderOutput, inputs: ModelInputs, name: str) -> Any:
        x, keys = real(self, encoded, inputs, name)
        assert self.dense is not None
        return torch.tanh(self.dense(x)), keys

    patch.setattr(Head, "read", read)


def scale_of_attention(width: Callable[[LoadedModel], int]) -> Fault:
    def fault(loaded: LoadedModel, patch: Patch) -> None:
        for layer in layers(loaded):
            layer.attention.pattern = replace(layer.attention.pattern, scale=width(loaded) ** -0.5)

    return fault


def pooler_without_tanh(loaded: LoadedModel, patch: Patch) -> None:
    patch.setattr(Pooler, "forward", lambda self, first: self.dense(first))


NO_SEGMENTS = on_batch(lambda b: {"segment_ids": np.zeros_like(b.segment_ids)})
SHIFTED = on_batch(lambda b: {"position_ids": b.position_ids + 1})

FAULTS: dict[str, tuple[str, Fault]] = {
    "RoBERTa: positions from 0": ("roberta bare", embedding_spec(position_offset=0)),
    "RoBERTa: positions from 1, as with padding 0": ("roberta bare", embedding_spec(position_offset=1)),
    "RoBERTa: positions from 3": ("roberta bare", embedding_spec(position_offset=3)),
    "RoBERTa: position shifted": ("roberta masked_lm", SHIFTED),
    "RoBERTa: segments ignored": ("roberta bare", NO_SEGMENTS),
    "CamemBERT: positions from 2, whatever the padding": ("camembert bare", embedding_spec(position_offset=2)),
    "XLM-RoBERTa: the one segment left out": ("xlm-roberta bare", zero("encoder.embeddings.segment.weight")),
    "RoBERTa: classifier without tanh": ("roberta sequence_classification", head_spec("label", activation=None)),
    "RoBERTa: classifier with GELU": ("roberta sequence_classification", head_spec("label", activation="gelu")),
    "RoBERTa: classifier reads the last token": ("roberta sequence_classification", reads_last_token),
    "RoBERTa: classifier reads the mean": ("roberta sequence_classification", head_spec("label", reads="mean")),
    "RoBERTa: classifier behind a pooler": ("roberta sequence_classification", pooler_in_the_way),
    "RoBERTa: classifier's dense bias dropped": ("roberta sequence_classification", zero("heads.label.dense.bias")),
    "RoBERTa: choice without the pooler's tanh": ("roberta multiple_choice", pooler_without_tanh),
    "RoBERTa: masked LM without GELU": ("roberta masked_lm", head_spec("words", activation=None)),
    "RoBERTa: masked LM with the layers' activation": ("roberta masked_lm gelu_new", head_spec("words", activation="gelu_tanh")),
    "RoBERTa: masked LM's bias dropped": ("roberta masked_lm", zero("heads.words.bias")),
    "DistilBERT: position shifted": ("distilbert bare", SHIFTED),
    "DistilBERT: classifier without ReLU": ("distilbert sequence_classification", head_spec("label", activation=None)),
    "DistilBERT: classifier with tanh": ("distilbert sequence_classification", head_spec("label", activation="tanh")),
    "DistilBERT: choice without ReLU": ("distilbert multiple_choice", head_spec("choice", activation=None)),
    "DistilBERT: pre_classifier's bias dropped": ("distilbert sequence_classification", zero("heads.label.dense.bias")),
    "DistilBERT: vocab_projector's bias dropped": ("distilbert masked_lm", zero("heads.words.bias")),
    "DistilBERT: start and end exchanged": ("distilbert question_answering", exchange_rows("heads.span.output.weight", (1, 0))),
    "ALBERT: every layer of the first group": ("albert bare", weights_of_layers([0, 0, 0])),
    "ALBERT: groups take turns": ("albert bare", weights_of_layers([0, 1, 0])),
    "ALBERT: groups divided otherwise": ("albert bare", weights_of_layers([0, 1, 1])),
    "ALBERT: groups exchanged": ("albert masked_lm", weights_of_layers([1, 1, 0])),
    "ALBERT: inner layers repeated before the group": ("albert-inner masked_lm", weights_of_layers([0, 0, 1, 1])),
    "ALBERT: inner layers exchanged": ("albert-inner masked_lm", weights_of_layers([1, 0, 1, 0])),
    "ALBERT: embeddings projected before their norm": ("albert bare", projection_before_norm),
    "ALBERT: projection's bias dropped": ("albert masked_lm", zero("encoder.projection.bias")),
    "ALBERT: segments ignored": ("albert bare", NO_SEGMENTS),
    "ALBERT: pooler without tanh": ("albert sequence_classification", pooler_without_tanh),
    "ALBERT: masked LM without activation": ("albert masked_lm", head_spec("words", activation=None)),
    "ALBERT: exact GELU for its approximation": ("albert masked_lm gelu_new", head_spec("words", activation="gelu")),
    "ALBERT: sentence order exchanged": ("albert pretraining", exchange_rows("heads.next.output.weight", (1, 0))),
    "ELECTRA: embeddings projected before their norm": ("electra-generator bare", projection_before_norm),
    "ELECTRA: projection's bias dropped": ("electra-generator bare", zero("encoder.projection.bias")),
    "ELECTRA: segments ignored": ("electra-discriminator bare", NO_SEGMENTS),
    "ELECTRA: attention scaled by the embedding's width": (
        "electra-generator bare",
        scale_of_attention(lambda loaded: loaded.model.spec.embedding.width),
    ),
    "ELECTRA: attention scaled by the hidden size": (
        "electra-discriminator bare",
        scale_of_attention(lambda loaded: loaded.model.spec.hidden),
    ),
    "ELECTRA: generator without GELU": ("electra-generator masked_lm", head_spec("words", activation=None)),
    "ELECTRA: generator with the layers' activation": ("electra-generator masked_lm gelu_new", head_spec("words", activation="gelu_tanh")),
    "ELECTRA: generator's bias dropped": ("electra-generator masked_lm", zero("heads.words.bias")),
    "ELECTRA: discriminator without its last activation": (
        "electra-discriminator replaced_token_detection",
        head_spec("replaced", activation=None),
    ),
    "ELECTRA: discriminator with exact GELU, as the generator": (
        "electra-generator replaced_token_detection gelu_new",
        head_spec("replaced", activation="gelu"),
    ),
    "ELECTRA: discriminator's bias dropped": ("electra-discriminator replaced_token_detection", zero("heads.replaced.output.bias")),
    "ELECTRA: classifier with tanh": ("electra-discriminator sequence_classification", head_spec("label", activation="tanh")),
    "ELECTRA: classifier without activation": ("electra-discriminator sequence_classification", head_spec("label", activation=None)),
    "ELECTRA: summary without activation": ("electra-discriminator multiple_choice", head_spec("choice", activation=None)),
    "ELECTRA: summary reads the mean": ("electra-discriminator multiple_choice", head_spec("choice", reads="mean")),
    "ELECTRA: summary reads the last token": ("electra-discriminator multiple_choice", reads_last_token),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(reference: Callable[..., Reference], monkeypatch: Patch, name: str) -> None:
    case, fault = FAULTS[name]
    words = case.split()
    made = reference(" ".join(words[:2]), *words[2:])
    loaded = made.load()
    compare(made, loaded)
    fault(loaded, monkeypatch)
    with pytest.raises(DifferentError):
        compare(made, loaded)
