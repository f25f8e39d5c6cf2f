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
    """Base of the wavelengths of rotary positions (Su et al. 2021); None has none."""
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
    dropout: float = 0.0
    """Dropout before the second projection (ModernBERT)."""


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
    feed_forward_dropout: float | None = None
    """That of the feed-forward network's output, where it is another."""
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
    layers_a_group: int = 1
    """How many neighbouring layers make up a group, which as a whole shares its weights with others (ALBERT)."""
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
    dense_bias: bool = True
    activation: Activation | None = None
    norm: NormSpec | None = None
    dropout: float = 0.0
    """Dropout before the projection (after the dense layer, where there is one)."""
    bias: bool = True
    tied: bool = False
    """The projection's weight is the token embedding (masked LM)."""
    transitions: bool = False
    """There are learnt scores of outputs that follow each other, too (tags of words)."""


@dataclass(frozen=True)
class RelationSpec:
    """Queries, keys and values of the last layer's attention, side by side and as they are: what another model's attention is
    learnt by (Wang et al. 2020)."""

    outputs: int
    """Three times heads × head_dim of that layer."""
    reads: Literal["relations"] = "relations"
    tied: Literal[False] = False


Pooling = Literal["mean", "cls", "max", "last", "mean_sqrt_length", "position_weighted_mean"]
"""From the states of a sequence's tokens to one: their mean, the first token's, the largest of each feature, the last token's,
their sum divided by √length, or their mean with weights 1, 2, 3 … (Muennighoff 2022, section 3.1)."""


@dataclass(frozen=True)
class DenseStage:
    """A dense layer on a vector."""

    inputs: int
    outputs: int
    activation: Activation | None = "tanh"
    """None is the identity."""
    bias: bool = True
    residual: bool = False
    """The input is added to the output; by a projection without bias where the widths differ."""


@dataclass(frozen=True)
class NormStage:
    """Layer normalization of a vector."""

    width: int
    epsilon: float = 1e-5


@dataclass(frozen=True)
class DropoutStage:
    """Dropout of a vector's features, in training."""

    probability: float


@dataclass(frozen=True)
class UnitStage:
    """A vector's length becomes 1."""


Stage = DenseStage | NormStage | DropoutStage | UnitStage


@dataclass(frozen=True)
class VectorSpec:
    """From the encoder's states to one vector for each sequence: pooling, and what is done with its result."""

    pooling: tuple[Pooling, ...] = ("mean",)
    """One pooling, or several whose results stand side by side."""
    layers_from: int | None = None
    """Each token's state is a weighted mean, with learnt weights, of those of the layers from this one on (0 is the
    embeddings); None takes the last layer's."""
    pools_prompt: bool = True
    """Whether the tokens of a prompt, and the special token before it, count in the pooling."""
    stages: tuple[Stage, ...] = ()

    tied = False

    @property
    def reads(self) -> Literal["first", "last", "sequence"]:
        """Which states of the last layer are needed of a sequence: an end of it alone, or all."""
        if self.layers_from is not None or not self.pools_prompt:
            return "sequence"
        return "first" if self.pooling == ("cls",) else "last" if self.pooling == ("last",) else "sequence"

    def width(self, hidden: int) -> int:
        """Features of a vector, given those of a state."""
        widths = [stage.outputs for stage in self.stages if isinstance(stage, DenseStage)]
        return widths[-1] if widths else hidden * len(self.pooling)

    @property
    def is_unit(self) -> bool:
        """Whether vectors have the length 1: the last stage but dropout sees to it."""
        shaping = [stage for stage in self.stages if not isinstance(stage, DropoutStage)]
        return bool(shaping) and isinstance(shaping[-1], UnitStage)
