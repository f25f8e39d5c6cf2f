"""One vector for each sequence: one module runs any `VectorSpec`."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bertworks.nn.activations import ACTIVATIONS
from bertworks.nn.dropout import DropoutKeys, dropout
from bertworks.nn.encoder import EncoderOutput
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layout import Layout
from bertworks.nn.linear import Linear
from bertworks.nn.norm import Norm
from bertworks.spec import DenseStage, DropoutStage, NormSpec, NormStage, Pooling, Stage, UnitStage, VectorSpec

SKIPPED = "skipped_tokens"
"""The target that says how many tokens at the beginning of a sequence are left out of the pooling; absent where none are."""


class VectorHead(nn.Module):
    """Pooling, then the stages, all in float32."""

    def __init__(self, spec: VectorSpec, hidden: int, layers: int) -> None:
        super().__init__()
        self.spec = spec
        self.layer_weights = None if spec.layers_from is None else nn.Parameter(torch.ones(layers + 1 - spec.layers_from))
        self.stages = nn.ModuleList(build_stage(stage) for stage in spec.stages)

    def forward(
        self, encoded: EncoderOutput, inputs: ModelInputs, name: str, tokens_weight: Tensor, site: int
    ) -> Float[Tensor, "sequences width"]:
        """A vector for each sequence; the arguments are those of `Head.forward`."""
        layout, skipped = inputs.layout, inputs.targets.get(SKIPPED) if not self.spec.pools_prompt else None
        if encoded.ends is not None:
            x = encoded.hidden.float()
        else:
            states = self._states(encoded)
            x = torch.cat([pool(states, layout, pooling, skipped) for pooling in self.spec.pooling], dim=1)
        starts = layout.tensor(x.device).long()[:-1]
        keys = None if inputs.dropout is None else DropoutKeys(inputs.dropout.tokens[starts])
        for stage in self.stages:
            x = stage(x, keys, site) if isinstance(stage, _Dropout) else stage(x)
        return x

    def _states(self, encoded: EncoderOutput) -> Float[Tensor, "tokens hidden"]:
        if self.layer_weights is None:
            return encoded.hidden
        layers = encoded.hidden_states[self.spec.layers_from :]
        mixed = sum(weight * states.float() for weight, states in zip(self.layer_weights, layers, strict=True))
        assert isinstance(mixed, Tensor)
        return mixed / self.layer_weights.sum()

    def targets(self, inputs: ModelInputs, name: str) -> tuple[Tensor, Tensor | None]:
        """What is wanted of each sequence, and its weight where there are any."""
        return inputs.targets[name], inputs.targets.get(f"{name}_weights")


def pool(
    states: Float[Tensor, "tokens hidden"], layout: Layout, pooling: Pooling, skipped: Int[Tensor, "sequences"] | None = None
) -> Float[Tensor, "sequences hidden"]:
    """One state for each sequence, in float32. The first `skipped` tokens of each do not count; of a sequence with no
    others, all do."""
    offsets = layout.tensor(states.device).long()
    first, lengths = offsets[:-1], offsets[1:] - offsets[:-1]
    if skipped is not None:
        skipped = torch.where(skipped < lengths, skipped, 0)
        first, lengths = first + skipped, lengths - skipped
    if pooling == "cls":
        return states[first].float()
    if pooling == "last":
        return states[offsets[1:] - 1].float()
    sequence = layout.sequence_of_token(states.device)
    places = torch.arange(len(states), device=states.device)
    kept = None if skipped is None else places >= first[sequence]
    states = states.float()
    if pooling == "max":
        lowest = torch.full((layout.sequences, states.shape[1]), -torch.inf, device=states.device)
        counted = states if kept is None else states.masked_fill(~kept[:, None], -torch.inf)
        return lowest.scatter_reduce(0, sequence[:, None].expand_as(counted), counted, "amax")
    weights = (1 + places - offsets[:-1][sequence]).float() if pooling == "position_weighted_mean" else None
    if kept is not None:
        weights = kept.float() if weights is None else weights * kept
    sums = torch.zeros(layout.sequences, states.shape[1], device=states.device)
    sums = sums.index_add(0, sequence, states if weights is None else states * weights[:, None])
    if pooling == "position_weighted_mean":
        assert weights is not None
        return sums / torch.zeros(layout.sequences, device=states.device).index_add(0, sequence, weights)[:, None]
    counts = lengths.float()
    return sums / (counts.sqrt() if pooling == "mean_sqrt_length" else counts)[:, None]


class _Dense(nn.Module):
    def __init__(self, spec: DenseStage) -> None:
        super().__init__()
        self.spec = spec
        self.dense = Linear(spec.inputs, spec.outputs, spec.bias)
        self.residual = Linear(spec.inputs, spec.outputs, bias=False) if spec.residual and spec.inputs != spec.outputs else None

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        out = self.dense(x)
        if self.spec.activation is not None:
            out = ACTIVATIONS[self.spec.activation](out)
        if self.spec.residual:
            out = out + (x if self.residual is None else self.residual(x))
        return out  # type: ignore[no-any-return]


class _Dropout(nn.Module):
    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Float[Tensor, "rows width"], keys: DropoutKeys | None, site: int) -> Float[Tensor, "rows width"]:
        return dropout(x, self.probability, keys, site)


class _Unit(nn.Module):
    def forward(self, x: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        return F.normalize(x, dim=1)


def build_stage(stage: Stage) -> nn.Module:
    match stage:
        case DenseStage():
            return _Dense(stage)
        case NormStage():
            return Norm(NormSpec(stage.epsilon), stage.width)
        case DropoutStage():
            return _Dropout(stage.probability)
        case UnitStage():
            return _Unit()


def stage_problem(spec: VectorSpec, hidden: int) -> str | None:
    """What is wrong with the widths of the stages, in words; None where each takes what the one before gives."""
    width = hidden * len(spec.pooling)
    for number, stage in enumerate(spec.stages, 1):
        wanted = stage.inputs if isinstance(stage, DenseStage) else stage.width if isinstance(stage, NormStage) else width
        if wanted != width:
            return f"stage {number} after the pooling takes {wanted} features, but gets {width}"
        width = stage.outputs if isinstance(stage, DenseStage) else width
    return None
