"""What an encoder and its heads can be described by, and nothing that no family uses.

An architecture file reads a family's `config.json` into an `EncoderSpec`; the one encoder in `nn/encoder.py`
runs any such description. Sizes are numbers of units, dropout values are probabilities of dropping.
"""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh"]


@dataclass(frozen=True)
class NormSpec:
    """Layer normalization (Ba et al. 2016)."""

    epsilon: float
    bias: bool = True


@dataclass(frozen=True)
class EmbeddingSpec:
    """From token ids to the first hidden state: a sum of embeddings and a norm."""

    vocabulary: int
    width: int
    """Width of the embeddings; `EncoderSpec.projection` leads to the hidden size where it differs."""
    max_tokens: int
    """Longest sequence, in tokens, as a user may give it (RoBERTa's two reserved positions are not counted)."""
    positions: Literal["learnt", "none"] = "learnt"
    position_offset: int = 0
    """Rows of the position table before position 0 (RoBERTa: 2)."""
    segments: int = 2
    """Rows of the segment table; 0 where a family has none. Ids beyond the last row are clamped to it."""
    norm: NormSpec | None = NormSpec(1e-12)
    dropout: float = 0.0


@dataclass(frozen=True)
class AttentionSpec:
    """Multi-head attention (Vaswani et al. 2017, section 3.2)."""

    heads: int
    head_dim: int
    bias: bool = True
    """Query, key and value have biases."""
    output_bias: bool = True
    scale: float | None = None
    """Factor on the products of queries and keys; None is 1/√head_dim."""
    rotary_base: float | None = None
    window: tuple[int, int] | None = None
    """How many tokens to the left and to the right are seen; None sees all."""
    causal: bool = False
    dropout: float = 0.0
    """Dropout of the attention probabilities."""


@dataclass(frozen=True)
class FeedForwardSpec:
    """The position-wise network; `gated` multiplies the activation with a second projection (GeGLU)."""

    width: int
    activation: Activation
    gated: bool = False
    bias: bool = True


@dataclass(frozen=True)
class LayerSpec:
    """Attention and feed-forward, each with a residual connection and a norm before or after it."""

    attention: AttentionSpec
    feed_forward: FeedForwardSpec
    norm_position: Literal["before", "after"]
    attention_norm: NormSpec | None
    """None is the identity (ModernBERT's first layer)."""
    feed_forward_norm: NormSpec | None
    dropout: float = 0.0
    """Dropout of both sub-layers' outputs, before the residual sum."""
    weights: int = 0
    """Which set of weights this layer uses; layers may share one (ALBERT)."""


@dataclass(frozen=True)
class PoolerSpec:
    """The first token's hidden state through a dense layer (BERT: tanh)."""

    activation: Activation = "tanh"


@dataclass(frozen=True)
class EncoderSpec:
    """A whole encoder."""

    architecture: str
    """The family's name: `model_type` in config.json."""
    hidden: int
    embedding: EmbeddingSpec
    layers: tuple[LayerSpec, ...]
    final_norm: NormSpec | None = None
    pooler: PoolerSpec | None = None
    projection: bool = False
    """A dense layer leads from the embedding's width to the hidden size, after norm and dropout (ALBERT, ELECTRA)."""
    initializer_range: float = 0.02
    """Standard deviation of new weights (Devlin et al. 2019 use 0.02)."""

    @property
    def max_tokens(self) -> int:
        return self.embedding.max_tokens


@dataclass(frozen=True)
class HeadSpec:
    """What a task computes from the encoder's output: an optional dense layer, then a projection."""

    reads: Literal["tokens", "first", "pooled", "mean", "last", "targets"]
    """Which states the head reads: all tokens, the first token, the pooler's output, the mean of a sequence,
    the last token, or only the tokens that have a target (masked LM)."""
    outputs: int
    input_dropout: float = 0.0
    dense: int | None = None
    """Width of a dense layer before the projection; None has no such layer."""
    activation: Activation | None = None
    norm: NormSpec | None = None
    dropout: float = 0.0
    """Dropout before the projection (after the dense layer, where there is one)."""
    bias: bool = True
    tied: bool = False
    """The projection's weight is the token embedding (masked LM)."""
