"""Kernels by themselves: attention in training, dropout masks, and cross-entropy over a vocabulary, beside PyTorch's.

    python -m benchmarks.kernels

One thread, processor time, medians: a busy machine disturbs these little. Milliseconds.
"""

import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from bertworks.nn import attention as kernels
from bertworks.nn.attention import attention
from bertworks.nn.dropout import keep, keep_mask, keep_scale
from bertworks.nn.layout import Layout
from bertworks.nn.losses import LossOptions, build_loss
from bertworks.nn.pattern import AttentionPattern

ROUNDS = 15
SHAPES = ((1, 285, 12, 32), (1, 512, 12, 32), (16, 256, 12, 32), (32, 128, 12, 32), (8, 40, 12, 32), (2, 16, 12, 32), (1, 285, 12, 64))
"""Sequences of equal length, their length, heads, head size."""
_RAGGED_TOKENS, _RAGGED_LAYERS = 4096, 4


def milliseconds(work: Callable[[], object]) -> float:
    """The median processor time of some rounds, after two that warm up."""
    times = []
    for _ in range(ROUNDS + 2):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[2:])


def attention_times(count: int, length: int, heads: int, head_dim: int, dtype: torch.dtype) -> tuple[float, float, float]:
    """Forward and backward of our kernel for training, of the same without stretches that fit into the caches, and of PyTorch's
    flash kernel."""
    tokens = count * length
    qkv = torch.randn(tokens, 3, heads, head_dim).to(dtype).requires_grad_()
    gradient = torch.randn(tokens, heads, head_dim).to(dtype)
    layout, pattern = Layout(np.arange(count + 1) * length), AttentionPattern(head_dim**-0.5)

    def ours() -> None:
        q, k, v = qkv.unbind(1)
        attention(q, k, v, layout, layout, pattern).backward(gradient)

    def theirs() -> None:
        q, k, v = (x.view(count, length, heads, head_dim).transpose(1, 2) for x in qkv.unbind(1))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        out.transpose(1, 2).reshape(tokens, heads, head_dim).backward(gradient)

    def at_once() -> None:
        with mock.patch.object(kernels, "_VALUES_AT_ONCE", 1 << 60):
            ours()

    return milliseconds(ours), milliseconds(at_once), milliseconds(theirs)


def ragged_times(mean: int, heads: int, head_dim: int) -> tuple[float, float]:
    """Forward and backward of our kernel for training, in bfloat16, on texts of other lengths in every round; and of the same with
    products in bfloat16 for all of them, each new length of which costs oneDNN a new kernel. Four layers, as one batch passes them."""
    pattern = AttentionPattern(head_dim**-0.5)

    def work() -> Callable[[], None]:
        lots = np.random.default_rng(0)

        def layers() -> None:
            lengths = np.sort(np.clip(lots.normal(mean, 0.35 * mean, _RAGGED_TOKENS // mean), 4, 2 * mean).astype(int))
            layout = Layout(np.concatenate([[0], np.cumsum(lengths)]))
            qkv = torch.randn(int(lengths.sum()), 3, heads, head_dim).bfloat16().requires_grad_()
            for _ in range(_RAGGED_LAYERS):
                q, k, v = qkv.unbind(1)
                out = attention(q, k, v, layout, layout, pattern)
                out.backward(out.detach())

        return layers

    with mock.patch.object(kernels, "_LARGEST_SMALL_PIECE", 0):
        half = milliseconds(work())
    return milliseconds(work()), half


def dropout_times(rows: int, columns: int) -> tuple[float, float]:
    """Mask by counters and bitwise AND, and PyTorch's dropout, on bfloat16."""
    x = torch.rand(rows, columns).to(torch.bfloat16)
    keys = torch.arange(rows, dtype=torch.int64) * 0x1234567

    def ours() -> Tensor:
        return keep(x, keep_mask(keys, columns, 0.1)).mul_(keep_scale(0.1))

    return milliseconds(ours), milliseconds(lambda: torch.nn.functional.dropout(x, 0.1))


def cross_entropy_times(rows: int, labels: int) -> tuple[float, float]:
    """Forward and backward of our loss and of PyTorch's, on scores in bfloat16."""
    scores = torch.randn(rows, labels).to(torch.bfloat16).requires_grad_()
    targets, loss = torch.randint(0, labels, (rows,)), build_loss("cross_entropy", LossOptions())

    def theirs() -> None:
        torch.nn.functional.cross_entropy(scores.float(), targets, reduction="sum").backward()

    return milliseconds(lambda: loss.sum(scores, targets).backward()), milliseconds(theirs)


def main() -> None:
    torch.set_num_threads(1)
    print("attention, forward + backward       bertworks  all at once  PyTorch SDPA")
    for shape in SHAPES:
        for dtype in (torch.bfloat16, torch.float32):
            ours, at_once, theirs = attention_times(*shape, dtype)
            print(f"{shape!s:20} {str(dtype).removeprefix('torch.'):14} {ours:9.2f} {at_once:12.2f} {theirs:13.2f}")
    print("attention, texts of new lengths, bfloat16, 4 layers   bertworks  all products in bfloat16")
    for mean, heads, head_dim in ((16, 4, 64), (50, 4, 64), (100, 4, 64), (16, 12, 32), (50, 12, 32), (100, 12, 32)):
        ours, half = ragged_times(mean, heads, head_dim)
        print(f"{f'{mean} tokens in the mean, {heads} heads of {head_dim}':53} {ours:9.1f} {half:24.1f}")
    print("dropout, bfloat16                   bertworks       PyTorch")
    for rows, columns in ((4096, 384), (12 * 285, 285), (12 * 512, 512)):
        ours, theirs = dropout_times(rows, columns)
        print(f"{f'{rows} × {columns}':35} {ours:9.2f} {theirs:13.2f}")
    print("cross-entropy, forward + backward   bertworks       PyTorch")
    for rows, labels in ((614, 24_000), (614, 30_522), (64, 8_000)):
        ours, theirs = cross_entropy_times(rows, labels)
        print(f"{f'{rows} × {labels}':35} {ours:9.2f} {theirs:13.2f}")


if __name__ == "__main__":
    main()
