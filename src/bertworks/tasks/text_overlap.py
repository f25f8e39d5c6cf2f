"""Text overlap: how much of what stands in one text of a pair stands in the other, told by the state of [CLS].

Tasks of sentence pairs begin with this comparison, and nothing in masked words or next sentences asks a model to make it. The target is
the coefficient of Dice (1945) over the tokens, 2 |A ∩ B| / (|A| + |B|), where a token counts as often as it stands in both. Among
neighbours and strangers it says little but topic; beside changed copies (`data/corpus/copies.py`) it takes all values from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.evaluation import RegressionMetrics
from bertworks.tasks.task import Scores
from bertworks.tokenization import Tokenizer

TEXT_OVERLAP = "text_overlap"


class TextOverlap:
    """The objective; `weight` is that of its loss, the squared error, in the sum with others. It must come before those that hide
    tokens, and takes any pairs."""

    name: ClassVar[str] = TEXT_OVERLAP
    pairing: ClassVar[Pairing] = "none"
    reported: ClassVar[tuple[str, ...]] = ("spearman", "mean_squared_error")

    def __init__(self, tokenizer: Tokenizer, weight: float = 1.0) -> None:
        self.weight = weight
        self._special = np.array(sorted(tokenizer.special_ids))

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "sequence_classification", 1

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "mean_squared_error", {"weight": self.weight}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the overlap of each pair as target of this head."""
        return replace(batch, targets={**batch.targets, self.name: self.overlaps(batch)})

    def overlaps(self, batch: PackedBatch) -> Float[Array, "sequences"]:
        """The coefficient of each sequence; 0 where both texts are empty."""
        size = int(batch.input_ids.max(initial=0)) + 1
        sequence = np.repeat(np.arange(batch.sequences), batch.lengths)
        ordinary = ~np.isin(batch.input_ids, self._special)
        keys = sequence * size + batch.input_ids  # a token of a sequence
        first, second = (np.unique(keys[ordinary & (batch.segment_ids == text)], return_counts=True) for text in (0, 1))
        shared, in_first, in_second = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
        common = np.bincount(shared // size, np.minimum(first[1][in_first], second[1][in_second]), minlength=batch.sequences)
        lengths = np.bincount(sequence[ordinary], minlength=batch.sequences)
        return (2 * common / np.maximum(lengths, 1)).astype(np.float32)

    def metrics(self) -> RegressionMetrics:
        return RegressionMetrics()

    def update_metrics(self, metrics: RegressionMetrics, batch: PackedBatch, scores: Scores) -> None:
        metrics.update(batch.targets[self.name], scores[self.name][:, 0])
