"""AdamW (Loshchilov & Hutter 2019) with bias correction, PyTorch's fused update, and state addressed by name."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bertworks.batch import Array
from bertworks.errors import CheckpointError, SettingsError
from bertworks.nn.model import Model
from bertworks.nn.norm import Norm
from bertworks.training.config import TrainingConfig

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimizer:
    """Updates a model's trainable parameters; its state is arrays by parameter name."""

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        assert config.learning_rate is not None
        freeze(model, config.frozen_layers)
        norms = {f"{name}.{part}" for name, m in model.named_modules() if isinstance(m, Norm) for part in ("weight", "bias")}
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.factors = {name: rate_of(name, model, config.layer_decay) for name in self.parameters}
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, parameter in self.parameters.items():
            decays = not (name.endswith("bias") or name in norms)
            groups.setdefault((self.factors[name], decays), []).append(parameter)
        self._base = config.learning_rate
        self._adamw = torch.optim.AdamW(
            [
                {"params": list(group), "weight_decay": config.weight_decay if decays else 0.0, "factor": factor}
                for (factor, decays), group in groups.items()
            ],
            lr=config.learning_rate,
            fused=True,
        )

    def step(self, factor: float) -> None:
        """One update with the learning rate times `factor`; clears the gradients."""
        for group in self._adamw.param_groups:
            group["lr"] = self._base * factor * group["factor"]
        self._adamw.step()
        torch.autograd.graph.increment_version(self.parameters.values())  # the fused kernel does not; half copies go by it
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Forgets whatever gradients there are."""
        self._adamw.zero_grad(set_to_none=True)

    def rate(self, factor: float) -> float:
        """The learning rate of the top layers at a factor of the schedule."""
        return self._base * factor

    def clip(self, max_norm: float) -> float:
        """Scales the gradients down to `max_norm` where they exceed it (Pascanu et al. 2013); returns their norm."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if max_norm and norm > max_norm:
            torch._foreach_mul_(gradients, max_norm / (norm + 1e-6))
        return norm

    def arrays(self) -> dict[str, Array]:
        """The state: first and second moments and the number of updates of each parameter."""
        out: dict[str, Array] = {}
        for name, parameter in self.parameters.items():
            for key, value in self._adamw.state[parameter].items():
                out[f"{name}:{key}"] = value.detach().cpu().numpy()
        return out

    def set_arrays(self, arrays: dict[str, Array]) -> None:
        """Restores `arrays()`; raises `CheckpointError` where they are of another model."""
        state: dict[Tensor, dict[str, Any]] = {}
        for name, parameter in self.parameters.items():
            own = {key: torch.from_numpy(np.array(arrays[f"{name}:{key}"])) for key in (*_MOMENTS, "step") if f"{name}:{key}" in arrays}
            if arrays and (len(own) < 3 or own["exp_avg"].shape != parameter.shape):
                raise CheckpointError(f"the checkpoint's optimizer state does not fit the parameter {name}")
            if own:
                state[parameter] = {key: value.to(parameter.device) for key, value in own.items()}
        self._adamw.state.update(state)


def freeze(model: Model, layers: int) -> None:
    """Embeddings and the first `layers` sets of layer weights get no gradients; 0 lets all be trained."""
    available = len(model.encoder.layers)
    if layers > available:
        raise SettingsError(f"frozen_layers is {layers}, but the model has {available} layers")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layers == 0 or depth_of(name, model) > layers)


def depth_of(name: str, model: Model) -> int:
    """0 for embeddings, i + 1 for layer i, more for all above."""
    parts = name.split(".")
    if parts[:2] == ["encoder", "layers"]:
        return int(parts[2]) + 1
    return 0 if parts[:2] in (["encoder", "embeddings"], ["encoder", "projection"]) else len(model.encoder.layers) + 1


def rate_of(name: str, model: Model, decay: float) -> float:
    """Layer-wise factor on the learning rate: 1 for the top layer and all above, `decay` times less a layer below."""
    top = len(model.encoder.layers)
    return float(decay ** (top - min(top, depth_of(name, model))))
