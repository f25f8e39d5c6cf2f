"""All attention kernels equal the slow and obvious one, forward and backward."""

import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertworks.nn import attention as room
from bertworks.nn.attention import AttentionDropout, attention, explain_choice, reference
from bertworks.nn.layout import Layout
from bertworks.nn.pattern import AttentionPattern

HEADS, HEAD_DIM, SCALE = 3, 10, 0.4
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
"""Absolute and relative. bfloat16 has 8 bits (2⁻⁹ = 0.002 a rounding), and an output is the last of four roundings
of numbers of order one: products, probabilities, their sum with the values, the output."""

LENGTHS: dict[str, Sequence[int]] = {
    "equal": (7, 7, 7),
    "unequal": (3, 11, 1, 5),
    "runs": (4, 4, 9, 9, 9, 2, 4),
    "one token": (1,),
    "tokens": (1, 1, 1),
    "one sequence": (13,),
    "long": (150, 97, 97, 5),
    "stretches": (300, 200, 97, 5),
    "blocks": (3, 5, 8, 8, 9, 16, 10, 40, 33, 8),
}
PATTERNS = {
    "all": AttentionPattern(SCALE),
    "causal": AttentionPattern(SCALE, causal=True),
    "window": AttentionPattern(SCALE, window=(2, 1)),
    "causal window": AttentionPattern(SCALE, causal=True, window=(3, 0)),
    "wide window": AttentionPattern(SCALE, window=(61, 34)),
}
Kernel = Callable[..., Tensor]
KERNELS: dict[str, Kernel] = {"pieces": room._PieceAttention.apply, "flash": lambda *a: room._flash_pieces(*a[:6]), "chosen": attention}


def layout(lengths: Sequence[int]) -> Layout:
    return Layout(np.concatenate([[0], np.cumsum(lengths)]))


def states(tokens: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Tensor]:
    """Queries, keys and values as one projection gives them: interleaved in memory."""
    fused = torch.randn(tokens, 3, HEADS, HEAD_DIM, generator=torch.Generator().manual_seed(seed))
    return [x.requires_grad_() for x in fused.to(dtype).unbind(1)]


def both(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> list[Tensor]:
    """Output and gradients of a kernel and of the reference, which computes in float32."""
    weights = torch.randn(q.shape, generator=torch.Generator().manual_seed(9))
    out = kernel(q, k, v, *rest)
    gradients = torch.autograd.grad((out.float() * weights).sum(), (q, k, v))
    exact = [x.detach().float().requires_grad_() for x in (q, k, v)]
    expected = reference(*exact, *rest)[0]
    wanted = torch.autograd.grad((expected * weights).sum(), exact)
    tolerance = TOLERANCE[q.dtype]
    for ours, theirs in zip((out, *gradients), (expected, *wanted), strict=True):
        assert ours.dtype == q.dtype
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours.float(), theirs, atol=tolerance, rtol=tolerance)
    return [out, *gradients]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_equal_the_reference(kernel: str, lengths: str, pattern: str, dtype: torch.dtype) -> None:
    own = layout(LENGTHS[lengths])
    both(KERNELS[kernel], *states(sum(LENGTHS[lengths]), dtype), own, own, PATTERNS[pattern], None)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_fewer_queries_than_keys(kernel: str, pattern: str, dtype: torch.dtype) -> None:
    q_lengths, k_lengths = (2, 1, 3, 1, 101), (5, 1, 3, 8, 143)
    q = states(sum(q_lengths), dtype)[0]
    _, k, v = states(sum(k_lengths), dtype, seed=1)
    both(KERNELS[kernel], q, k, v, layout(q_lengths), layout(k_lengths), PATTERNS[pattern], None)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pattern", ["all", "causal window", "wide window"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kernel", ["pieces", "chosen"])
def test_dropout_draws_the_same_masks(kernel: str, lengths: str, pattern: str, dtype: torch.dtype) -> None:
    tokens = sum(LENGTHS[lengths])
    keys = torch.randint(-(2**62), 2**62, (tokens,), generator=torch.Generator().manual_seed(2))
    own, drop = layout(LENGTHS[lengths]), AttentionDropout(0.3, keys)
    dropped = both(KERNELS[kernel], *states(tokens, dtype), own, own, PATTERNS[pattern], drop)[0]
    assert not torch.equal(dropped, KERNELS[kernel](*states(tokens, dtype), own, own, PATTERNS[pattern], None))


