"""What attends to what, learnt from another model: the attention and the values of the last layer (Wang et al. 2020, "MiniLM").

Of a teacher and a student, whose widths may differ, query, key and value of each token are divided into the same number of
heads. Attention is softmax(q kᵀ / √d) within each sequence, the relation of values softmax(v vᵀ / √d). The student is to have
both as the teacher has them: the loss is their Kullback-Leibler divergence from the teacher's (equations 4 to 7).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bertworks.nn.encoder import EncoderOutput
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layout import Layout, Run
from bertworks.nn.losses import LossOptions
from bertworks.spec import RelationSpec


class RelationHead(nn.Module):
    """Hands out queries, keys and values of the last layer; has no weights."""

    def __init__(self, spec: RelationSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(
        self, encoded: EncoderOutput, inputs: ModelInputs, name: str, tokens_weight: Tensor, site: int
    ) -> Float[Tensor, "tokens outputs"]:
        """The arguments are those of `Head.forward`."""
        attended = encoded.attended[max(encoded.attended)]
        return torch.cat([x.flatten(1) for x in (attended.q, attended.k, attended.v)], dim=1).float()

    def targets(self, inputs: ModelInputs, name: str) -> tuple[Tensor, None]:
        """The teacher's, of all tokens."""
        return inputs.targets[name], None


@dataclass(frozen=True)
class AttentionRelations:
    """The loss: of each token the divergence of its attention and of its value's relation, the mean over the heads of each."""

    options: LossOptions = field(default_factory=LossOptions)

    def sum(
        self,
        scores: Float[Tensor, "tokens outputs"],
        labels: Float[Tensor, "tokens teacher_outputs"],
        weights: Tensor | None = None,
        layout: Layout | None = None,
    ) -> Float[Tensor, ""]:
        assert layout is not None, "relations are those within a sequence: the loss needs the layout"
        total = scores.new_zeros(())
        for run in layout.runs:
            for first, second in ((0, 1), (2, 2)):  # queries and keys, values and values
                own, wanted = (self._logarithms(x, run, first, second) for x in (scores, labels))
                total = total + (wanted.exp() * (wanted - own)).sum() / self.options.heads
        return total * self.options.weight

    def count(self, labels: Tensor, weights: Tensor | None = None, layout: Layout | None = None) -> float:
        return float(len(labels))

    def _logarithms(self, x: Float[Tensor, "tokens outputs"], run: Run, first: int, second: int) -> Float[Tensor, "n heads queries keys"]:
        """Logarithms of the relation of two of query, key and value in a run of equally long sequences."""
        rows = x[run.start : run.start + run.sequences * run.length].float()
        parts = rows.view(run.sequences, run.length, 3, self.options.heads, -1).permute(2, 0, 3, 1, 4)
        scores: Tensor = (parts[first] @ parts[second].mT) * parts.shape[-1] ** -0.5
        return scores.log_softmax(-1)
