"""Multi-head attention over packed sequences (Vaswani et al. 2017, section 3.2): one function, several kernels.

`attention` picks the kernel for the device and dtype; `explain_choice` says which and why. All kernels are proved
equal to `reference` in the tests, forward and backward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16
from torch import Tensor

from bertworks.nn.dropout import keep, keep_mask, keep_scale
from bertworks.nn.layout import Layout
from bertworks.nn.pattern import AttentionPattern, Block, Part, Piece, pieces

LONGEST_STORED = 1024
"""Training keeps the probabilities of queries that see up to so many keys. Those of others are computed again in the
backward pass, stretch by stretch or by PyTorch's flash kernel, so that memory is linear in the length."""
_VALUES_AT_ONCE = 1 << 18
"""Probabilities that a core computes together: a megabyte."""
_LARGEST_SMALL_PIECE = 128 * 128 - 1
"""Probabilities of a sequence and head up to which training in half precision on a CPU multiplies in float32; see `_working_dtype`."""
_VARLEN_HEAD_STEP, _WIDEST_VARLEN_HEAD, _LEAST_VARLEN_CAPABILITY = 8, 256, 8
"""What PyTorch's flash kernel for packed tokens wants: heads whose width is a multiple of eight and at most 256, and Ampere or newer."""


@dataclass(frozen=True)
class AttentionDropout:
    """Dropout of the probabilities: `keys` is one 64-bit key a query token (`DropoutKeys.site`)."""

    probability: float
    keys: Int[Tensor, "tokens"]

    def lots(self, queries: Part | Block, heads: int) -> Int[Tensor, "sequences_heads queries"]:
        """One key for each row of a piece's probabilities."""
        head_keys = torch.arange(1, heads + 1, dtype=torch.int64, device=self.keys.device) * 0x27BB2EE687B0B0FD
        of_heads = queries.of(self.keys[:, None]) ^ head_keys[:, None]
        return of_heads.reshape(queries.sequences * heads, queries.rows)

    def mask(self, lots: Int[Tensor, "matrices queries"], keys: Part | Block) -> Int16[Tensor, "matrices queries keys"]:
        """The mask of rows: it depends on the query token, the head and the key's position only."""
        return keep_mask(lots.reshape(-1), keys.rows, self.probability, keys.first).view(*lots.shape, keys.rows)


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
    if explain_choice(q.device, q.dtype, dropout is not None, q.shape[2])[0] == "varlen":
        return _varlen(q, k, v, q_layout, k_layout, pattern)
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if dropout is not None or (trains and not _sees_many(q_layout, k_layout, pattern, q.device)):
        return _PieceAttention.apply(q, k, v, q_layout, k_layout, pattern, dropout)  # type: ignore[no-any-return,no-untyped-call]
    return _flash_pieces(q, k, v, q_layout, k_layout, pattern)


def _sees_many(q_layout: Layout, k_layout: Layout, pattern: AttentionPattern, device: torch.device) -> bool:
    """Whether there are probabilities that are not stored: the flash kernel, which tiles by itself, trains faster then."""
    return any(piece.keys.rows > LONGEST_STORED for piece in pieces(q_layout, k_layout, pattern, device))


def explain_choice(device: torch.device, dtype: torch.dtype, with_dropout: bool = False, head_dim: int = 64) -> tuple[str, str]:
    """The kernel's name and the reason for it, in words; `head_dim` is 64 in most models."""
    if device.type != "cuda":
        return (
            "runs",
            f"{device.type}: runs of equal (training: nearly equal) length, windows in bands (products in training, flash in inference)",
        )
    unserved = _not_served_by_varlen(device, dtype, with_dropout, head_dim)
    if unserved is None:
        return "varlen", "CUDA in half precision: torch.nn.attention.varlen on packed tokens"
    return "runs", f"CUDA with {unserved}, which varlen attention does not serve: runs of equally long sequences"


def _not_served_by_varlen(device: torch.device, dtype: torch.dtype, with_dropout: bool, head_dim: int) -> str | None:
    """What PyTorch's flash kernel for packed tokens does not do; None where nothing stands in the way."""
    if with_dropout:
        return "attention dropout"
    if dtype not in (torch.float16, torch.bfloat16):
        return str(dtype).removeprefix("torch.")
    if head_dim > _WIDEST_VARLEN_HEAD:
        return f"heads of {head_dim} units"
    major, minor = torch.cuda.get_device_capability(device)
    return None if major >= _LEAST_VARLEN_CAPABILITY else f"compute capability {major}.{minor}"


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
            queries, keys = (Part(start, 1, stop - start, 0, stop - start) for start, stop in ((q_from, q_to), (k_from, k_to)))
            mask = dropout.mask(dropout.lots(queries, q.shape[1]), keys)
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


