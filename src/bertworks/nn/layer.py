"""One layer: self-attention and feed-forward, each with a residual connection and its norm."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.attention import Attended, AttentionDropout, attention
from bertworks.nn.cache import LayerCache
from bertworks.nn.dropout import DropoutKeys, dropout
from bertworks.nn.layout import Layout
from bertworks.nn.linear import Linear
from bertworks.nn.norm import build_norm
from bertworks.nn.pattern import AttentionPattern
from bertworks.nn.rotary import Rotation
from bertworks.spec import AttentionSpec, FeedForwardSpec, LayerSpec

End = Literal["first", "last"]
Watch = Callable[[Attended], None]
"""Someone who looks at what a layer's attention took and gave."""


class SelfAttention(nn.Module):
    """Multi-head self-attention; query, key and value are one projection."""

    def __init__(self, spec: AttentionSpec, hidden: int) -> None:
        super().__init__()
        self.spec = spec
        self.pattern = AttentionPattern(spec.scale or spec.head_dim**-0.5, spec.causal, spec.window)
        self.qkv = Linear(hidden, 3 * spec.heads * spec.head_dim, spec.bias)
        self.output = Linear(spec.heads * spec.head_dim, hidden, spec.output_bias)

    def project(self, x: Float[Tensor, "tokens hidden"]) -> tuple[Float[Tensor, "tokens heads head_dim"], ...]:
        """Queries, keys and values."""
        return self.qkv(x).view(len(x), 3, self.spec.heads, self.spec.head_dim).unbind(1)  # type: ignore[no-any-return]

    def project_ends(
        self, x: Float[Tensor, "tokens hidden"], rows: Int[Tensor, "sequences"]
    ) -> tuple[Float[Tensor, "rows heads head_dim"], ...]:
        """Queries of some tokens, keys and values of all."""
        heads, width = self.spec.heads, self.spec.heads * self.spec.head_dim
        q = self.qkv.part(x[rows], 0, width).view(len(rows), heads, -1)
        k, v = self.qkv.part(x, width, 3 * width).view(len(x), 2, heads, -1).unbind(1)
        return q, k, v

    def forward(
        self,
        x: Float[Tensor, "tokens hidden"],
        layout: Layout,
        keys: DropoutKeys | None,
        site: int,
        ends: End | None = None,
        watch: Watch | None = None,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "rows hidden"]:
        """`ends` computes only the first or last token of each sequence; `keys` are those of the rows computed. With a
        `cache`, `x` are further tokens of sequences whose earlier ones it holds. `rotation` turns queries and keys."""
        rows = None if ends is None else layout.ends(ends, x.device)
        q, k, v = self.project(x) if rows is None else self.project_ends(x, rows)
        if rotation is not None:
            q, k = (rotation if rows is None else rotation.at(rows)).turn(q), rotation.turn(k)
        drop = AttentionDropout(self.spec.dropout, keys.site(site)) if keys is not None and self.spec.dropout else None
        q_layout = layout if ends is None else layout.single
        if cache is not None:
            mixed = cache.attend(q, k, v, q_layout, layout, self.pattern)
        else:
            mixed = attention(q, k, v, q_layout, layout, self.pattern, drop)
        if watch is not None:
            watch(Attended(q, k, v, mixed, q_layout, layout, self.pattern))
        return self.output(mixed.reshape(len(q), -1))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """The position-wise network; gated (Shazeer 2020) where the description says so."""

    def __init__(self, spec: FeedForwardSpec, hidden: int) -> None:
        super().__init__()
        self.spec = spec
        self.activation = ACTIVATIONS[spec.activation]
        self.up = Linear(hidden, spec.width * (2 if spec.gated else 1), spec.bias)
        self.down = Linear(spec.width, hidden, spec.bias)

    def forward(self, x: Float[Tensor, "tokens hidden"], keys: DropoutKeys | None = None, site: int = 0) -> Float[Tensor, "tokens hidden"]:
        """`site` is that of the dropout before the second projection."""
        up = self.up(x)
        if self.spec.gated:
            activated, gate = up.chunk(2, dim=-1)
            inner = self.activation(activated) * gate
        else:
            inner = self.activation(up)
        return self.down(dropout(inner, self.spec.dropout, keys, site))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Runs a `LayerSpec`. Norms stand after the residual sum (BERT) or before each sub-layer (ModernBERT, GPT-2)."""

    DROPOUT_SITES = 4

    def __init__(self, spec: LayerSpec, hidden: int) -> None:
        super().__init__()
        self.attention = SelfAttention(spec.attention, hidden)
        self.attention_norm = build_norm(spec.attention_norm, hidden)
        self.feed_forward = FeedForward(spec.feed_forward, hidden)
        self.feed_forward_norm = build_norm(spec.feed_forward_norm, hidden)

    def forward(
        self,
        x: Float[Tensor, "tokens hidden"],
        spec: LayerSpec,
        layout: Layout,
        keys: DropoutKeys | None,
        site: int,
        ends: End | None = None,
        watch: Watch | None = None,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "rows hidden"]:
        """`site` is the first of this layer's dropout sites. `ends` computes only the first or last token of each
        sequence, which is all that a last layer owes to a head that reads no other. `watch` is shown the attention.
        `cache` holds what the layer has read before of the same sequences. `rotation` holds the angles of rotary positions.
        """
        normed = self.attention_norm(x) if spec.norm_position == "before" else x
        if ends is not None:
            rows = layout.ends(ends, x.device)
            x, keys = x[rows], None if keys is None else DropoutKeys(keys.tokens[rows])
        attended = self.attention(normed, layout, keys, site, ends, watch, cache, rotation)
        last_dropout = spec.dropout if spec.feed_forward_dropout is None else spec.feed_forward_dropout
        x = x + dropout(attended, spec.dropout, keys, site + 1)
        if spec.norm_position == "before":
            return x + dropout(self.feed_forward(self.feed_forward_norm(x), keys, site + 3), last_dropout, keys, site + 2)
        x = self.attention_norm(x)
        return self.feed_forward_norm(x + dropout(self.feed_forward(x, keys, site + 3), last_dropout, keys, site + 2))  # type: ignore[no-any-return]
