"""The model's door: a packed batch of NumPy arrays becomes tensors on a device."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.nn.cache import KeyValueCache
from bertworks.nn.dropout import DropoutKeys
from bertworks.nn.layout import Layout


@dataclass(frozen=True)
class ModelInputs:
    """What a model computes on. Dropout happens if, and only if, `dropout` keys are given."""

    input_ids: Int[Tensor, "tokens"]
    position_ids: Int[Tensor, "tokens"]
    segment_ids: Int[Tensor, "tokens"]
    layout: Layout
    targets: Mapping[str, Tensor]
    dropout: DropoutKeys | None = None
    token_vectors: Float[Tensor, "tokens width"] | None = None
    """Vectors that stand in for the tokens' own rows of the embedding: what an attribution varies."""
    cache: KeyValueCache | None = None
    """What was read before of the same sequences: the tokens here come after. Only where every layer is causal."""

    @property
    def device(self) -> torch.device:
        return self.input_ids.device


def model_inputs(batch: PackedBatch, device: torch.device, dropout: tuple[int, int] | None = None) -> ModelInputs:
    """Moves a batch to a device. `dropout` is (seed, step) in training; None computes without dropout."""
    keys = None if dropout is None else DropoutKeys.make(*dropout, batch.keys, batch.offsets, batch.position_ids, device)
    return ModelInputs(
        input_ids=_tensor(batch.input_ids, device),
        position_ids=_tensor(batch.position_ids, device),
        segment_ids=_tensor(batch.segment_ids, device),
        layout=Layout(batch.offsets),
        targets={name: _tensor(values, device) for name, values in {**batch.targets, **batch.token_targets}.items()},
        dropout=keys,
    )


def _tensor(values: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