def _at_once(piece: Piece, x: Float[Tensor, "sequences_heads rows head_dim"]) -> list[slice]:
    """Stretches of the matrices of a piece (one a sequence and head) whose probabilities stay in the cores' caches between the
    products. In half precision, whose small products cost more to call than they save, and on a GPU all together.
    """
    step = len(x)
    if x.device.type == "cpu" and x.dtype == torch.float32:
        step = max(1, _VALUES_AT_ONCE * torch.get_num_threads() // (piece.queries.rows * piece.keys.rows))
    return [slice(start, start + step) for start in range(0, len(x), step)]


def _working_dtype(piece: Piece, x: Tensor) -> torch.dtype:
    """In what the products of a piece are computed.

    On a CPU oneDNN makes a kernel for every new shape of products in half precision, in the time of a dozen small products; packed texts
    have nearly as many shapes as texts, more than its cache holds. Products in float32 have no such price, and are no slower where
    they are small (`benchmarks/kernels.py`). The length alone decides, so that the result does not depend on what else is in the batch.
    """
    is_half = x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float16)
    return torch.float32 if is_half and piece.queries.rows * piece.keys.rows <= _LARGEST_SMALL_PIECE else x.dtype


def _heads_first(x: Tensor, part: Part | Block, dtype: torch.dtype) -> Float[Tensor, "sequences_heads rows head_dim"]:
    return part.of(x).to(dtype, memory_format=torch.contiguous_format).reshape(-1, part.rows, x.shape[2])


def _gradients_first(x: Tensor, part: Part | Block, dtype: torch.dtype) -> Float[Tensor, "sequences_heads rows head_dim"]:
    """The same for gradients: rows behind the end of a sequence have none."""
    rows = _heads_first(x, part, dtype)
    if isinstance(part, Block):
        rows.view(part.sequences, -1, *rows.shape[1:]).masked_fill_(part.beyond[..., None], 0)
    return rows


def _scaled_product(
    a: Float[Tensor, "batch n k"], b: Float[Tensor, "batch k m"], scale: float, out: Float[Tensor, "batch n m"] | None = None
) -> Float[Tensor, "batch n m"]:
    """`scale` · a b, scaled inside the product."""
    return torch.baddbmm(a.new_empty(()), a, b, beta=0, alpha=scale, out=out)


def _probabilities(
    q: Float[Tensor, "batch rows head_dim"], k: Float[Tensor, "batch keys head_dim"], hidden: Tensor | None, scale: float
) -> Float[Tensor, "batch rows keys"]:
    scores = _scaled_product(q, k.transpose(1, 2), scale)
    if hidden is not None:
        scores.masked_fill_(hidden, float("-inf"))
    return torch.softmax(scores, -1)


def _hidden(piece: Piece, heads: int, some: slice) -> Tensor | None:
    """What is hidden from the queries of some of a piece's matrices, of which there is one a sequence and head."""
    if piece.hidden is None or piece.hidden.ndim == 2:
        return piece.hidden
    return piece.hidden.repeat_interleave(heads, 0)[some]


