"""Multi-head attention over packed sequences (Vaswani et al. 2017, section 3.2): one function, several kernels.

`attention` picks the kernel for the device and dtype; `explain_choice` says which and why. All kernels are proved
equal to `reference` in the tests, forward and backward.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Int16
from torch import Tensor

from bertworks.nn.dropout import keep, keep_mask, keep_scale
from bertworks.nn.layout import Layout

LONGEST_STORED = 1024
"""Training keeps the probabilities of sequences up to this length; longer ones without dropout are recomputed by
PyTorch's flash kernel, whose memory is linear in the length."""


@dataclass(frozen=True)
class AttentionDropout:
    """Dropout of the probabilities: `keys` is one 64-bit key a query token (`DropoutKeys.site`)."""

    probability: float
    keys: Int[Tensor, "tokens"]

    def mask(self, start: int, count: int, length: int, heads: int, columns: int) -> Int16[Tensor, "count_heads length columns"]:
        """The mask of a run of sequences: it depends on the query token, the head and the key's position only."""
        head_keys = torch.arange(1, heads + 1, dtype=torch.int64, device=self.keys.device) * 0x27BB2EE687B0B0FD
        keys = self.keys[start : start + count * length].view(count, 1, length) ^ head_keys.view(1, heads, 1)
        return keep_mask(keys.reshape(-1), columns, self.probability).view(count * heads, length, columns)


@dataclass(frozen=True)
class AttentionPattern:
    """What a query may see, and the factor on the products; see `AttentionSpec`."""

    scale: float
    causal: bool = False
    window: tuple[int, int] | None = None

    def hidden(self, queries: int, keys: int, device: torch.device) -> Bool[Tensor, "queries keys"] | None:
        """True where a query must not see a key; None where all is seen. The last query stands at the last key."""
        if not self.causal and self.window is None:
            return None
        distance = torch.arange(keys, device=device) - torch.arange(keys - queries, keys, device=device)[:, None]
        hidden = distance > 0 if self.causal else torch.zeros_like(distance, dtype=torch.bool)
        if self.window is not None:
            hidden |= (distance < -self.window[0]) | (distance > self.window[1])
        return hidden


def attention(
    q: Float[Tensor, "q_tokens heads head_dim"],
    k: Float[Tensor, "k_tokens heads head_dim"],
    v: Float[Tensor, "k_tokens heads head_dim"],
    q_layout: Layout,
    k_layout: Layout,
    pattern: AttentionPattern,
    dropout: AttentionDropout | None = None,
) -> Float[Tensor, "q_tokens heads head_dim"]:
    """softmax(q kᵀ · scale) v within each sequence, by the fastest kernel that can do it here."""
    if explain_choice(q.device, q.dtype, dropout is not None)[0] == "varlen":
        return _varlen(q, k, v, q_layout, k_layout, pattern)
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if dropout is not None or (trains and max(q_layout.longest, k_layout.longest) <= LONGEST_STORED):
        return _RunAttention.apply(q, k, v, q_layout, k_layout, pattern, dropout)  # type: ignore[no-any-return,no-untyped-call]
    return _flash_runs(q, k, v, q_layout, k_layout, pattern)


def explain_choice(device: torch.device, dtype: torch.dtype, with_dropout: bool = False) -> tuple[str, str]:
    """The kernel's name and the reason for it, in words."""
    if device.type == "cuda" and dtype in (torch.float16, torch.bfloat16) and not with_dropout:
        return "varlen", "CUDA in half precision: torch.nn.attention.varlen on packed tokens"
    if device.type == "cuda":
        why = "attention dropout" if with_dropout else "float32"
        return "runs", f"CUDA with {why}, which varlen attention does not serve: runs of equally long sequences"
    return "runs", f"{device.type}: runs of equally long sequences (batched products in training, flash kernel in inference)"


