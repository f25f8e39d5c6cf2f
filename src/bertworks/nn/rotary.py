"""Rotary positions (Su et al. 2021, "RoFormer", section 3.2): queries and keys are turned by angles that grow with the
position, so that their products depend on the distance of the two tokens.

Features i and i + head_dim/2 of a head are one pair, which is turned by position · base^(-2i/head_dim): the order that
`transformers` has, and so all its checkpoints.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_VALUES_AT_ONCE = 1 << 18
"""Values that are turned together: they stay in a core's cache, which halves the time."""


@dataclass(frozen=True)
class Rotation:
    """The angles of some tokens, in float32 whatever the dtype of the states: cosines and sines, one a pair of features."""

    cosines: Float[Tensor, "tokens 1 pairs"]
    sines: Float[Tensor, "tokens 1 pairs"]

    @classmethod
    def make(cls, position_ids: Int[Tensor, "tokens"], base: float, head_dim: int) -> "Rotation":
        """`head_dim` must be even."""
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=position_ids.device) / head_dim
        angles = position_ids[:, None, None].float() * (1.0 / base**exponents)
        return cls(angles.cos(), angles.sin())

    def at(self, rows: Int[Tensor, "rows"]) -> "Rotation":
        """Those of some of the tokens."""
        return Rotation(self.cosines[rows], self.sines[rows])

    def turn(self, x: Float[Tensor, "tokens heads head_dim"]) -> Float[Tensor, "tokens heads head_dim"]:
        """Queries or keys, turned; computed in float32, in the dtype of `x`."""
        return _Turn.apply(x, self.cosines, self.sines)  # type: ignore[no-any-return,no-untyped-call]


class _Turn(torch.autograd.Function):
    """Keeps no states: the gradient is turned back by the same angles."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        ctx.save_for_backward(cosines, sines)
        return _turned(x, cosines, sines)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cosines, sines = ctx.saved_tensors
        return _turned(gradients[0], cosines, -sines), None, None


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows = max(1, _VALUES_AT_ONCE // (x.shape[1] * x.shape[2]) if x.device.type == "cpu" else len(x))
    for part in (slice(start, start + rows) for start in range(0, len(x), rows)):
        first, second = x[part].float().chunk(2, dim=-1)
        own_first, own_second = out[part].chunk(2, dim=-1)
        own_first.copy_((first * cosines[part]).addcmul_(second, sines[part], value=-1))
        own_second.copy_((second * cosines[part]).addcmul_(first, sines[part]))
    return out
