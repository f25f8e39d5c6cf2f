"""Losses as (sum, count), so that any split of a step into batches gives the same gradient.

A row's loss is multiplied with its weight; `count` is the sum of the weights. The weights depend on the targets
alone, so a step knows what to divide by before it computes anything.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from bertworks.nn.heads import IGNORED
from bertworks.nn.layout import Layout


@dataclass(frozen=True)
class LossOptions:
    """What may be set about a loss."""

    class_weights: Float[Tensor, "labels"] | None = None
    smoothing: float = 0.0
    """Share of the target that is spread evenly over the labels (Szegedy et al. 2016, section 7)."""
    weight: float = 1.0
    """Factor on the loss where several are summed."""
    heads: int = 1
    """Of relations: into how many the widths of both models are divided."""
    temperature: float = 1.0
    """Of a teacher's scores (`nn/soft_losses.py`): what both models' scores are divided by before they are compared."""


def _cross_entropy(scores: Float[Tensor, "rows labels"], labels: Int[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    if scores.shape[1] < _MANY_LABELS or options.smoothing:
        return F.cross_entropy(scores.float(), labels, ignore_index=IGNORED, label_smoothing=options.smoothing, reduction="none")
    return _CrossEntropyOfMany.apply(scores, labels)  # type: ignore[no-any-return,no-untyped-call]


_MANY_LABELS = 4096
_VALUES_AT_ONCE = 1 << 18
"""Scores that are turned to float32 together: they stay in a core's cache."""


