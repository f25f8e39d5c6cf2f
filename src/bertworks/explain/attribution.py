"""Integrated gradients (Sundararajan et al. 2017): how much each token adds to a score.

The score of a model is followed along the straight line from a baseline, in which every token of the text is replaced by
one that says nothing, to the text itself. A token's attribution is the integral of the score's gradient by the token's
vector along that line, times the way that the vector goes (equation 1). What is varied is the vector that the token is
looked up as; positions, segments and special tokens stay. The attributions add up to F(text) − F(baseline)
(proposition 1, completeness), which is checked, and the integral is refined until that holds.

The points of the line are simply more packed sequences. All is computed in float32, whatever the model is served in.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.explain import quadrature
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model

FEWEST_INTERVALS = 16
MOST_INTERVALS = 512
TOLERANCE = 1e-3
_SMALL = 0.1
"""Where attributions nearly cancel, the error is measured by this share of their sizes, not by their small sum."""


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
    """What is explained: a weighted sum of a head's scores. The logit of a label is one term; that of a document in
    windows is one a window; that of an entity or an answer is one a token that it consists of."""

    head: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class TokenAttributions:
    """What each token adds to the target."""

    values: Float[Array, "tokens"]
    """Of all tokens of the batch, in float64; 0 for those that are the same in the baseline."""
    score: float
    """The target's value for the text, in float32 …"""
    baseline_score: float
    """… and for the baseline."""
    points: int
    """Points of the line at which the gradient was computed."""
    error: float
    """By how much the attributions miss F(text) − F(baseline), relative to it (or to a tenth of their sizes, where these
    nearly cancel); summed over the sequences without cancelling."""


def integrated_gradients(
    model: Model,
    batch: PackedBatch,
    target: Target,
    *,
    baseline: int | None,
    kept: Bool[Array, "tokens"],
    device: torch.device,
    token_budget: int,
    tolerance: float = TOLERANCE,
    progress: Callable[[int], None] | None = None,
) -> TokenAttributions:
    """Attributions of the target to the tokens of a batch.

    `baseline` is the id of the token that stands for nothing, None for a vector of zeros; the tokens `kept` (special
    ones) are the same in the baseline. At most `token_budget` tokens, or one sequence, are computed at once. The number
    of intervals is doubled until the error is below `tolerance`, or they are 512; whoever asked compares `error` with
    it. `progress` is called with the number of points before they are computed.
    """
    with _in_float32(model.to(device)):
        lines = [
            _Line(model, batch, sequence, target, baseline, kept, device, token_budget)
            for sequence in sorted({term.sequence for term in target.terms})
        ]
        intervals = FEWEST_INTERVALS
        while True:
            if progress is not None:
                progress(intervals + 1)
            for line in lines:
                line.refine(intervals)
            result = _summed(lines, batch, intervals)
            if result.error <= tolerance or intervals >= MOST_INTERVALS:
                return result
            intervals *= 2


class _Line:
    """One sequence on its way from the baseline to itself."""

    def __init__(
        self,
        model: Model,
        batch: PackedBatch,
        sequence: int,
        target: Target,
        baseline: int | None,
        kept: Bool[Array, "tokens"],
        device: torch.device,
        token_budget: int,
    ) -> None:
        self._model, self._device, self._head = model, device, target.head
        self.tokens = slice(int(batch.offsets[sequence]), int(batch.offsets[sequence + 1]))
        self._sequence = batch.take([sequence])
        self._at_once = max(1, token_budget // self._sequence.tokens)
        terms = [term for term in target.terms if term.sequence == sequence]
        self._rows, self._outputs = [term.row for term in terms], [term.output for term in terms]
        self._weights = torch.tensor([term.weight for term in terms], dtype=torch.float32, device=device)
        table = model.encoder.embeddings.token.weight.detach()
        end = table[torch.from_numpy(self._sequence.input_ids).to(device)]
        self._start = torch.zeros_like(end) if baseline is None else table[baseline].expand_as(end).clone()
        same = torch.from_numpy(np.ascontiguousarray(kept[self.tokens])).to(device)
        self._start[same] = end[same]
        self._way = end - self._start
        # the points of the finest rule, of which those of a coarser one are every second, fourth …
        self._done = np.zeros(MOST_INTERVALS + 1, dtype=bool)
        self._scores = np.zeros(MOST_INTERVALS + 1)
        self._products = np.zeros((MOST_INTERVALS + 1, self._sequence.tokens))

    def refine(self, intervals: int) -> None:
        """Computes the points of a rule that are not computed yet."""
        wanted = np.arange(0, MOST_INTERVALS + 1, MOST_INTERVALS // intervals)
        missing = wanted[~self._done[wanted]]
        for chosen in np.split(missing, np.arange(self._at_once, len(missing), self._at_once)):
            self._scores[chosen], self._products[chosen] = self._at(quadrature.points(MOST_INTERVALS)[chosen])
            self._done[chosen] = True

    def integral(self, intervals: int) -> Float[Array, "length"]:
        """The attributions by the rule of so many intervals."""
        return np.asarray(quadrature.weights(intervals) @ self._products[:: MOST_INTERVALS // intervals])

    @property
    def ends(self) -> tuple[float, float]:
        """The target at the baseline and at the text."""
        return float(self._scores[0]), float(self._scores[-1])

    def _at(self, places: Float[Array, "points"]) -> tuple[Float[Array, "points"], Float[Array, "points length"]]:
        """The target, and each token's gradient times its way, at some places of the line."""
        copies, length = len(places), self._sequence.tokens
        share = torch.from_numpy(places.astype(np.float32)).to(self._device)[:, None, None]
        vectors = (self._start + share * self._way).reshape(copies * length, -1).requires_grad_()
        inputs = replace(model_inputs(self._sequence.take(np.zeros(copies)), self._device), token_vectors=vectors)
        scores = self._model(inputs)[self._head]
        values = scores.view(copies, -1, scores.shape[1])[:, self._rows, self._outputs] @ self._weights
        (gradient,) = torch.autograd.grad(values.sum(), vectors)
        products = (gradient.view(copies, length, -1) * self._way).sum(-1)
        return _numpy(values), _numpy(products)


def _summed(lines: Sequence[_Line], batch: PackedBatch, intervals: int) -> TokenAttributions:
    values = np.zeros(batch.tokens)
    before, after = np.array([line.ends for line in lines]).T
    missed = 0.0
    for line, rise in zip(lines, after - before, strict=True):
        values[line.tokens] = line.integral(intervals)
        missed += abs(float(values[line.tokens].sum() - rise))
    size = max(abs(float((after - before).sum())), _SMALL * float(np.abs(values).sum()))
    return TokenAttributions(
        values=values,
        score=float(after.sum()),
        baseline_score=float(before.sum()),
        points=intervals + 1,
        error=missed / size if size else missed,
    )


@contextmanager
def _in_float32(model: Model) -> Iterator[None]:
    """The model computes in float32, and keeps nothing for gradients of its weights, which nobody wants here."""
    dtype = model.encoder.compute_dtype
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.compute_in(torch.float32)
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        model.compute_in(dtype)
        for parameter in wanted:
            parameter.requires_grad_(True)


def _numpy(x: Tensor) -> Array:
    return x.detach().double().cpu().numpy()
