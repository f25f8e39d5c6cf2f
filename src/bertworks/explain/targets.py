"""What is explained: a number that a model gives for a batch, as a sum of parts that depend on different sequences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bertworks.batch import Array, PackedBatch

Value = Callable[[Float[Tensor, "points rows outputs"]], Float[Tensor, "points"]]


@dataclass(frozen=True)
class Part:
    """A summand of a target. It depends on some sequences and on no other."""

    sequences: tuple[int, ...]
    value: Value
    """From a head's rows of these sequences, at each point of a line, to the summand."""


@dataclass(frozen=True)
class Term:
    """One score of a head, with a weight."""

    sequence: int
    """Which sequence of the batch."""
    output: int
    """Which output of the head: a label, a vocabulary entry."""
    weight: float = 1.0
    row: int = 0
    """Which of the sequence's rows: 0 for a head that reads one state a sequence, the token's place for one that reads
    tokens."""


@dataclass(frozen=True)
class Target:
    """A weighted sum of a head's scores. The logit of a label is one term; that of a document in windows is one a window;
    that of an entity or an answer is one a token that it consists of."""

    head: str
    terms: tuple[Term, ...]

    def parts(self, batch: PackedBatch, scores: Callable[[], Float[Array, "rows outputs"]], device: torch.device) -> Iterator[Part]:
        """One a sequence."""
        for sequence in sorted({term.sequence for term in self.terms}):
            terms = [term for term in self.terms if term.sequence == sequence]
            weights = torch.tensor([term.weight for term in terms], dtype=torch.float32, device=device)
            yield Part((sequence,), _weighted([term.row for term in terms], [term.output for term in terms], weights))


@dataclass(frozen=True)
class Likeness:
    """How near the vectors of two texts are that are read apart, each text being followed while the other stays as it is.

    F(a, b) = s(a, b₀) / 2 + s(a₀, b) / 2, where a₀ and b₀ are the texts as written and s is the cosine or the dot product of two
    texts' vectors; so F(a₀, b₀) is their similarity. The two are not followed together, because without words they would be the
    same empty text, whose similarity to itself is 1: all words would seem to keep the texts apart.
    """

    head: str
    texts: tuple[tuple[int, ...], tuple[int, ...]]
    """The sequences of each text, whose mean, weighted by their tokens, is its vector."""
    cosine: bool = True
    """Whether s is the cosine, or the dot product."""
    width: int | None = None
    """Features of a vector that count, from the first on; None is all."""

    def parts(self, batch: PackedBatch, scores: Callable[[], Float[Array, "rows outputs"]], device: torch.device) -> Iterator[Part]:
        """One a text. `scores` are the head's for the batch as written."""
        vectors = torch.from_numpy(scores()).to(device)[:, : self.width]
        weights = [torch.from_numpy(batch.lengths[list(text)]).to(vectors) for text in self.texts]
        weights = [weight / weight.sum() for weight in weights]
        written = [weight @ vectors[list(text)] for weight, text in zip(weights, self.texts, strict=True)]
        for text, weight, other in zip(self.texts, weights, reversed(written), strict=True):
            yield Part(text, _nearness(weight, other, self.cosine))


@dataclass(frozen=True)
class Projection:
    """A linear function of a text's vector, w · v + b: what a linear classifier says of it."""

    head: str
    weights: Float[Array, "width"]
    bias: float
    unit: bool
    """Whether the vector, the mean of those of the text's windows weighted by their tokens, is made so long as 1."""

    def parts(self, batch: PackedBatch, scores: Callable[[], Float[Array, "rows outputs"]], device: torch.device) -> Iterator[Part]:
        """One of all windows, which the length 1 joins."""
        weights = torch.from_numpy(np.asarray(self.weights, dtype=np.float32)).to(device)
        shares = torch.from_numpy(batch.lengths / batch.tokens).to(weights)
        yield Part(tuple(range(batch.sequences)), _projected(shares, weights, self.bias, self.unit))


@dataclass(frozen=True)
class Chosen:
    """The logarithm of a sequence's share in the softmax over the head's one score of each sequence: log P of one of several choices.

    All of them are followed together. A score by itself says nothing: a head may raise all of them, which changes no probability.
    """

    head: str
    sequence: int

    def parts(self, batch: PackedBatch, scores: Callable[[], Float[Array, "rows outputs"]], device: torch.device) -> Iterator[Part]:
        """One of all sequences."""
        yield Part(tuple(range(batch.sequences)), lambda rows: rows[:, :, 0].log_softmax(dim=1)[:, self.sequence])


AnyTarget = Target | Likeness | Projection | Chosen


def _weighted(rows: Sequence[int], outputs: Sequence[int], weights: Float[Tensor, "terms"]) -> Value:
    return lambda scores: scores[:, rows, outputs] @ weights


def _projected(shares: Float[Tensor, "sequences"], weights: Float[Tensor, "width"], bias: float, unit: bool) -> Value:
    def value(vectors: Float[Tensor, "points sequences width"]) -> Float[Tensor, "points"]:
        merged = torch.einsum("psw,s->pw", vectors, shares)
        return (F.normalize(merged, dim=1) if unit else merged) @ weights + bias

    return value


def _nearness(weights: Float[Tensor, "sequences"], other: Float[Tensor, "width"], cosine: bool) -> Value:
    """Half of the similarity of the weighted mean of some vectors to another one."""

    def value(vectors: Float[Tensor, "points sequences width"]) -> Float[Tensor, "points"]:
        merged = torch.einsum("psw,s->pw", vectors[..., : len(other)], weights)
        return (F.cosine_similarity(merged, other[None], dim=1) if cosine else merged @ other) / 2

    return value