class _CrossEntropyOfMany(torch.autograd.Function):
    """Cross-entropy over a vocabulary, some rows at a time.

    PyTorch's makes three whole copies of the scores in float32; here the scores stay in the dtype they came in, and
    only parts of them are ever widened. Half the time, a sixth of the memory (`benchmarks/kernels.py`).
    """

    @staticmethod
    def forward(ctx: Any, scores: Float[Tensor, "rows labels"], labels: Int[Tensor, "rows"]) -> Float[Tensor, "rows"]:
        totals = torch.empty(len(scores), device=scores.device)
        for rows in _parts(scores):
            totals[rows] = scores[rows].float().logsumexp(1)
        seen = labels != IGNORED
        own = scores.gather(1, labels.clamp(min=0)[:, None])[:, 0].float()
        ctx.save_for_backward(scores, labels, totals)
        return torch.where(seen, totals - own, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        scores, labels, totals = ctx.saved_tensors
        factor = torch.where(labels != IGNORED, gradients[0], 0.0)[:, None]
        out = torch.empty_like(scores)
        for rows in _parts(scores):
            of_rows = scores[rows].float().sub_(totals[rows, None]).exp_()
            of_rows[torch.arange(len(of_rows), device=scores.device), labels[rows].clamp(min=0)] -= 1
            out[rows] = of_rows.mul_(factor[rows])
        return out, None


def _parts(scores: Tensor) -> Iterator[slice]:
    step = max(1, _VALUES_AT_ONCE // scores.shape[1]) if scores.device.type == "cpu" else max(1, len(scores))
    return (slice(start, start + step) for start in range(0, len(scores), step))


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


def _cosine_distance(
    scores: Float[Tensor, "rows width"], targets: Float[Tensor, "rows width"], options: LossOptions
) -> Float[Tensor, "rows"]:
    return 1 - F.cosine_similarity(scores, targets.float(), dim=1)


def _where_a_target_is(targets: Float[Tensor, "rows width"], options: LossOptions) -> Float[Tensor, "rows"]:
    """A target of zero points nowhere: the row has none."""
    return (targets != 0).any(1).float()


def _replaced(scores: Float[Tensor, "tokens 2"], keys: Int[Tensor, "tokens"], options: LossOptions) -> Float[Tensor, "tokens"]:
    """Binary cross-entropy of the first column, of which the second tells what it should say (`nn/replaced_tokens.py`); the
    keys, by which the tokens were drawn, say no more than that each token counts."""
    return F.binary_cross_entropy_with_logits(scores[:, 0], scores[:, 1], reduction="none")


def log_totals(values: Float[Tensor, "rows outputs"], group: Int[Tensor, "rows"], groups: int) -> Float[Tensor, "groups outputs"]:
    """The logarithm of the sum of the exponentials over the rows of each group."""
    empty = torch.zeros(groups, values.shape[1], device=values.device)
    highest = (empty - torch.inf).scatter_reduce(0, group[:, None].expand_as(values), values.detach(), "amax")
    return highest + empty.index_add(0, group, (values - highest[group]).exp()).log()


def _choice(scores: Float[Tensor, "rows 1"], labels: Int[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    """Cross-entropy over the rows of a group, at the row that is the right one. `labels` are 2 · group, and 1 more for the
    right row (`choice_labels`)."""
    _, group = torch.unique(labels // 2, return_inverse=True)
    values = scores.float()
    return (log_totals(values, group, int(group.max()) + 1)[group] - values)[:, 0]


def _is_right(labels: Int[Tensor, "rows"], options: LossOptions) -> Float[Tensor, "rows"]:
    return (labels % 2).float()


def all_alike(labels: Tensor, options: LossOptions) -> Float[Tensor, "rows"]:
    return torch.ones(len(labels), device=labels.device)


@runtime_checkable
class AnyLoss(Protocol):
    """What training asks of a loss. `layout` tells where each sequence of the batch begins, for losses that need to know."""

    def sum(self, scores: Tensor, labels: Tensor, weights: Tensor | None = None, layout: Layout | None = None) -> Float[Tensor, ""]: ...

    def count(self, labels: Tensor, weights: Tensor | None = None, layout: Layout | None = None) -> float: ...


@dataclass(frozen=True)
class Loss:
    """A loss by its two parts: what each row loses, and what each row weighs."""

    each: Callable[[Tensor, Tensor, LossOptions], Tensor]
    weigh: Callable[[Tensor, LossOptions], Tensor]
    options: LossOptions = field(default_factory=LossOptions)

    def sum(
        self, scores: Float[Tensor, "rows outputs"], labels: Tensor, weights: Float[Tensor, "rows"] | None = None, layout: Any = None
    ) -> Float[Tensor, ""]:
        return (self.each(scores, labels, self.options) * self._weights(labels, weights)).sum() * self.options.weight

    def count(self, labels: Tensor, weights: Float[Tensor, "rows"] | None = None, layout: Any = None) -> float:
        return float(self._weights(labels, weights).sum())

    def _weights(self, labels: Tensor, weights: Tensor | None) -> Tensor:
        own = self.weigh(labels, self.options)
        return own if weights is None else own * weights


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, _label_weights),
    "binary_cross_entropy": Loss(_binary_cross_entropy, all_alike),
    "mean_squared_error": Loss(_squared_error, all_alike),
    "cosine_distance": Loss(_cosine_distance, _where_a_target_is),
    "replaced_tokens": Loss(_replaced, all_alike),
    "choice": Loss(_choice, _is_right),
}
LOSSES_OF_GROUPS = frozenset(["choice", "choice_divergence"])
"""Losses that compare the sequences of a group: batches must not cut one."""


@dataclass(frozen=True)
class TokenChoice:
    """Which token of its sequence is the one, for each output of a head: cross-entropy over the tokens of a sequence.

    This is how the ends of an answer are learnt (Devlin et al. 2019, section 4.2). Labels are marks, `[tokens, outputs]`: 1 at
    the token that is the one (shares of 1 where several are), 0 at those that it could have been, `IGNORED` at those that it
    could not, which stay out of the softmax. A sequence loses the mean over the outputs; its weight, one a sequence,
    counts where it has a mark above 0.
    """

    options: LossOptions = field(default_factory=LossOptions)

    def sum(
        self,
        scores: Float[Tensor, "tokens outputs"],
        labels: Shaped[Tensor, "tokens outputs"],
        weights: Float[Tensor, "sequences"] | None = None,
        layout: Layout | None = None,
    ) -> Float[Tensor, ""]:
        assert layout is not None, "a loss over the tokens of a sequence needs the layout"
        allowed, marks = labels != IGNORED, labels.clamp(min=0).float()
        values = scores.float().masked_fill(~allowed, -torch.inf)
        numbers = layout.sequence_of_token(scores.device)
        empty = torch.zeros(layout.sequences, scores.shape[1], device=scores.device)
        totals = log_totals(values, numbers, layout.sequences)
        own = empty.index_add(0, numbers, torch.where(allowed, scores.float() * marks, 0.0))
        each = (totals * empty.index_add(0, numbers, marks) - own).mean(1)
        seen = self._weights(labels, weights, layout)
        return torch.where(seen > 0, each * seen, 0.0).sum() * self.options.weight

    def count(
        self, labels: Shaped[Tensor, "tokens outputs"], weights: Float[Tensor, "sequences"] | None = None, layout: Layout | None = None
    ) -> float:
        assert layout is not None, "a loss over the tokens of a sequence needs the layout"
        return float(self._weights(labels, weights, layout).sum())

    def _weights(self, labels: Tensor, weights: Tensor | None, layout: Layout) -> Float[Tensor, "sequences"]:
        marked = (labels > 0).any(1).float()
        found = torch.zeros(layout.sequences, device=labels.device).index_add(0, layout.sequence_of_token(labels.device), marked)
        seen = (found > 0).float()
        return seen if weights is None else seen * weights


def build_loss(name: str, options: LossOptions) -> AnyLoss:
    """The loss `name` with options: cross_entropy (one label a row), binary_cross_entropy (several), mean_squared_error,
    cosine_distance (a vector a row), replaced_tokens (a mark that comes with the score), choice (one row of each group),
    token_choice (a token of each sequence)."""
    return TokenChoice(options) if name == "token_choice" else Loss(LOSSES[name].each, LOSSES[name].weigh, options)
