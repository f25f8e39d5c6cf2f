"""Metrics of vectors that are to point where others do."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.evaluation.metrics import require_rows


class VectorMetrics:
    """The mean cosine of predicted vectors and their targets; rows whose target is zero have none.

    >>> metrics = VectorMetrics()
    >>> metrics.update(np.array([[1.0, 0.0], [1.0, 1.0], [5.0, 5.0]]), np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    >>> {name: round(value, 4) for name, value in metrics.compute().items()}
    {'vectors': 2, 'cosine': 0.8536}
    """

    headline: ClassVar[str] = "cosine"
    higher_is_better: ClassVar[bool] = True

    def __init__(self) -> None:
        self.vectors = 0
        self.cosine_sum = 0.0

    def update(self, vectors: Float[Array, "rows width"], targets: Float[Array, "rows width"]) -> None:
        """Adds rows: what was predicted, and what was to be predicted."""
        wanted = np.asarray(targets, dtype=np.float32)
        lengths = np.linalg.norm(wanted, axis=1)
        told = lengths > 0
        given = np.asarray(vectors, dtype=np.float32)[told]
        products = np.einsum("rw,rw->r", given, wanted[told], dtype=np.float64)
        self.cosine_sum += float((products / np.maximum(np.linalg.norm(given, axis=1) * lengths[told], 1e-12)).sum())
        self.vectors += int(told.sum())

    def merge(self, other: "VectorMetrics") -> None:
        """Adds the rows that `other` has seen."""
        self.vectors += other.vectors
        self.cosine_sum += other.cosine_sum

    def compute(self) -> dict[str, Any]:
        """`cosine`, in [-1, 1], and the number of `vectors`. Raises `DataError` where none was seen."""
        require_rows(self.vectors)
        return {"vectors": self.vectors, "cosine": self.cosine_sum / self.vectors}
