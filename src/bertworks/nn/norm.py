"""Layer normalization (Ba et al. 2016) with float32 statistics, whatever the dtype of the states."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bertworks.spec import NormSpec


class Norm(nn.Module):
    """Each row to mean 0 and variance 1, then gain and bias."""

    def __init__(self, spec: NormSpec, size: int) -> None:
        super().__init__()
        self.epsilon = spec.epsilon
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if spec.bias else None

    def forward(self, x: Float[Tensor, "rows size"]) -> Float[Tensor, "rows size"]:
        if x.dtype != torch.float32 and (x.device.type != "cpu" or self.bias is None):
            # only the CPU kernel takes half-precision states together with float32 gain and bias
            return F.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, self.epsilon).to(x.dtype)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


def build_norm(spec: NormSpec | None, size: int) -> nn.Module:
    return nn.Identity() if spec is None else Norm(spec, size)
