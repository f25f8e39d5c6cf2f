"""Losses of vectors that are compared with each other: similarity of pairs, ranking among all of a step, a teacher's vectors.

Each takes the vectors of all texts of a step, and returns the sum over its rows (or texts, for a teacher's): to be divided by
their number. A row's texts have roles: 0 is the first text or anchor, 1 the second or positive, from 2 on negatives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

VectorLossName = Literal["similarity", "ranking", "teacher_cosine", "teacher_squared"]

_ANCHORS_AT_ONCE = 1024
"""Scores of so many anchors with all candidates are in memory together; beyond, they are computed again for the gradient."""


@dataclass(frozen=True)
class VectorLossOptions:
    """What may be set about a loss of vectors."""

    scale: float = 20.0
    """Ranking: factor on cosines before the softmax, the inverse of the temperature."""
    symmetric: bool = False
    """Ranking: whether each positive has to find its anchor, too; both ways count half."""
    dimensions: tuple[int, ...] = ()
    """The loss is the sum of those of the vectors' first so many features, for each of these numbers (Kusupati et al. 2022,
    "Matryoshka representation learning"); empty is of the whole vectors alone."""


@dataclass(frozen=True)
class TextsOfStep:
    """The texts of a step, in the order of their rows and roles, and which vectors of sequences are theirs."""

    text_of_sequence: Int[Tensor, "sequences"]
    """Which text each sequence is of, or is a window of."""
    weights: Float[Tensor, "sequences"]
    """The share of each window in its text's vector."""
    unit: bool
    """Whether vectors have the length 1, those that windows are merged to as well."""
    roles: Int[Tensor, "texts"]
    same: Int[Tensor, "texts"]
    """Equal numbers are equal texts."""
    targets: Float[Tensor, "texts ..."]
    """The score of the row of each text, or the teacher's vector."""

    def merge(self, vectors: Float[Tensor, "sequences width"]) -> Float[Tensor, "texts width"]:
        """The vectors of whole texts: means of their windows', weighted by token counts."""
        merged = torch.zeros(len(self.roles), vectors.shape[1], device=vectors.device)
        merged = merged.index_add(0, self.text_of_sequence, vectors.float() * self.weights[:, None])
        return F.normalize(merged, dim=1) if self.unit and len(vectors) > len(merged) else merged


def vector_loss(
    name: VectorLossName, vectors: Float[Tensor, "sequences width"], texts: TextsOfStep, options: VectorLossOptions
) -> Float[Tensor, ""]:
    """The sum of a step's loss, given the vectors of its sequences."""
    merged = texts.merge(vectors)
    loss = _LOSSES[name]
    prefixes: Sequence[int] = options.dimensions or (merged.shape[1],)
    return torch.stack([loss(merged[:, :size], texts, options) for size in prefixes]).sum()


def rows_counted(name: VectorLossName, texts: TextsOfStep) -> float:
    """What the sum is to be divided by: the rows of the step, or its texts where each has a target of its own."""
    return float(len(texts.roles) if name.startswith("teacher") else (texts.roles == 0).sum())


def _similarity(vectors: Float[Tensor, "texts width"], texts: TextsOfStep, options: VectorLossOptions) -> Float[Tensor, ""]:
    """The squared error of the cosine of a row's two texts (Reimers & Gurevych 2019, section 3.1)."""
    first, second = vectors[texts.roles == 0], vectors[texts.roles == 1]
    return ((F.cosine_similarity(first, second, dim=1) - texts.targets[texts.roles == 0]) ** 2).sum()


def _ranking(vectors: Float[Tensor, "texts width"], texts: TextsOfStep, options: VectorLossOptions) -> Float[Tensor, ""]:
    """Each anchor has to find its positive among all positives and negatives of the step (Henderson et al. 2017; van den Oord
    et al. 2018: InfoNCE). What is no negative by its text is left out: a candidate that equals the anchor or its positive, and
    the positive of an equal anchor.
    """
    unit = F.normalize(vectors, dim=1)
    anchor, positive, negative = texts.roles == 0, texts.roles == 1, texts.roles > 1
    anchors, candidates = unit[anchor], torch.cat([unit[positive], unit[negative]])
    same_anchor, same_positive = texts.same[anchor], texts.same[positive]
    same_candidate = torch.cat([same_positive, texts.same[negative]])
    anchor_of_candidate = torch.cat([same_anchor, torch.full_like(texts.same[negative], -1)])

    def forward(rows: Tensor) -> Bool[Tensor, "some candidates"]:
        own, wanted = same_anchor[rows, None], same_positive[rows, None]
        return (same_candidate == own) | (same_candidate == wanted) | (anchor_of_candidate == own)

    loss = _softmax_loss(anchors, candidates, forward, options.scale)
    if not options.symmetric:
        return loss

    def backward(rows: Tensor) -> Bool[Tensor, "some anchors"]:
        own, wanted = same_positive[rows, None], same_anchor[rows, None]
        return (same_anchor == own) | (same_anchor == wanted) | (same_positive == own)

    return (loss + _softmax_loss(unit[positive], anchors, backward, options.scale)) / 2


def _softmax_loss(
    rows: Float[Tensor, "rows width"],
    candidates: Float[Tensor, "candidates width"],
    left_out: Callable[[Tensor], Bool[Tensor, "some candidates"]],
    scale: float,
) -> Float[Tensor, ""]:
    """The cross-entropy of row i finding candidate i, among all that are not left out for it."""

    def part(some: Tensor, some_rows: Tensor, candidates: Tensor) -> Tensor:
        scores = some_rows @ candidates.T * scale
        hidden = left_out(some)
        hidden[torch.arange(len(some), device=some.device), some] = False
        return F.cross_entropy(scores.masked_fill(hidden, -torch.inf), some, reduction="sum")

    numbers = torch.arange(len(rows), device=rows.device)
    if len(rows) <= _ANCHORS_AT_ONCE:
        return part(numbers, rows, candidates)
    parts = [
        checkpoint(part, some, rows[some], candidates, use_reentrant=False, preserve_rng_state=False)
        for some in numbers.split(_ANCHORS_AT_ONCE)
    ]
    return torch.stack(parts).sum()


def _teacher_cosine(vectors: Float[Tensor, "texts width"], texts: TextsOfStep, options: VectorLossOptions) -> Float[Tensor, ""]:
    targets = texts.targets[:, : vectors.shape[1]].to(vectors)
    return (1 - F.cosine_similarity(vectors, targets, dim=1)).sum()


def _teacher_squared(vectors: Float[Tensor, "texts width"], texts: TextsOfStep, options: VectorLossOptions) -> Float[Tensor, ""]:
    """The mean over features of the squared differences (Reimers & Gurevych 2020, section 2)."""
    targets = texts.targets[:, : vectors.shape[1]].to(vectors)
    return (vectors - targets).square().mean(dim=1).sum()


_LOSSES: dict[VectorLossName, Callable[[Tensor, TextsOfStep, VectorLossOptions], Tensor]] = {
    "similarity": _similarity,
    "ranking": _ranking,
    "teacher_cosine": _teacher_cosine,
    "teacher_squared": _teacher_squared,
}
VECTOR_LOSSES = frozenset(_LOSSES)
"""Names of losses that need the vectors of a whole step."""
