"""The dense layer, in float32 or with a half-precision copy of its weight.

Autocast casts every weight again at every use. Here the float32 parameter (the master) is cast when it changed,
once a step, and both passes multiply by the copy; gradients arrive at the master in float32.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class _HalfLinear(torch.autograd.Function):
    """y = x Wᵀ + b in half precision; the gradient of the float32 master is returned in its stead."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, half_weight: Tensor, half_bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, half_weight)
        return F.linear(x, half_weight, half_bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, half_weight = ctx.saved_tensors
        (g,) = gradients
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        gradient_x = g @ half_weight if needs_x else None
        gradient_weight = (g.t() @ x).float() if needs_weight else None
        gradient_bias = g.sum(0, dtype=torch.float32) if needs_bias else None
        return gradient_x, gradient_weight, gradient_bias, None, None


class HalfCopies:
    """Half-precision copies of parameters, made anew when the parameter has changed in place or been replaced."""

    def __init__(self) -> None:
        self._copies: dict[str, tuple[tuple[int, int, torch.dtype], Tensor]] = {}

    def get(self, name: str, parameter: Tensor, dtype: torch.dtype) -> Tensor:
        stamp = (parameter.data_ptr(), parameter._version, dtype)
        held = self._copies.get(name)
        if held is None or held[0] != stamp:
            with torch.inference_mode(False), torch.no_grad():  # a copy made while predicting must serve training too
                held = (stamp, parameter.to(dtype))
            self._copies[name] = held
        return held[1]


class Linear(nn.Module):
    """y = x Wᵀ + b on packed rows, computed in the dtype of `x`. Parameters are float32."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self._half = HalfCopies()

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        return linear(x, self.weight, self.bias, self._half)

    def part(self, x: Float[Tensor, "rows inputs"], start: int, stop: int) -> Float[Tensor, "rows part"]:
        """Only the outputs `start` to `stop`."""
        return linear(x, self.weight, self.bias, self._half, slice(start, stop))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]} → {self.weight.shape[0]}, bias={self.bias is not None}"


def linear(
    x: Float[Tensor, "rows inputs"], weight: Tensor, bias: Tensor | None, half: HalfCopies, part: slice | None = None
) -> Float[Tensor, "rows outputs"]:
    """The layer as a function, for weights that belong to another module (a tied masked-LM decoder), or for a `part` of
    the outputs.
    """
    if x.dtype == weight.dtype:
        return F.linear(x, weight, bias) if part is None else F.linear(x, weight[part], None if bias is None else bias[part])
    half_weight = half.get("weight", weight, x.dtype)
    half_bias = None if bias is None else half.get("bias", bias, x.dtype)
    if part is not None:
        weight, half_weight = weight[part], half_weight[part]
        bias, half_bias = (None, None) if bias is None or half_bias is None else (bias[part], half_bias[part])
    return _HalfLinear.apply(x, weight, bias, half_weight, half_bias)  # type: ignore[no-any-return,no-untyped-call]
