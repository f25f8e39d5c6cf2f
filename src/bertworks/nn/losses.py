"""Losses as (sum, count), so that any split of a step into batches gives the same gradient.

A row's loss is multiplied with its weight; `count` is the sum of the weights. The weights depend on the targets
alone, so a step knows what to divide by before it computes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.nn.heads import IGNORED


@dataclass(frozen=True)
class LossOptions:
    """What may be set about a loss."""

    class_weights: Float[Tensor, "labels"] | None = None
    smoothing: float = 0.0
    """Share of the target that is spread evenly over the labels (Szegedy et al. 2016, section 7)."""


def _cross_entropy(scores: Float[Tensor, "rows labels"], labels: Int[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    return F.cross_entropy(scores, labels, ignore_index=IGNORED, label_smoothing=options.smoothing, reduction="none")


def _label_weights(labels: Int[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    seen = (labels != IGNORED).float()
    return seen if options.class_weights is None else seen * options.class_weights[labels.clamp(min=0)]


def _binary_cross_entropy(
    scores: Float[Tensor, "rows labels"], labels: Float[Tensor, "rows labels"], options: LossOptions
) -> Float[Tensor, "rows"]:
    targets = labels * (1 - options.smoothing) + options.smoothing / 2
    return F.binary_cross_entropy_with_logits(scores, targets, weight=options.class_weights, reduction="none").mean(1)


def _squared_error(scores: Float[Tensor, "rows 1"], labels: Float[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    return (scores[:, 0] - labels) ** 2


def _all_alike(labels: Tensor, options: LossOptions) -> Float[Tensor, "rows"]:
    return torch.ones(len(labels), device=labels.device)


@dataclass(frozen=True)
class Loss:
    """A loss by its two parts: what each row loses, and what each row weighs."""

    each: Callable[[Tensor, Tensor, LossOptions], Tensor]
    weigh: Callable[[Tensor, LossOptions], Tensor]
    options: LossOptions = field(default_factory=LossOptions)

    def sum(self, scores: Float[Tensor, "rows outputs"], labels: Tensor, weights: Float[Tensor, "rows"] | None = None) -> Float[Tensor, ""]:
        return (self.each(scores, labels, self.options) * self._weights(labels, weights)).sum()

    def count(self, labels: Tensor, weights: Float[Tensor, "rows"] | None = None) -> float:
        return float(self._weights(labels, weights).sum())

    def _weights(self, labels: Tensor, weights: Tensor | None) -> Tensor:
        own = self.weigh(labels, self.options)
        return own if weights is None else own * weights


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, _label_weights),
    "binary_cross_entropy": Loss(_binary_cross_entropy, _all_alike),
    "mean_squared_error": Loss(_squared_error, _all_alike),
}


def build_loss(name: str, options: LossOptions) -> Loss:
    """The loss `name` with options: cross_entropy (one label a row), binary_cross_entropy (several), mean_squared_error."""
    return Loss(LOSSES[name].each, LOSSES[name].weigh, options)