def reference(
    q: Float[Tensor, "q_tokens heads head_dim"],
    k: Float[Tensor, "k_tokens heads head_dim"],
    v: Float[Tensor, "k_tokens heads head_dim"],
    q_layout: Layout,
    k_layout: Layout,
    pattern: AttentionPattern,
    dropout: AttentionDropout | None = None,
) -> tuple[Float[Tensor, "q_tokens heads head_dim"], list[Float[Tensor, "heads queries keys"]]]:
    """The slow and obvious way, one sequence at a time; also returns the probabilities (before dropout)."""
    outputs, probabilities = [], []
    for i in range(q_layout.sequences):
        q_from, q_to = q_layout.offsets[i : i + 2].tolist()
        k_from, k_to = k_layout.offsets[i : i + 2].tolist()
        scores = torch.einsum("qhd,khd->hqk", q[q_from:q_to], k[k_from:k_to]) * pattern.scale
        hidden = pattern.hidden(q_to - q_from, k_to - k_from, q.device)
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        weights = scores.softmax(-1)
        probabilities.append(weights)
        if dropout is not None:
            mask = dropout.mask(q_from, 1, q_to - q_from, q.shape[1], k_to - k_from)
            weights = weights * (mask != 0) * keep_scale(dropout.probability)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, v[k_from:k_to]))
    return torch.cat(outputs), probabilities


@dataclass(frozen=True)
class Attended:
    """What one attention took and gave, kept to be looked at: its probabilities are recomputed from it on the side."""

    q: Float[Tensor, "q_tokens heads head_dim"]
    k: Float[Tensor, "k_tokens heads head_dim"]
    v: Float[Tensor, "k_tokens heads head_dim"]
    context: Float[Tensor, "q_tokens heads head_dim"]
    """What `attention` gave, in the dtype of the computation."""
    q_layout: Layout
    k_layout: Layout
    pattern: AttentionPattern

    def recomputed(self) -> tuple[Float[Tensor, "q_tokens heads head_dim"], list[Float[Tensor, "heads queries keys"]]]:
        """The context as `reference` computes it in float32, and the probabilities of each sequence behind it."""
        return reference(self.q.float(), self.k.float(), self.v.float(), self.q_layout, self.k_layout, self.pattern)


def _paired_runs(q_layout: Layout, k_layout: Layout) -> list[tuple[int, int, int, int, int]]:
    """(count, q_start, q_length, k_start, k_length) of neighbouring sequences with equal lengths on both sides."""
    if q_layout is k_layout:
        return [(r.sequences, r.start, r.length, r.start, r.length) for r in q_layout.runs]
    changes = (np.diff(q_layout.lengths) != 0) | (np.diff(k_layout.lengths) != 0)
    firsts = [0, *(np.flatnonzero(changes) + 1).tolist(), q_layout.sequences]
    return [
        (b - a, int(q_layout.offsets[a]), int(q_layout.lengths[a]), int(k_layout.offsets[a]), int(k_layout.lengths[a]))
        for a, b in pairwise(firsts)
        if b > a
    ]


def _heads_first(x: Tensor, start: int, count: int, length: int) -> Float[Tensor, "count_heads length head_dim"]:
    _, heads, head_dim = x.shape
    part = x[start : start + count * length].view(count, length, heads, head_dim).transpose(1, 2)
    return part.reshape(count * heads, length, head_dim)


def _put_back(out: Tensor, values: Tensor, start: int, count: int, length: int) -> None:
    _, heads, head_dim = out.shape
    target = out[start : start + count * length].view(count, length, heads, head_dim)
    target.copy_(values.view(count, heads, length, head_dim).transpose(1, 2))


def _scaled_product(a: Float[Tensor, "batch n k"], b: Float[Tensor, "batch k m"], scale: float) -> Float[Tensor, "batch n m"]:
    """`scale` · a b, scaled inside the product."""
    return torch.baddbmm(a.new_empty(()), a, b, beta=0, alpha=scale)