def test_the_reference_is_softmax_of_the_visible_products() -> None:
    q, k, v = states(6)
    pattern = AttentionPattern(SCALE, causal=True, window=(2, 0))
    out, probabilities = reference(q, k, v, layout((2, 4)), layout((2, 4)), pattern)
    assert [p.shape for p in probabilities] == [(HEADS, 2, 2), (HEADS, 4, 4)]
    for start, rows in ((0, 2), (2, 4)):
        for head in range(HEADS):
            for i in range(rows):
                seen = range(max(0, i - 2), i + 1)
                weights = torch.stack([(q[start + i, head] * k[start + j, head]).sum() * SCALE for j in seen]).softmax(0)
                torch.testing.assert_close(probabilities[start // 2][head, i, list(seen)], weights)
                wanted = sum(w * v[start + j, head] for w, j in zip(weights, seen, strict=True))
                torch.testing.assert_close(out[start + i, head], wanted)
    assert probabilities[1][:, 3, 0].eq(0).all()  # outside the window


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("pattern", ["all", "causal", "window"])
def test_the_backward_pass_is_the_derivative(pattern: str, dropped: bool) -> None:
    lengths = (3, 3, 2)
    keys = torch.arange(sum(lengths)) * 12345
    q, k, v = (x.detach().double().requires_grad_() for x in states(sum(lengths)))
    own, drop = layout(lengths), AttentionDropout(0.4, keys) if dropped else None
    assert torch.autograd.gradcheck(lambda *x: room._PieceAttention.apply(*x, own, own, PATTERNS[pattern], drop), (q, k, v))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_long_sequences_keep_no_probabilities(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.setattr(room, "LONGEST_STORED", 8)
    used = []
    real = room._flash_pieces
    monkeypatch.setattr(room, "_flash_pieces", lambda *a: used.append(1) or real(*a))
    for lengths, flash in (((8, 3), False), ((9, 3), True)):
        used.clear()
        own = layout(lengths)
        both(attention, *states(sum(lengths)), own, own, PATTERNS[pattern], None)
        assert bool(used) is flash
    used.clear()
    own, keys = layout((9, 3)), torch.arange(12)
    both(attention, *states(12), own, own, PATTERNS[pattern], AttentionDropout(0.3, keys))
    assert not used  # the flash kernel has no dropout of ours


@pytest.mark.parametrize("pattern", PATTERNS)
def test_long_sequences_with_dropout_compute_the_probabilities_again(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    own, drop = layout((300, 9)), AttentionDropout(0.3, torch.arange(309) * 321)
    kept = both(room._PieceAttention.apply, *states(309), own, own, PATTERNS[pattern], drop)
    monkeypatch.setattr(room, "LONGEST_STORED", 8)
    own = layout((300, 9))
    again = both(room._PieceAttention.apply, *states(309), own, own, PATTERNS[pattern], drop)
    for a, b in zip(kept, again, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    out = room._PieceAttention.apply(*states(309), own, own, PATTERNS[pattern], drop)
    assert all(part is None for piece in out.grad_fn.kept for part in piece)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("pattern", ["all", "causal window"])
def test_probabilities_are_computed_some_at_a_time(monkeypatch: pytest.MonkeyPatch, pattern: str, dropped: bool) -> None:
    """However many matrices of probabilities are made at once, output and gradients stay what they are."""
    own = layout(LENGTHS["runs"])
    keys = torch.arange(sum(LENGTHS["runs"])) * 777
    drop = AttentionDropout(0.3, keys) if dropped else None
    stretches = set()
    for values in (1, 800 if pattern == "all" else 150, 1 << 18):
        monkeypatch.setattr(room, "_VALUES_AT_ONCE", values)
        both(room._PieceAttention.apply, *states(sum(LENGTHS["runs"])), own, own, PATTERNS[pattern], drop)
        out = room._PieceAttention.apply(*states(sum(LENGTHS["runs"])), own, own, PATTERNS[pattern], drop)
        stretches.add(len(out.grad_fn.kept))
    assert len(stretches) == 3, "the sizes were not different ones"


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_small_pieces_are_multiplied_in_float32(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, dropped: bool) -> None:
    """On a CPU, half precision rounds what small pieces give and nothing in between; larger ones are multiplied as they come."""
    lengths = (9, 12, 12, 17)
    monkeypatch.setattr(room, "_LARGEST_SMALL_PIECE", 16 * 16)
    where = layout(lengths)
    dropout = AttentionDropout(0.2, torch.arange(sum(lengths)) * 0x9E3779B97F4A7C1) if dropped else None
    q, k, v = states(sum(lengths), dtype)
    gradient = torch.randn(q.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    found, wanted = [], []
    for taken, out in ((dtype, found), (torch.float32, wanted)):
        own = [x.detach().to(taken).requires_grad_() for x in (q, k, v)]
        context = attention(*own, where, where, PATTERNS["all"], dropout)
        out += [context.detach(), *torch.autograd.grad(context, own, gradient.to(taken))]
    small = sum(lengths[:3])
    for ours, exact in zip(found, wanted, strict=True):
        if dropped:  # scaled behind the rounding, or before it
            rounding = torch.finfo(dtype).eps
            torch.testing.assert_close(ours[:small].float(), exact[:small], rtol=2 * rounding, atol=2 * rounding)
        else:
            assert torch.equal(ours[:small], exact[:small].to(dtype))
    assert not torch.equal(found[0][small:], wanted[0][small:].to(dtype))


def test_threads_may_change_between_the_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They decide how many probabilities are made at once; the backward pass takes those that were kept as they were made."""
    own = layout(LENGTHS["runs"])
    q, k, v = states(sum(LENGTHS["runs"]))
    monkeypatch.setattr(room, "_VALUES_AT_ONCE", 150)
    expected = torch.autograd.grad(room._PieceAttention.apply(q, k, v, own, own, PATTERNS["all"], None).square().sum(), (q, k, v))
    out = room._PieceAttention.apply(q, k, v, own, own, PATTERNS["all"], None)
    monkeypatch.setattr(room, "_VALUES_AT_ONCE", 1)
    for ours, theirs in zip(torch.autograd.grad(out.square().sum(), (q, k, v)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    pattern=st.sampled_from(list(PATTERNS)),
    dropped=st.booleans(),
    training=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
    data=st.data(),
)
def test_the_other_sequences_do_not_matter(
    lengths: list[int], pattern: str, dropped: bool, training: bool, dtype: torch.dtype, data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(lengths) - 1))
    whole, rows = layout(lengths), slice(sum(lengths[:chosen]), sum(lengths[: chosen + 1]))
    q, k, v = states(sum(lengths), dtype)
    keys = torch.arange(sum(lengths)) * 777
    with torch.set_grad_enabled(training):
        together = attention(q, k, v, whole, whole, PATTERNS[pattern], AttentionDropout(0.3, keys) if dropped else None)[rows]
        own = layout([lengths[chosen]])
        drop = AttentionDropout(0.3, keys[rows]) if dropped else None
        alone = attention(q[rows], k[rows], v[rows], own, own, PATTERNS[pattern], drop)
    if not training and not dropped and platform.machine() in ("x86_64", "AMD64"):
        # the flash kernel sums in the same order wherever a sequence stands; float32's batched products, which training
        # uses, choose their order by the alignment of memory
        assert torch.equal(together, alone)
    torch.testing.assert_close(together, alone, atol=1e-6 if dtype == torch.float32 else TOLERANCE[dtype], rtol=0)


def test_the_choice_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert explain_choice(cpu, torch.float32)[0] == "runs"
    assert explain_choice(cuda, torch.bfloat16)[0] == "varlen"
    assert explain_choice(cuda, torch.bfloat16, head_dim=256)[0] == "varlen"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    for arguments, named in (
        ((cuda, torch.bfloat16, True), "attention dropout"),
        ((cuda, torch.float32), "float32"),
        ((cuda, torch.bfloat16, False, 264), "heads of 264 units"),
        ((cuda, torch.float16), "compute capability 7.5"),
    ):
        kernel, why = explain_choice(*arguments)
        assert kernel == "runs"
        assert named in why


@pytest.mark.parametrize("width", [1, 8, 10, 15, 16])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_wider_heads_give_the_same(pattern: str, width: int) -> None:
    """A kernel that takes whole eights only, which the reference stands for here: outputs and gradients are those without zeros."""
    own, seen = layout(LENGTHS["unequal"]), []

    def kernel(*states: Tensor) -> Tensor:
        seen.append([x.shape[2] for x in states])
        return reference(*states, own, own, PATTERNS[pattern])[0]

    fused = torch.randn(sum(LENGTHS["unequal"]), 3, HEADS, width, generator=torch.Generator().manual_seed(0))
    q, k, v = (x.requires_grad_() for x in fused.unbind(1))
    both(lambda *x: room._in_wider_heads(kernel, *x[:3]), q, k, v, own, own, PATTERNS[pattern], None)
    assert seen == [[8 if width <= 8 else 16] * 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("width", [10, 16, 264])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_cuda(dtype: torch.dtype, width: int, lengths: str, pattern: str) -> None:
    own = layout(LENGTHS[lengths])
    fused = torch.randn(sum(LENGTHS[lengths]), 3, HEADS, width, generator=torch.Generator().manual_seed(0))
    fused *= (16 / width) ** 0.25  # products of the same size, and so the same rounding
    q, k, v = (x.requires_grad_() for x in fused.to("cuda", dtype).unbind(1))
    weights = torch.randn(q.shape, device="cuda")
    out = attention(q, k, v, own, own, PATTERNS[pattern])
    gradients = torch.autograd.grad((out.float() * weights).sum(), (q, k, v))
    exact = [x.detach().float().requires_grad_() for x in (q, k, v)]
    expected = reference(*exact, own, own, PATTERNS[pattern])[0]
    wanted = torch.autograd.grad((expected * weights).sum(), exact)
    for ours, theirs in zip((out, *gradients), (expected, *wanted), strict=True):
        torch.testing.assert_close(ours.float(), theirs, atol=3e-2, rtol=3e-2)
