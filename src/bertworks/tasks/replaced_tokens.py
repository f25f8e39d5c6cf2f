"""Replaced-token detection: of every token of a sequence the model says whether another stood there (Clark et al. 2020, section 2).

What replaces a token is drawn by a generator, which learns masked language modelling beside (`tasks/masked_lm.py`, whose masks
say where). That needs the generator's scores, so it happens in the model (`nn/replaced_tokens.py`). The text side gives each
token a number to draw by, a function of the seed, the sequence's key and the position, as masks are (`tasks/masking.py`): so a
draw depends neither on batches nor on what was drawn before, and as keys count through all epochs, every epoch draws anew.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.plans import Pairing
from bertworks.data.counter import mixed
from bertworks.evaluation.replaced_tokens import ReplacedTokenMetrics
from bertworks.tasks.task import Scores

REPLACED_TOKEN_DETECTION = "replaced_token_detection"

_DRAW = 4
"""What a random number is for; 0 to 3 are those of masking."""


class ReplacedTokenDetection:
    """The objective of the discriminator; `weight` is that of its loss in the sum with the generator's (50 in the paper, appendix A:
    over all tokens a binary loss is much smaller than one over a vocabulary)."""

    name: ClassVar[str] = REPLACED_TOKEN_DETECTION
    pairing: ClassVar[Pairing] = "none"
    reported: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "precision", "recall", "f1", "replaced_share")

    def __init__(self, seed: int, weight: float = 50.0) -> None:
        self.seed, self.weight = seed, weight

    @property
    def head(self) -> tuple[HeadKind, int]:
        return "replaced_token_detection", 1

    @property
    def loss(self) -> tuple[str, Mapping[str, Any]]:
        return "replaced_tokens", {"weight": self.weight}

    def prepare(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> PackedBatch:
        """The batch with the numbers to draw by as token targets. What the model is to say comes about in the model."""
        keys = mixed(self.seed, _DRAW, np.repeat(batch.keys, batch.lengths), batch.position_ids)
        return replace(batch, token_targets={**batch.token_targets, self.name: keys.view(np.int64)})

    def metrics(self) -> ReplacedTokenMetrics:
        return ReplacedTokenMetrics()

    def update_metrics(self, metrics: ReplacedTokenMetrics, batch: PackedBatch, scores: Scores) -> None:
        """`scores` are, of each token, the score and what it should say, `[tokens, 2]`."""
        told = scores[self.name]
        metrics.update(told[:, 0], told[:, 1] > 0.5)
