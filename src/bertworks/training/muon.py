"""Muon: momentum whose matrices are made orthogonal before they are taken away from the weights (Jordan et al. 2024).

`torch.optim.Muon` takes every parameter for one matrix, one after the other, in bfloat16 always. Here query, key and value,
which stand in one parameter, are orthogonal each by itself, as are the halves of a gated feed-forward network; matrices of
one shape are computed together; and products are of the dtype that the model's own are.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that steepens singular values near 0 most, and lets the others end between 0.7 and 1.2 (Jordan et al. 2024)."""
_ITERATIONS = 5
_EPSILON = 1e-7
_SIZE_OF_ADAMW = 0.2
"""The root mean square of AdamW's updates, about: with updates of this size its learning rates and weight decay can be kept
(Liu et al. 2025, section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Updates matrices. A group has its `lr` and `weight_decay`, and `blocks`: into how many equal parts, one below the
    other, each of its parameters is to be divided.

    W ← (1 − η λ) W − η · 0.2 √max(rows, columns) · O, where O is about U Vᵀ of the singular value decomposition of the
    Nesterov momentum. `dtype` is that of the products.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, dtype: torch.dtype) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "blocks": 1})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        alike: dict[torch.Size, list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - _MOMENTUM)
                update = parameter.grad.lerp(momentum, _MOMENTUM)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                for block, part in zip(parameter.chunk(group["blocks"]), update.chunk(group["blocks"]), strict=True):
                    alike[part.shape].append((block, part, group["lr"]))
        for shape, parts in alike.items():
            size = _SIZE_OF_ADAMW * max(shape) ** 0.5
            made = orthogonal(torch.stack([part for _, part, _ in parts]), self._dtype)
            for (block, _, rate), matrix in zip(parts, made, strict=True):
                block.add_(matrix, alpha=-rate * size)


def orthogonal(matrices: Float[Tensor, "matrices rows columns"], dtype: torch.dtype) -> Float[Tensor, "matrices rows columns"]:
    """About U Vᵀ of each matrix U S Vᵀ, by five iterations of Newton and Schulz's method with products in `dtype`.

    About, for the singular values of the result lie around 1, not at it, which does no harm.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.to(dtype)
    if upright := x.shape[1] > x.shape[2]:
        x = x.mT
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=_EPSILON)  # no singular value is above 1
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if upright else x).to(matrices.dtype)
