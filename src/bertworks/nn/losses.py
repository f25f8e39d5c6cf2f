"""Losses as (sum, count) pairs, so that any split of a step into batches gives the same gradient.

`count` is what the step's sum is divided by; it depends on the targets alone, so a step knows it before it runs.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.nn.heads import IGNORED

LossPair = tuple[Tensor, Tensor]


def cross_entropy(
    scores: Float[Tensor, "rows labels"],
    labels: Int[Tensor, "rows"],
    weights: Float[Tensor, "rows"] | None = None,
    class_weights: Float[Tensor, "labels"] | None = None,
    smoothing: float = 0.0,
) -> LossPair:
    """Cross-entropy of one label a row; rows labelled -100 do not count.

    A row counts with its weight times its class's weight. `smoothing` mixes the target with the uniform
    distribution over the labels (Szegedy et al. 2016, section 7).
    """
    seen = labels != IGNORED
    row_weights = seen.float() if weights is None else weights * seen
    if class_weights is not None:
        row_weights = row_weights * class_weights[labels.clamp(min=0)]
    each = F.cross_entropy(scores, labels, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none")
    return (each * row_weights).sum(), row_weights.sum()


def binary_cross_entropy(
    scores: Float[Tensor, "rows labels"],
    labels: Float[Tensor, "rows labels"],
    weights: Float[Tensor, "rows"] | None = None,
    class_weights: Float[Tensor, "labels"] | None = None,
    smoothing: float = 0.0,
) -> LossPair:
    """Cross-entropy of several independent labels a row, averaged over the labels."""
    targets = labels.float() * (1 - smoothing) + smoothing / 2
    each = F.binary_cross_entropy_with_logits(scores, targets, weight=class_weights, reduction="none").mean(1)
    row_weights = torch.ones_like(each) if weights is None else weights
    return (each * row_weights).sum(), row_weights.sum()


def mean_squared_error(
    scores: Float[Tensor, "rows 1"], labels: Float[Tensor, "rows"], weights: Float[Tensor, "rows"] | None = None, **_: object
) -> LossPair:
    """Squared difference of one number a row."""
    each = (scores[:, 0] - labels.float()) ** 2
    row_weights = torch.ones_like(each) if weights is None else weights
    return (each * row_weights).sum(), row_weights.sum()


LOSSES: dict[str, Callable[..., LossPair]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mean_squared_error": mean_squared_error,
}
