"""Masked language modelling: hidden tokens are predicted from those around them (Devlin et al. 2019, section 3.1).

The head computes scores at the hidden tokens only.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.errors import SettingsError
from bertworks.evaluation.language_model import MaskedLanguageModelMetrics
from bertworks.tasks.masking import Masker, Masking
from bertworks.tasks.task import Scores
from bertworks.tokenization import Tokenizer

MASKED_LM = "masked_lm"


class MaskedLM:
    """The objective; `weight` is that of its loss in the sum with others."""

    name: ClassVar[str] = MASKED_LM
    pairing: ClassVar[Pairing] = "none"
    reported: ClassVar[tuple[str, ...]] = ("loss", "perplexity", "accuracy", "tokens")

    def __init__(self, tokenizer: Tokenizer, masking: Masking, *, vocabulary: int, weight: float = 1.0) -> None:
        """`vocabulary` is the number of ids that the model scores, at least the tokenizer's.

        Raises `SettingsError` where the tokenizer has no mask token.
        """
        if tokenizer.mask_id is None:
            raise SettingsError("masked language modelling needs a tokenizer with a mask token, such as [MASK]; this one has none")
        self.masking, self.vocabulary, self.weight = masking, vocabulary, weight
        self._mask = Masker(
            masking,
            special_ids=[*tokenizer.special_ids, *range(tokenizer.vocabulary_size, vocabulary)],
            mask_id=tokenizer.mask_id,
            vocabulary=vocabulary,
        )

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "masked_lm", self.vocabulary

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "cross_entropy", {"weight": self.weight}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with some tokens hidden, and their true ids as token targets."""
        seen, targets = self._mask(batch, word_starts)
        return replace(batch, input_ids=seen, token_targets={**batch.token_targets, MASKED_LM: targets})

    def metrics(self) -> MaskedLanguageModelMetrics:
        return MaskedLanguageModelMetrics()

    def update_metrics(self, metrics: MaskedLanguageModelMetrics, batch: PackedBatch, scores: Scores) -> None:
        """`scores` are, of each token to be predicted, the logarithm of its probability and whether it has the highest
        score, `[targets, 2]`, in the order of the batch (`inference.score`).
        """
        told = scores[MASKED_LM]
        metrics.update(np.minimum(told[:, 0], 0), told[:, 1] > 0.5)
