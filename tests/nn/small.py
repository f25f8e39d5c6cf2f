"""Small descriptions, models and batches with odd and unequal sizes, so that axes cannot be confused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bertworks.batch import PackedBatch
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.model import Model
from bertworks.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, HeadSpec, LayerSpec, NormSpec, PoolerSpec

CPU = torch.device("cpu")
VOCABULARY = 31


def layer(dropout: float = 0.0, **changes: Any) -> LayerSpec:
    base = LayerSpec(
        attention=AttentionSpec(heads=3, head_dim=5, dropout=dropout),
        feed_forward=FeedForwardSpec(22, "gelu"),
        norm_position="after",
        attention_norm=NormSpec(1e-6),
        feed_forward_norm=NormSpec(1e-6),
        dropout=dropout,
    )
    return replace(base, **changes)


def encoder(layers: int = 2, dropout: float = 0.0, **changes: Any) -> EncoderSpec:
    base = EncoderSpec(
        architecture="bert",
        hidden=14,
        embedding=EmbeddingSpec(vocabulary=VOCABULARY, width=14, max_tokens=24, norm=NormSpec(1e-6), dropout=dropout),
        layers=tuple(layer(dropout, weights=i) for i in range(layers)),
        pooler=PoolerSpec(),
    )
    return replace(base, **changes)


def model(spec: EncoderSpec, heads: Mapping[str, HeadSpec] | None = None, seed: int = 1, spread: float = 0.3) -> Model:
    """A model with random weights and biases, gains around 1."""
    made = Model(spec, heads)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            gain = "norm" in name and name.endswith("weight")
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (1.0 if gain else 0.0))
    return made


def batch(lengths: Sequence[int] = (4, 4, 7, 1), seed: int = 0, keys: Sequence[int] | None = None, **targets: Any) -> PackedBatch:
    generator = np.random.default_rng(seed)
    ids = [generator.integers(0, VOCABULARY, n) for n in lengths]
    segments = [(np.arange(n) > n // 2).astype(np.int64) for n in lengths]
    return PackedBatch.from_sequences(ids, segments, keys=keys, **targets)


def inputs(packed: PackedBatch, dropout: tuple[int, int] | None = None) -> ModelInputs:
    return model_inputs(packed, CPU, dropout)
