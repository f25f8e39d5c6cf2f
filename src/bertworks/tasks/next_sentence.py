"""Next sentence prediction (Devlin et al. 2019, section 3.1) and sentence order prediction (Lan et al. 2020, section 3.1):
whether the second text of a pair follows the first in the corpus.

Class 0 is the true neighbour, class 1 a text from elsewhere or the two swapped, as in the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import COPY, Pairing
from bertworks.evaluation import ClassificationMetrics
from bertworks.tasks.task import Scores

NEXT_SENTENCE = "next_sentence"
LABELS = ("next", "random")


class NextSentence:
    """The objective; `weight` is that of its loss in the sum with others."""

    name: ClassVar[str] = NEXT_SENTENCE
    pairing: Pairing = "next_sentence"
    reported: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss", "rows")

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "next_sentence", 2

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "cross_entropy", {"weight": self.weight}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the labels of its pairs as targets of this head."""
        return replace(batch, targets={**batch.targets, self.name: batch.targets["pairing"]})

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(LABELS)

    def update_metrics(self, metrics: ClassificationMetrics, batch: PackedBatch, scores: Scores) -> None:
        values: Array = np.exp(scores[self.name] - scores[self.name].max(axis=1, keepdims=True))
        ordered = batch.targets[self.name] != COPY
        metrics.update(batch.targets[self.name][ordered], (values / values.sum(axis=1, keepdims=True))[ordered])


class SentenceOrder(NextSentence):
    """Like next sentence prediction, but what is not in order is the same two texts swapped."""

    pairing: Pairing = "sentence_order"
