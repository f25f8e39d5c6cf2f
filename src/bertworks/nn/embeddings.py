"""From token ids to the first hidden state (Devlin et al. 2019, section 3 and figure 2)."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bertworks.nn.dropout import dropout
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.norm import build_norm
from bertworks.spec import EmbeddingSpec


class Table(nn.Module):
    """Rows of learnt vectors, looked up by id."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))

    def forward(self, ids: Tensor) -> Float[Tensor, "tokens width"]:
        return F.embedding(ids, self.weight)


class _LookUpFew(torch.autograd.Function):
    """Looks up rows of a table that has few. PyTorch's own adds up a row's gradients one by one; over the thousands of
    tokens that share a segment this loses a digit of float32, which `sum` keeps by adding in a tree."""

    @staticmethod
    def forward(ctx: Any, ids: Int[Tensor, "tokens"], weight: Float[Tensor, "rows width"]) -> Float[Tensor, "tokens width"]:
        ctx.save_for_backward(ids)
        ctx.rows = len(weight)
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (ids,) = ctx.saved_tensors
        (g,) = gradients
        counts = torch.bincount(ids, minlength=ctx.rows).tolist()
        return None, torch.stack([(g if count == len(g) else g[ids == row]).sum(0) for row, count in enumerate(counts)])


class Embeddings(nn.Module):
    """Sum of token, position and segment vectors, then the norm. Computes in float32."""

    DROPOUT_SITE = 0

    def __init__(self, spec: EmbeddingSpec) -> None:
        super().__init__()
        self.spec = spec
        self.token = Table(spec.vocabulary, spec.width)
        self.position = Table(spec.max_tokens + spec.position_offset, spec.width) if spec.positions == "learnt" else None
        self.segment = Table(spec.segments, spec.width) if spec.segments else None
        self.norm = build_norm(spec.norm, spec.width)

    def forward(self, inputs: ModelInputs) -> Float[Tensor, "tokens width"]:
        x = self.token(inputs.input_ids) if inputs.token_vectors is None else inputs.token_vectors
        if self.segment is not None:
            x = x + _LookUpFew.apply(inputs.segment_ids.clamp(max=self.spec.segments - 1), self.segment.weight)  # type: ignore[no-untyped-call]
        if self.position is not None:
            x = x + self.position(inputs.position_ids + self.spec.position_offset)
        return dropout(self.norm(x), self.spec.dropout, inputs.dropout, self.DROPOUT_SITE)