class _PieceAttention(torch.autograd.Function):
    """Batched products, piece by piece; keeps the probabilities for the backward pass where they are few.

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
        kept: list[tuple[Tensor | None, Tensor | None]] = []
        stretches: list[list[slice]] = []
        for piece in pieces(q_layout, k_layout, pattern, q.device, LONGEST_STORED, blocks=True):
            queries, keys = piece.queries, piece.keys
            dtype = _working_dtype(piece, q)
            own_q, own_k, own_v = _heads_first(q, queries, dtype), _heads_first(k, keys, dtype), _heads_first(v, keys, dtype)
            lots = None if dropout is None else dropout.lots(queries, q.shape[1])
            context = torch.empty_like(own_q)
            stretches.append(_at_once(piece, own_q))
            for some in stretches[-1]:
                weights = _probabilities(own_q[some], own_k[some], _hidden(piece, q.shape[1], some), pattern.scale)
                mask = None if dropout is None or lots is None else dropout.mask(lots[some], keys)
                torch.bmm(weights if mask is None else keep(weights, mask), own_v[some], out=context[some])
                kept.append((weights, mask) if keys.rows <= LONGEST_STORED else (None, None))
            queries.put(out, context)
        ctx.save_for_backward(q, k, v)
        ctx.kept, ctx.stretches, ctx.layouts = kept, stretches, (q_layout, k_layout)
        ctx.pattern, ctx.scale, ctx.dropout = pattern, pattern.scale, dropout
        return out if dropout is None else out.mul_(keep_scale(dropout.probability))  # linear in the weights: scaled once

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        dropout: AttentionDropout | None = ctx.dropout
        g_out = gradients[0].contiguous() if dropout is None else gradients[0] * keep_scale(dropout.probability)
        q_layout, k_layout = ctx.layouts
        all_pieces = pieces(q_layout, k_layout, ctx.pattern, q.device, LONGEST_STORED, blocks=True)
        g_q = torch.empty_like(q, memory_format=torch.contiguous_format)
        whole = all(piece.is_whole for piece in all_pieces)  # else the keys of neighbouring pieces overlap
        fresh = torch.empty_like if whole else torch.zeros_like
        g_k, g_v = (fresh(x, memory_format=torch.contiguous_format) for x in (k, v))
        kept = iter(ctx.kept)
        for piece, stretches in zip(all_pieces, ctx.stretches, strict=True):
            queries, keys = piece.queries, piece.keys
            dtype = _working_dtype(piece, q)
            own_q, own_k, own_v = _heads_first(q, queries, dtype), _heads_first(k, keys, dtype), _heads_first(v, keys, dtype)
            lots, g = None if dropout is None else dropout.lots(queries, q.shape[1]), _gradients_first(g_out, queries, dtype)
            of_q, of_k, of_v = torch.empty_like(own_q), torch.empty_like(own_k), torch.empty_like(own_v)
            for some in stretches:
                weights, mask = next(kept)
                if weights is None:
                    weights = _probabilities(own_q[some], own_k[some], _hidden(piece, q.shape[1], some), ctx.scale)
                    mask = None if dropout is None or lots is None else dropout.mask(lots[some], keys)
                seen = weights if mask is None else keep(weights, mask)
                torch.bmm(seen.transpose(1, 2), g[some], out=of_v[some])
                g_weights = torch.bmm(g[some], own_v[some].transpose(1, 2))
                if mask is not None:
                    g_weights = keep(g_weights, mask)
                g_scores = torch._softmax_backward_data(g_weights, weights, -1, weights.dtype)
                _scaled_product(g_scores, own_k[some], ctx.scale, of_q[some])
                _scaled_product(g_scores.transpose(1, 2), own_q[some], ctx.scale, of_k[some])
            queries.put(g_q, of_q)
            for gradient, of_keys in ((g_k, of_k), (g_v, of_v)):
                if piece.is_whole or isinstance(keys, Block):
                    keys.put(gradient, of_keys)
                else:  # other queries may see these keys, too
                    keys.add(gradient, of_keys)
        return g_q, g_k, g_v, None, None, None, None


def _flash_pieces(q: Tensor, k: Tensor, v: Tensor, q_layout: Layout, k_layout: Layout, pattern: AttentionPattern) -> Tensor:
    """PyTorch's flash kernel, piece by piece; memory linear in the length."""
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    for piece in pieces(q_layout, k_layout, pattern, q.device):
        own_q, own_k, own_v = piece.queries.of(q), piece.keys.of(k), piece.keys.of(v)
        seen = None if piece.hidden is None else ~piece.hidden
        piece.queries.put(out, F.scaled_dot_product_attention(own_q, own_k, own_v, attn_mask=seen, scale=pattern.scale))
    return out


def _varlen(q: Tensor, k: Tensor, v: Tensor, q_layout: Layout, k_layout: Layout, pattern: AttentionPattern) -> Tensor:
    """PyTorch's variable-length attention on CUDA, which takes packed tokens as they are."""
    from torch.nn.attention.varlen import varlen_attn

    left, right = pattern.window or (-1, -1)

    def kernel(q: Tensor, k: Tensor, v: Tensor) -> Any:
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
        )

    return _in_wider_heads(kernel, q, k, v)


def _in_wider_heads(kernel: Callable[..., Any], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What a kernel that wants whole eights in a head gives for heads of any width: zeros at their ends change no product."""
    missing = -q.shape[2] % _VARLEN_HEAD_STEP
    states = (F.pad(x, (0, missing)) for x in (q, k, v)) if missing else (q, k, v)
    out: Tensor = kernel(*states)
    return out[..., :-missing] if missing else out