class _RunAttention(torch.autograd.Function):
    """Batched products over runs of equally long sequences; keeps the probabilities for the backward pass.

    On the CPU this is faster to train than PyTorch's flash kernel, whose backward pass costs several times its
    forward, and unlike it has dropout.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        q_layout: Layout,
        k_layout: Layout,
        pattern: AttentionPattern,
        dropout: AttentionDropout | None,
    ) -> Tensor:
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        kept = []
        for count, q_start, q_length, k_start, k_length in _paired_runs(q_layout, k_layout):
            keys = _heads_first(k, k_start, count, k_length)
            scores = _scaled_product(_heads_first(q, q_start, count, q_length), keys.transpose(1, 2), pattern.scale)
            hidden = pattern.hidden(q_length, k_length, q.device)
            if hidden is not None:
                scores.masked_fill_(hidden, float("-inf"))
            weights = torch.softmax(scores, -1)
            mask = None if dropout is None else dropout.mask(q_start, count, q_length, q.shape[1], k_length)
            kept.append((weights, mask))
            seen = weights if mask is None else keep(weights, mask)
            _put_back(out, torch.bmm(seen, _heads_first(v, k_start, count, k_length)), q_start, count, q_length)
        ctx.save_for_backward(q, k, v)
        ctx.kept, ctx.layouts, ctx.scale = kept, (q_layout, k_layout), pattern.scale
        ctx.keep_scale = None if dropout is None else keep_scale(dropout.probability)
        return out if dropout is None else out.mul_(ctx.keep_scale)  # linear in the weights: scaled once, at the end

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        g_out = gradients[0].contiguous() if ctx.keep_scale is None else gradients[0] * ctx.keep_scale
        g_q, g_k, g_v = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        for (count, q_start, q_length, k_start, k_length), (weights, mask) in zip(_paired_runs(*ctx.layouts), ctx.kept, strict=True):
            at_queries, at_keys = (q_start, count, q_length), (k_start, count, k_length)
            g = _heads_first(g_out, *at_queries)
            seen = weights if mask is None else keep(weights, mask)
            _put_back(g_v, torch.bmm(seen.transpose(1, 2), g), *at_keys)
            g_weights = torch.bmm(g, _heads_first(v, *at_keys).transpose(1, 2))
            if mask is not None:
                g_weights = keep(g_weights, mask)
            g_scores = torch._softmax_backward_data(g_weights, weights, -1, weights.dtype)
            _put_back(g_q, _scaled_product(g_scores, _heads_first(k, *at_keys), ctx.scale), *at_queries)
            _put_back(g_k, _scaled_product(g_scores.transpose(1, 2), _heads_first(q, *at_queries), ctx.scale), *at_keys)
        return g_q, g_k, g_v, None, None, None, None


def _flash_runs(q: Tensor, k: Tensor, v: Tensor, q_layout: Layout, k_layout: Layout, pattern: AttentionPattern) -> Tensor:
    """PyTorch's flash kernel over runs of equally long sequences; memory linear in the length."""
    out = []
    heads, head_dim = q.shape[1:]
    for count, q_start, q_length, k_start, k_length in _paired_runs(q_layout, k_layout):
        run_q = q[q_start : q_start + count * q_length].view(count, q_length, heads, head_dim).transpose(1, 2)
        run_k, run_v = (x[k_start : k_start + count * k_length].view(count, k_length, heads, head_dim).transpose(1, 2) for x in (k, v))
        hidden = pattern.hidden(q_length, k_length, q.device)
        mask = None if hidden is None else ~hidden
        result = F.scaled_dot_product_attention(run_q, run_k, run_v, attn_mask=mask, scale=pattern.scale)
        out.append(result.transpose(1, 2).reshape(count * q_length, heads, head_dim))
    return torch.cat(out)


def _varlen(q: Tensor, k: Tensor, v: Tensor, q_layout: Layout, k_layout: Layout, pattern: AttentionPattern) -> Tensor:
    """PyTorch's variable-length attention on CUDA, which takes packed tokens as they are."""
    from torch.nn.attention.varlen import varlen_attn

    left, right = pattern.window or (-1, -1)
    return varlen_attn(
        q,
        k,
        v,
        q_layout.tensor(q.device),
        k_layout.tensor(q.device),
        q_layout.longest,
        k_layout.longest,
        scale=pattern.scale,
        window_size=(left, 0 if pattern.causal else right),
    )  # type: ignore[return-value]
