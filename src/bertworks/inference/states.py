"""Everything an encoder computes for a batch, as NumPy arrays: states of all layers, attention probabilities."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model


@dataclass(frozen=True)
class States:
    """What an encoder computed, packed and in float32."""

    hidden: Float[Array, "tokens hidden"]
    pooled: Float[Array, "sequences hidden"] | None
    hidden_states: list[Float[Array, "tokens hidden"]]
    attentions: dict[int, list[Float[Array, "heads length length"]]]


def compute_states(
    model: Model, batch: PackedBatch, *, device: torch.device, hidden_states: bool = False, attentions: Collection[int] = ()
) -> States:
    """One pass over one batch. `attentions` numbers the layers whose probabilities are wanted."""
    with torch.inference_mode():
        out = model.encoder(model_inputs(batch, device), hidden_states=hidden_states, attentions=attentions)
        return States(
            hidden=_numpy(out.hidden),
            pooled=None if out.pooled is None else _numpy(out.pooled),
            hidden_states=[_numpy(states) for states in out.hidden_states],
            attentions={layer: [_numpy(p) for p in probabilities] for layer, probabilities in out.attentions.items()},
        )


def _numpy(x: Tensor) -> Array:
    return x.float().cpu().numpy()
