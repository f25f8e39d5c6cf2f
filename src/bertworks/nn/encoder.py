"""The one encoder: runs any `EncoderSpec` on packed tokens."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.attention import Attended
from bertworks.nn.embeddings import Embeddings
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layer import End, Layer
from bertworks.nn.layout import Layout
from bertworks.nn.linear import Linear
from bertworks.nn.norm import build_norm
from bertworks.nn.rotary import Rotation
from bertworks.spec import EncoderSpec


@dataclass
class EncoderOutput:
    """What an encoder computed on a packed batch."""

    hidden: Float[Tensor, "rows hidden"]
    """The last hidden state: of all tokens, or of each sequence's first or last where only those were asked for."""
    ends: End | None = None
    """Which tokens `hidden` holds; None is all."""
    pooled: Float[Tensor, "sequences hidden"] | None = None
    """The pooler's output, in float32; None where the encoder has no pooler."""
    hidden_states: list[Float[Tensor, "tokens hidden"]] = field(default_factory=list)
    """Embedding output and each layer's output, if asked for."""
    attended: dict[int, Attended] = field(default_factory=dict)
    """What the attention of the layers asked for took and gave."""

    @cached_property
    def attentions(self) -> dict[int, list[Float[Tensor, "heads length length"]]]:
        """Attention probabilities of the layers asked for, one entry a sequence; recomputed on the side."""
        return {number: attended.recomputed()[1] for number, attended in self.attended.items()}

    def at(self, end: End, layout: Layout) -> Float[Tensor, "sequences hidden"]:
        """The last hidden state of each sequence's first or last token."""
        if self.ends is None:
            return self.hidden[layout.ends(end, self.hidden.device)]
        assert self.ends == end, f"only the {self.ends} tokens were computed"
        return self.hidden


class Pooler(nn.Module):
    """The first token's hidden state through a dense layer, in float32 (Devlin et al. 2019, section 3.1)."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        assert spec.pooler is not None
        self.dense = Linear(spec.hidden, spec.hidden)
        self.activation = ACTIVATIONS[spec.pooler.activation]

    def forward(self, first: Float[Tensor, "sequences hidden"]) -> Float[Tensor, "sequences hidden"]:
        return self.activation(self.dense(first.float()))


class Encoder(nn.Module):
    """Embeddings, layers, final norm and pooler of a description.

    Parameters are float32; `compute_dtype` is the dtype of the hidden states and of the products.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.compute_dtype = torch.float32
        self.embeddings = Embeddings(spec.embedding)
        self.projection = Linear(spec.embedding.width, spec.hidden) if spec.projection else None
        by_weights = {layer.weights: layer for layer in reversed(spec.layers)}
        self.layers = nn.ModuleList(Layer(by_weights[i], spec.hidden) for i in range(len(by_weights)))
        self.final_norm = build_norm(spec.final_norm, spec.hidden)
        self.pooler = Pooler(spec) if spec.pooler else None

    def forward(
        self, inputs: ModelInputs, *, ends: End | None = None, hidden_states: bool = False, attentions: Collection[int] = ()
    ) -> EncoderOutput:
        """`ends` says that only the first or the last token of each sequence will be read: the last layer computes no
        other, with the same result. `attentions` numbers the layers whose attention is kept to be looked at.
        """
        x = self.embeddings(inputs)
        if self.projection is not None:
            x = self.projection(x)
        x = x.to(self.compute_dtype)
        rotations = self._rotations(inputs)
        out = EncoderOutput(hidden=x, ends=ends)
        for number, spec in enumerate(self.spec.layers):
            layer = self.layers[spec.weights]
            assert isinstance(layer, Layer)
            if hidden_states:
                out.hidden_states.append(x)
            last = number == len(self.spec.layers) - 1
            watch = partial(out.attended.__setitem__, number) if number in attentions else None
            cache = None if inputs.cache is None else inputs.cache.layers[number]
            rotation = rotations[spec.attention.rotary_base, spec.attention.head_dim]
            site = 1 + number * Layer.DROPOUT_SITES
            x = layer(x, spec, inputs.layout, inputs.dropout, site, ends if last else None, watch, cache, rotation)
        out.hidden = self.final_norm(x)
        if hidden_states:
            out.hidden_states.append(out.hidden)
        if self.pooler is not None and ends != "last":
            out.pooled = self.pooler(out.at("first", inputs.layout))
        return out

    def _rotations(self, inputs: ModelInputs) -> dict[tuple[float | None, int], Rotation | None]:
        """The angles of rotary positions, once for all layers of a kind."""
        kinds = {(layer.attention.rotary_base, layer.attention.head_dim) for layer in self.spec.layers}
        return {(base, size): None if base is None else Rotation.make(inputs.position_ids, base, size) for base, size in kinds}

    def may_compute_only(self, ends: End) -> bool:
        """Whether the last layer can compute the ends of sequences alone: a first token must see all others."""
        attention = self.spec.layers[-1].attention
        return ends == "last" or not (attention.causal or attention.window)

    @property
    def next_dropout_site(self) -> int:
        """The first number that heads may use for their own dropout sites."""
        return 1 + len(self.spec.layers) * Layer.DROPOUT_SITES
