"""Updates of the weights, by AdamW (Loshchilov & Hutter 2019) or by Muon with it, and their state addressed by name."""

import numpy as np
import torch
from torch import Tensor

from bertworks.batch import Array
from bertworks.errors import CheckpointError, SettingsError
from bertworks.nn.layer import FeedForward, Layer, SelfAttention
from bertworks.nn.model import Model
from bertworks.nn.norm import Norm
from bertworks.nn.transitions import Transitions
from bertworks.training.config import TrainingConfig
from bertworks.training.muon import Muon

_BETA1 = 0.9
"""Decay of AdamW's mean of gradients."""
_RATE_OF_TRANSITIONS = 0.01
"""The least learning rate of the scores of neighbouring tags. They are no features of a pretrained model but begin at 0, and AdamW
moves a number by about its rate a step: at a rate for fine-tuning they would stay there."""


class Optimizer:
    """Updates a model's trainable parameters; its state is arrays by parameter name.

    AdamW corrects the bias of its moments and is PyTorch's, fused. With muon the matrices of the layers are Muon's, and
    AdamW's are the embeddings, heads, norms and biases. The products of Muon are in the dtype that the model computes in.
    """

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        assert config.learning_rate is not None
        freeze(model, config.frozen_layers)
        norms = {f"{name}.{part}" for name, m in model.named_modules() if isinstance(m, Norm) for part in ("weight", "bias")}
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.factors = {name: rate_of(name, model, config.layer_decay) for name in self.parameters}
        factor_of_transitions = max(1.0, _RATE_OF_TRANSITIONS / config.learning_rate)
        self.factors |= {name: factor_of_transitions for name in _transitions_of(model) if name in self.parameters}
        blocks = blocks_of(model) if config.optimizer == "muon" else {}
        groups: dict[tuple[float, bool, int | None], list[Tensor]] = {}
        for name, parameter in self.parameters.items():
            decays = not (name.endswith("bias") or name in norms)
            groups.setdefault((self.factors[name], decays, blocks.get(name)), []).append(parameter)
        self._base = rate = config.learning_rate
        of_adamw, of_muon = [], []
        for (factor, decays, count), parameters in groups.items():
            group = {"params": parameters, "weight_decay": config.weight_decay if decays else 0.0, "factor": factor}
            if count is None:
                of_adamw.append(group)
            else:
                of_muon.append({**group, "blocks": count})
        self._parts: list[torch.optim.Optimizer] = (
            [torch.optim.AdamW(of_adamw, rate, (_BETA1, config.adam_beta2), fused=True)] if of_adamw else []
        )
        self._parts += [Muon(of_muon, rate, model.encoder.compute_dtype)] if of_muon else []

    def step(self, factor: float) -> None:
        """One update with the learning rate times `factor`; clears the gradients."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self._base * factor * group["factor"]
            part.step()
        torch.autograd.graph.increment_version(self.parameters.values())  # the fused kernel does not; half copies go by it
        self.clear_gradients()

    def clear_gradients(self) -> None:
        """Forgets whatever gradients there are."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

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
        """The state: of each parameter the moments and the number of updates (AdamW), or the momentum (Muon)."""
        out: dict[str, Array] = {}
        for name, parameter in self.parameters.items():
            for part in self._parts:
                for key, value in part.state.get(parameter, {}).items():
                    out[f"{name}:{key}"] = value.detach().cpu().numpy()
        return out

    def set_arrays(self, arrays: dict[str, Array]) -> None:
        """Restores `arrays()`; raises `CheckpointError` where they are of another model or optimizer."""
        names = {parameter: name for name, parameter in self.parameters.items()}
        for part in self._parts:
            keys = ("momentum",) if isinstance(part, Muon) else ("exp_avg", "exp_avg_sq", "step")
            for parameter in (p for group in part.param_groups for p in group["params"]):
                name = names[parameter]
                own = {key: torch.from_numpy(np.array(arrays[f"{name}:{key}"])) for key in keys if f"{name}:{key}" in arrays}
                if arrays and (len(own) < len(keys) or own[keys[0]].shape != parameter.shape):
                    raise CheckpointError(f"the checkpoint's optimizer state does not fit the parameter {name}")
                if own:
                    part.state[parameter] = {key: value.to(parameter.device) for key, value in own.items()}


def blocks_of(model: Model) -> dict[str, int]:
    """The matrices of the layers by the names of their parameters, and how many of them stand in each."""
    out: dict[str, int] = {}
    for name, module in model.named_modules():  # a layer comes before what is in it
        if isinstance(module, Layer):
            out |= {f"{name}.{part}": 1 for part, parameter in module.named_parameters() if parameter.ndim == 2}
        elif isinstance(module, SelfAttention):
            out[f"{name}.qkv.weight"] = 3
        elif isinstance(module, FeedForward) and module.spec.gated:
            out[f"{name}.up.weight"] = 2
    return out


def freeze(model: Model, layers: int) -> None:
    """Embeddings and the first `layers` sets of layer weights get no gradients; 0 lets all be trained."""
    available = len(model.encoder.layers)
    if layers > available:
        raise SettingsError(f"frozen_layers is {layers}, but the model has {available} layers")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(layers == 0 or depth_of(name, model) > layers)


def depth_of(name: str, model: Model) -> int:
    """0 for embeddings, i + 1 for layer i, more for all above, and for a generator beside them."""
    parts = name.split(".")
    if parts[:2] == ["encoder", "layers"]:
        return int(parts[2]) + 1
    return 0 if parts[:2] in (["encoder", "embeddings"], ["encoder", "projection"]) else len(model.encoder.layers) + 1


def _transitions_of(model: Model) -> list[str]:
    """The names of all scores of neighbouring tags."""
    return [f"{name}.{part}" for name, m in model.named_modules() if isinstance(m, Transitions) for part, _ in m.named_parameters()]


def rate_of(name: str, model: Model, decay: float) -> float:
    """Layer-wise factor on the learning rate: 1 for the top layer and all above, `decay` times less a layer below."""
    top = len(model.encoder.layers)
    return float(decay ** (top - min(top, depth_of(name, model))))
