"""Distillation: a model learns, besides what it hides from itself, what another model sees in each word.

The target of a token is the teacher's last hidden state of the word it belongs to (the mean over the teacher's own tokens
of that word, so that the two need not share a vocabulary); that of the token that closes a text is the mean over the whole
text, which is how sentence embeddings are read; that of the first token is the mean over its texts. The loss is the cosine
distance (Sanh et al. 2019 use it for hidden states of equal tokens). The student sees the text with its masks, the teacher
sees it whole (as Baevski et al. 2022 do with a teacher of their own).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from jaxtyping import Bool, Float

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.evaluation.vectors import VectorMetrics
from bertworks.tasks.task import Scores

DISTILLATION = "distillation"


class Teacher(Protocol):
    """What a model learns from."""

    @property
    def width(self) -> int:
        """Width of its vectors."""
        ...

    def __call__(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> Float[Array, "tokens width"]:
        """A vector of length 1 for each token of a batch, or zero where there is none to learn."""
        ...


class Distillation:
    """The objective; `weight` is that of its loss in the sum with others. It must come first: others hide tokens."""

    name: ClassVar[str] = DISTILLATION
    pairing: ClassVar[Pairing] = "none"
    reported: ClassVar[tuple[str, ...]] = ("cosine",)

    def __init__(self, teacher: Teacher, weight: float = 1.0) -> None:
        self.teacher, self.weight = teacher, weight

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "token_vectors", self.teacher.width

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "cosine_distance", {"weight": self.weight}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the teacher's vectors as token targets."""
        return replace(batch, token_targets={**batch.token_targets, self.name: self.teacher(batch, word_starts)})

    def metrics(self) -> VectorMetrics:
        return VectorMetrics()

    def update_metrics(self, metrics: VectorMetrics, batch: PackedBatch, scores: Scores) -> None:
        metrics.update(scores[self.name], batch.token_targets[self.name])
