"""Attention as the served model computes it: probabilities recomputed on the side, and checked.

The model runs once, by its own kernels and in its own dtype, and what each layer's attention took and gave is kept
(queries, keys, values and the context that went on): some megabytes, where the maps of all layers and heads of 512
tokens are hundreds. A map is computed from it when it is asked for, and only given out if its product with the values is
the context that the model itself computed.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.errors import BertworksError
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model


class AttentionMaps:
    """The attention of each layer and head in one sequence."""

    def __init__(self, model: Model, sequence: PackedBatch, *, device: torch.device, dtype: torch.dtype) -> None:
        """Runs the encoder on a batch of one sequence, as it is served: in `dtype`."""
        layers = range(len(model.spec.layers))
        with torch.inference_mode():
            output = model.to(device).compute_in(dtype).encoder(model_inputs(sequence, device), attentions=layers)
        self._attended = output.attended
        self.layers = len(layers)
        self.tolerance = tolerance(dtype)
        """The largest deviation that the dtype's rounding explains."""
        self.deviations: dict[int, float] = {}
        """For each layer that was looked at: the largest difference between probabilities × values and the context that
        the model computed, relative to the largest value."""

    def of(self, layer: int) -> Float[Array, "heads length length"]:
        """The probabilities of a layer's heads: how much each token (row) reads of each other (column). Rows sum to 1.

        Raises `BertworksError` where they are not those that the model computed with.
        """
        attended = self._attended[layer]
        with torch.inference_mode():
            context, (probabilities,) = attended.recomputed()
            largest = attended.v.float().abs().max().clamp(min=torch.finfo(torch.float32).tiny)
            deviation = float((context - attended.context.float()).abs().max() / largest)
        self.deviations[layer] = deviation
        if not deviation <= self.tolerance:  # NaN is no agreement either
            raise BertworksError(
                f"layer {layer}: the recomputed attention is not the model's own (off by {deviation:.1e}, allowed {self.tolerance:.1e}):"
                " choose precision float32 or the device cpu, and report this machine"
            )
        return np.asarray(probabilities.cpu().numpy())


def tolerance(dtype: torch.dtype) -> float:
    """1e-5 in float32; in half precision two units of the last place, for a kernel that rounds the probabilities and
    the result.

    >>> tolerance(torch.float32), tolerance(torch.bfloat16)
    (1e-05, 0.015625)
    """
    return max(1e-5, 2 * torch.finfo(dtype).eps)


def rollout(layers: Iterable[Float[Array, "heads length length"]]) -> Float[Array, "length length"]:
    """How much of each token at the input is in each token at the output (Abnar & Zuidema 2020, section 3).

    Heads are averaged, the residual connection is taken as half (0.5 A + 0.5 I, section 3.1), and the layers are multiplied
    from the first to the last. Rows are the tokens at the output and sum to 1.
    """
    joint: Array | None = None
    for probabilities in layers:
        mixed = 0.5 * probabilities.mean(axis=0, dtype=np.float64)
        mixed[np.diag_indices(len(mixed))] += 0.5
        joint = mixed if joint is None else mixed @ joint
    if joint is None:
        raise ValueError("rollout needs a layer at least")
    return joint.astype(np.float32)
