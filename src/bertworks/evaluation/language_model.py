"""Metrics of masked language modelling."""

import math
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.metrics import require_rows


class MaskedLanguageModelMetrics:
    """Loss, perplexity and accuracy at the tokens that were to be predicted.

    >>> metrics = MaskedLanguageModelMetrics()
    >>> metrics.update(np.log([0.5, 0.125]), np.array([True, False]))
    >>> {name: round(value, 4) for name, value in metrics.compute().items()}
    {'tokens': 2, 'loss': 1.3863, 'perplexity': 4.0, 'accuracy': 0.5}
    """

    headline: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        self.tokens = 0
        """Tokens that were to be predicted."""
        self.log_probability_sum = 0.0
        self.hits = 0

    def update(self, log_probabilities: Float[Array, "targets"], hits: Bool[Array, "targets"]) -> None:
        """Adds a batch: of each token to be predicted, the natural logarithm of its probability, and whether it was the
        most probable. Raises `DataError` where the two do not agree in number, or a logarithm is above 0 or NaN."""
        values = np.asarray(log_probabilities, dtype=np.float64)
        if values.shape != np.shape(hits) or values.ndim != 1:
            raise DataError(f"log probabilities have shape {values.shape}, hits {np.shape(hits)}: one of each a token")
        if not (values <= 1e-6).all():
            raise DataError("log probabilities must be 0 or less, without NaN")
        self.tokens += len(values)
        self.log_probability_sum += float(values.sum())
        self.hits += int(np.sum(hits))

    def merge(self, other: "MaskedLanguageModelMetrics") -> None:
        """Adds the tokens that `other` has seen."""
        self.tokens += other.tokens
        self.log_probability_sum += other.log_probability_sum
        self.hits += other.hits

    def compute(self) -> dict[str, Any]:
        """`loss`: mean cross-entropy in nats; `perplexity`: its exponential; `accuracy`, in [0, 1]; `tokens` predicted.

        Raises `DataError` where no token was seen.
        """
        require_rows(self.tokens)
        loss = -self.log_probability_sum / self.tokens
        return {"tokens": self.tokens, "loss": loss, "perplexity": math.exp(min(loss, 700)), "accuracy": self.hits / self.tokens}
