"""Activation functions by the names of `spec.Activation`."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from bertworks.spec import Activation

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,  # Hendrycks & Gimpel 2016, with the exact normal distribution function
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # its approximation, same paper, section 2
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
