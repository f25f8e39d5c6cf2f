"""The mean of the weights over the last steps of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import numpy as np
import torch

from bertworks.batch import Array
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model


class Average:
    """The running mean of a model's weights after each of the last steps (Izmailov et al. 2018; Kaddour 2022, section 2).

    It is begun `share` of `total` steps before the end; before that, and where the share is 0, there is none. Where there
    is one, it is what is evaluated, and what a training ends with; the training itself goes on from its own weights. Kept
    in float32, as the weights are.
    """

    def __init__(self, model: Model, share: float, total: int) -> None:
        self._parameters = dict(model.named_parameters())
        self._before = total - ceil(share * total)
        self._mean: dict[str, torch.Tensor] = {}

    @property
    def begun(self) -> bool:
        return bool(self._mean)

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Counts the weights after step `step` (from 1) in."""
        number = step - self._before
        if number == 1:
            self._mean = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        elif number > 1:
            torch._foreach_lerp_(list(self._mean.values()), list(self._parameters.values()), 1 / number)

    @torch.no_grad()
    def take_place(self) -> None:
        """Gives the model the mean, where there is one."""
        for name, mean in self._mean.items():
            self._parameters[name].copy_(mean)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the mean for a while, then its own weights again, to the bit."""
        own = {name: self._parameters[name].detach().clone() for name in self._mean}
        self.take_place()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, values in own.items():
                    self._parameters[name].copy_(values)

    def arrays(self) -> dict[str, Array]:
        """The mean by the names of the parameters; nothing where it is not begun."""
        return {name: mean.cpu().numpy().copy() for name, mean in self._mean.items()}

    def set_arrays(self, arrays: dict[str, Array]) -> None:
        """Restores `arrays()`; raises `CheckpointError` where they are of another model."""
        if arrays and {name: values.shape for name, values in arrays.items()} != {n: tuple(p.shape) for n, p in self._parameters.items()}:
            raise CheckpointError("the checkpoint's mean of the weights does not fit the model")
        names = self._parameters if arrays else {}  # in their order, by which means and weights are paired
        self._mean = {name: torch.from_numpy(np.array(arrays[name])).to(self._parameters[name].device) for name in names}
