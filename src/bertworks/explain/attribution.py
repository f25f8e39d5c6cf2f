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
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from bertworks.batch import Array, PackedBatch
from bertworks.explain.line import MOST_INTERVALS, Line
from bertworks.explain.targets import AnyTarget
from bertworks.inference import score
from bertworks.nn.model import Model

FEWEST_INTERVALS = 16
TOLERANCE = 1e-3
_SMALL = 0.1
"""Where attributions nearly cancel, the error is measured by this share of their sizes, not by their small sum."""


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
    nearly cancel); summed over the target's parts without cancelling."""


def integrated_gradients(
    model: Model,
    batch: PackedBatch,
    target: AnyTarget,
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
        parts = target.parts(batch, lambda: score(model, batch, device=device, token_budget=token_budget)[target.head], device)
        lines = [Line(model, batch, target.head, part, baseline, kept, device, token_budget) for part in parts]
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


def _summed(lines: Sequence[Line], batch: PackedBatch, intervals: int) -> TokenAttributions:
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
