"""How far a model's attention is from another's."""

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.metrics import require_rows


class RelationMetrics:
    """The Kullback-Leibler divergence of attention, and of the relation of values, from a teacher's: the mean over tokens, of
    each head and over the heads, in nats.

    Both are given as query, key and value of each token side by side, and divided into `heads`.
    """

    headline: ClassVar[str] = "attention_divergence"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, heads: int) -> None:
        self.heads = heads
        self.tokens = 0
        self.sums: Float[Array, "2 heads"] = np.zeros((2, heads))
        """Of attention, and of values."""

    def update(
        self, own: Float[Array, "tokens width"], teacher: Float[Array, "tokens teacher_width"], offsets: Int[Array, "sequences_plus_one"]
    ) -> None:
        """Adds packed sequences. Raises `DataError` where a width cannot be divided into the heads."""
        for name, values in (("the model", own), ("the teacher", teacher)):
            if values.shape[1] % (3 * self.heads):
                raise DataError(f"{name} has {values.shape[1]} numbers a token, which cannot be divided into 3 × {self.heads} heads")
        for start, stop in pairwise(offsets.tolist()):
            for row, (first, second) in enumerate(((0, 1), (2, 2))):
                log_own, log_wanted = (_logarithms(x[start:stop], self.heads, first, second) for x in (own, teacher))
                self.sums[row] += (np.exp(log_wanted) * (log_wanted - log_own)).sum(axis=(1, 2))
            self.tokens += stop - start

    def merge(self, other: "RelationMetrics") -> None:
        """Adds the tokens that `other` has seen."""
        self.tokens += other.tokens
        self.sums += other.sums

    def compute(self) -> dict[str, Any]:
        """`attention_divergence` and `value_divergence`, the same of each head (`…_by_head`), and `tokens`.

        Raises `DataError` where no token was seen.
        """
        require_rows(self.tokens)
        means = self.sums / self.tokens
        out: dict[str, Any] = {"tokens": self.tokens}
        for name, values in zip(("attention_divergence", "value_divergence"), means, strict=True):
            out |= {name: float(values.mean()), f"{name}_by_head": values.tolist()}
        return out


def _logarithms(x: Float[Array, "tokens width"], heads: int, first: int, second: int) -> Float[Array, "heads queries keys"]:
    parts = x.astype(np.float64).reshape(len(x), 3, heads, -1)
    scores = np.einsum("qhd,khd->hqk", parts[:, first], parts[:, second]) / np.sqrt(parts.shape[-1])
    scores -= scores.max(axis=2, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))  # type: ignore[no-any-return]
