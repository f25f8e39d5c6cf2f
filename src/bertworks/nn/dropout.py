"""Dropout (Srivastava et al. 2014) whose numbers come from a counter, not from a stream.

Each number is a hash of (seed, step, sequence, position, site, feature), so a token's mask is the same however the
batch was split, packed, accumulated, distributed or resumed. The hash is a multiply-xorshift finalizer (the
construction of Steele et al. 2014, "Fast splittable pseudorandom number generators"); one 64-bit hash gives four
15-bit draws, so probabilities are exact to 1/32,768.

A mask is a tensor of 16-bit words, all ones where a value is kept and zero where it is dropped: dropping is a bitwise
AND with the value's own bits. `benchmarks/kernels.py` compares the cost with PyTorch's dropout.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int16
from torch import Tensor

from bertworks.batch import Array

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed number: steps that visit all residues evenly
_MULTIPLY_1 = -4658895280553007687
_MULTIPLY_2 = -7723592293110705685
_TOP_BITS = -0x7FFF7FFF7FFF8000  # the top bit of each of four 16-bit lanes
_EACH_LANE = 0x0001000100010001
_DRAWS = 1 << 15
_CHUNK = 1 << 16  # hashes at once: their passes stay in a core's cache


@dataclass(frozen=True)
class DropoutKeys:
    """One 64-bit key a token, from which every site of the model derives its masks."""

    tokens: Int[Tensor, "tokens"]

    @classmethod
    def make(
        cls,
        seed: int,
        step: int,
        sequence_keys: Int[Array, "sequences"],
        offsets: Int[Array, "sequences_plus_one"],
        position_ids: Int[Array, "tokens"],
        device: torch.device,
    ) -> "DropoutKeys":
        """`sequence_keys` name the sequences independently of the batch; `step` counts optimizer steps."""
        start = _mix(torch.tensor([_signed(seed)], dtype=torch.int64) + _GOLDEN)
        start = _mix(start + _signed(step * _GOLDEN))
        of_sequence = _mix(torch.from_numpy(np.ascontiguousarray(sequence_keys)) * _GOLDEN + start)
        of_token = of_sequence.repeat_interleave(torch.from_numpy(np.diff(offsets)))
        return cls(_mix(of_token + torch.from_numpy(np.ascontiguousarray(position_ids)) * _GOLDEN).to(device))

    def site(self, number: int) -> Int[Tensor, "tokens"]:
        """The keys of one site of the model (a place where dropout is applied); sites are numbered from 0."""
        return _mix(self.tokens + _signed((number + 1) * 0x632BE59BD9B4E019))


def keep_mask(keys: Int[Tensor, "rows"], columns: int, probability: float, first: int = 0) -> Int16[Tensor, "rows columns"]:
    """-1 (all bits set) where a value is kept, 0 where it is dropped; each row draws `columns` numbers from its key, from
    that of column `first` on, a multiple of four.
    """
    quads = (columns + 3) // 4
    counters = torch.arange(first // 4 + 1, first // 4 + quads + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    lanes = torch.empty(len(keys), quads, dtype=torch.int64, device=keys.device)
    rows = max(1, _CHUNK // quads)
    shifted = torch.empty(min(rows, len(keys)), quads, dtype=torch.int64, device=keys.device)
    for start in range(0, len(keys), rows):
        x = lanes[start : start + rows]
        torch.add(keys[start : start + rows, None], counters, out=x)
        _hash_fast(x, shifted[: len(x)])
        x |= _TOP_BITS  # each lane is 32,768 + its draw; subtracting the threshold borrows from no neighbour,
        x -= _threshold(probability) * _EACH_LANE  # and leaves the top bit set where the draw is not below it
        words = x.view(torch.int16)
        words >>= 15  # spreads the top bit over the lane
    return lanes.view(torch.int16)[:, :columns]


def keep(x: Float[Tensor, "*rows columns"], mask: Int16[Tensor, "*rows columns"]) -> Float[Tensor, "*rows columns"]:
    """`x` where the mask is set, 0 elsewhere; not scaled."""
    words = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    return (x.view(words) & mask.to(words)).view(x.dtype)


def keep_scale(probability: float) -> float:
    """1 / (share kept), for the share that 15-bit draws really keep."""
    return _DRAWS / (_DRAWS - _threshold(probability))


def dropout(x: Float[Tensor, "rows features"], probability: float, keys: DropoutKeys | None, site: int) -> Float[Tensor, "rows features"]:
    """Zeroes each value with `probability` and scales the others up; the identity where there are no keys."""
    if keys is None or probability == 0:
        return x
    out: Tensor = _Dropout.apply(x, keys.site(site), probability)  # type: ignore[no-untyped-call]
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keys: Tensor, probability: float) -> Tensor:
        mask = keep_mask(keys, x.shape[-1], probability)
        ctx.save_for_backward(mask)
        ctx.scale = keep_scale(probability)
        return keep(x, mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return keep(gradients[0].contiguous(), mask).mul_(ctx.scale), None, None


def random_bits(keys: Int[Tensor, "rows"], columns: int, first: int = 0) -> Int[Tensor, "rows columns"]:
    """64 random bits of each of `columns` numbers a row, from column `first` on: a hash of its key and the column."""
    counters = torch.arange(first + 1, first + columns + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    return _mix(keys[:, None] + counters)


def _signed(number: int) -> int:
    """A whole number of any size as a signed 64-bit number, wrapped around as the hardware does."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _mix(x: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A bijection of 64-bit numbers whose output bits all depend on all input bits. Overwrites `x`."""
    x ^= (x >> 30) & 0x3FFFFFFFF
    x *= _MULTIPLY_1
    x ^= (x >> 27) & 0x1FFFFFFFFF
    x *= _MULTIPLY_2
    x ^= (x >> 31) & 0x1FFFFFFFF
    return x


def _hash_fast(x: Int[Tensor, "rows columns"], shifted: Int[Tensor, "rows columns"]) -> None:
    """Fewer passes for the many draws of a row, whose keys are mixed already. The shifts carry the sign along, which
    costs a bit of entropy a round and no evenness: what follows multiplies. Overwrites both.
    """
    for places, factor in ((32, _MULTIPLY_1), (29, _MULTIPLY_2)):
        torch.bitwise_right_shift(x, places, out=shifted)
        x ^= shifted
        x *= factor


def _threshold(probability: float) -> int:
    return round(probability * _DRAWS)
