"""Dropout (Srivastava et al. 2014) whose numbers come from a counter, not from a stream.

Each number is a hash of (seed, step, sequence, position, site, feature), so a token's mask is the same however the
batch was split, packed, accumulated, distributed or resumed. The hash is a multiply-xorshift finalizer (the
construction of Steele et al. 2014, "Fast splittable pseudorandom number generators"); one 64-bit hash gives four
16-bit draws, so that probabilities are exact to 1/65,536 and a mask costs less than PyTorch's own generator takes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed number: steps that visit all residues evenly
_MULTIPLY_1 = -4658895280553007687
_MULTIPLY_2 = -7723592293110705685


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


@dataclass(frozen=True)
class DropoutKeys:
    """One 64-bit key a token, from which every site of the model derives its masks."""

    tokens: Int[Tensor, "tokens"]

    @classmethod
    def make(
        cls,
        seed: int,
        step: int,
        sequence_keys: Int[np.ndarray[Any, Any], "sequences"],
        offsets: Int[np.ndarray[Any, Any], "sequences_plus_one"],
        position_ids: Int[np.ndarray[Any, Any], "tokens"],
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


def keep_mask(keys: Int[Tensor, "*rows"], columns: int, probability: float) -> Bool[Tensor, "*rows columns"]:
    """True where a value is kept; each row draws `columns` numbers from its key."""
    quads = (columns + 3) // 4
    counters = torch.arange(1, quads + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    draws = _mix(keys.unsqueeze(-1) + counters).view(torch.int16)  # [*rows, quads · 4]
    return (draws >= _threshold(probability) - 32768)[..., :columns]


def keep_scale(probability: float) -> float:
    """1 / (share kept), for the share that 16-bit draws really keep."""
    return 65536 / (65536 - _threshold(probability))


def _threshold(probability: float) -> int:
    return round(probability * 65536)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keys: Tensor, probability: float) -> Tensor:
        keep = keep_mask(keys, x.shape[-1], probability)
        ctx.save_for_backward(keep)
        ctx.scale = keep_scale(probability)
        return (x * ctx.scale).mul_(keep)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (gradients[0] * ctx.scale).mul_(keep), None, None


def dropout(x: Float[Tensor, "rows features"], probability: float, keys: DropoutKeys | None, site: int) -> Float[Tensor, "rows features"]:
    """Zeroes each value with `probability` and scales the others up; the identity where there are no keys."""
    if keys is None or probability == 0:
        return x
    return _Dropout.apply(x, keys.site(site), probability)  # type: ignore[no-any-return,no-untyped-call]
