"""Metrics of replaced-token detection."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.metrics import precision_recall_f1, require_rows


class ReplacedTokenMetrics:
    """Loss and accuracy over all tokens; precision, recall and F1 of "replaced".

    >>> metrics = ReplacedTokenMetrics()
    >>> metrics.update(np.array([-3.0, 2.0, 1.0, -1.0]), np.array([False, True, False, True]))
    >>> {name: round(value, 4) for name, value in metrics.compute().items()}
    {'tokens': 4, 'loss': 0.7005, 'accuracy': 0.5, 'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'replaced_share': 0.5}
    """

    headline: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        self.tokens = 0
        self.loss_sum = 0.0
        self.found, self.told, self.replaced = 0, 0, 0
        """Tokens replaced and told so, told so, replaced."""

    def update(self, scores: Float[Array, "tokens"], replaced: Bool[Array, "tokens"]) -> None:
        """Adds tokens: the score of each to be replaced (above 0 says so), and whether it is. Raises `DataError` where the two
        do not agree in number, or a score is NaN."""
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != np.shape(replaced) or values.ndim != 1:
            raise DataError(f"scores have shape {values.shape}, marks {np.shape(replaced)}: one of each a token")
        if np.isnan(values).any():
            raise DataError("scores of replaced tokens must be numbers, without NaN")
        marks, told = np.asarray(replaced, dtype=bool), values > 0
        self.tokens += len(values)
        self.loss_sum += float(np.logaddexp(0, np.where(marks, -values, values)).sum())
        self.found += int((told & marks).sum())
        self.told += int(told.sum())
        self.replaced += int(marks.sum())

    def merge(self, other: "ReplacedTokenMetrics") -> None:
        """Adds the tokens that `other` has seen."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def compute(self) -> dict[str, Any]:
        """`loss`: mean binary cross-entropy in nats; `accuracy`, `precision`, `recall` and `f1` of the replaced tokens, and their
        `replaced_share`, all in [0, 1]; `tokens`. Raises `DataError` where no token was seen.
        """
        require_rows(self.tokens)
        precision, recall, f1 = (
            float(values[0]) for values in precision_recall_f1(*np.array([[self.found], [self.told], [self.replaced]]))
        )
        wrong = self.told + self.replaced - 2 * self.found
        return {
            "tokens": self.tokens,
            "loss": self.loss_sum / self.tokens,
            "accuracy": 1 - wrong / self.tokens,
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "replaced_share": self.replaced / self.tokens,
        }
