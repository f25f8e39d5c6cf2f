"""Learning to attend as another model does: MiniLM's distillation (Wang et al. 2020), from text alone.

The student has the teacher's tokenizer. The teacher's queries, keys and values of its last layer are the targets; see
`nn/relations.py` for the loss. What the student hides from itself (masked LM beside this) the teacher sees.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Bool, Float

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.evaluation.relations import RelationMetrics
from bertworks.tasks.task import Scores

ATTENTION_RELATIONS = "attention_relations"


class RelationTeacher(Protocol):
    """Whose attention is learnt."""

    @property
    def heads(self) -> int:
        """Heads of its last layer."""
        ...

    def __call__(self, batch: PackedBatch) -> Float[Array, "tokens width"]:
        """Query, key and value of each token in its last layer, side by side."""
        ...


class AttentionRelations:
    """The objective; `weight` is that of its loss in the sum with others. It must come before those that hide tokens."""

    name: ClassVar[str] = ATTENTION_RELATIONS
    pairing: ClassVar[Pairing] = "none"
    reported: ClassVar[tuple[str, ...]] = ("attention_divergence", "value_divergence", "attention_divergence_by_head")

    def __init__(self, teacher: RelationTeacher, weight: float = 1.0) -> None:
        self.teacher, self.weight = teacher, weight

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "attention_relations", 0

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "attention_relations", {"weight": self.weight, "heads": self.teacher.heads}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the teacher's queries, keys and values as token targets."""
        return replace(batch, token_targets={**batch.token_targets, self.name: self.teacher(batch).astype(np.float16)})

    def metrics(self) -> RelationMetrics:
        return RelationMetrics(self.teacher.heads)

    def update_metrics(self, metrics: RelationMetrics, batch: PackedBatch, scores: Scores) -> None:
        metrics.update(scores[self.name], batch.token_targets[self.name], batch.offsets)
