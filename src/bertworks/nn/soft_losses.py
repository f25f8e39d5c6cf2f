"""Losses by which a model learns what another one says: all of its scores, not the best of them alone.

Hinton, Vinyals & Dean 2015 ("Distilling the knowledge in a neural network", section 2): both models' scores are divided by a
temperature T before the softmax, so that the small probabilities of a sure teacher count too; what is lost is the
Kullback-Leibler divergence of the student from the teacher, times T², for its gradients shrink with 1/T². "Labels" are the
teacher's scores here, as its head gives them.
"""

from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.nn.layout import Layout
from bertworks.nn.losses import AnyLoss, Loss, LossOptions, all_alike, log_totals

GROUP_SPAN = 1 << 20
"""Numbers of groups stand beside scores in float32, in two parts: this often, and the rest. So any number is exact."""


def _divergence(scores: Float[Tensor, "rows labels"], wanted: Float[Tensor, "rows labels"], options: LossOptions) -> Float[Tensor, "rows"]:
    """KL(teacher ‖ student) over the labels of each row."""
    own, theirs = (F.log_softmax(values.float() / options.temperature, dim=1) for values in (scores, wanted))
    return (theirs.exp() * (theirs - own)).sum(1) * options.temperature**2


def _binary_divergence(
    scores: Float[Tensor, "rows labels"], wanted: Float[Tensor, "rows labels"], options: LossOptions
) -> Float[Tensor, "rows"]:
    """KL(teacher ‖ student) of each label's two outcomes: the mean over the labels."""
    own, theirs = scores.float() / options.temperature, wanted.float() / options.temperature
    of = partial(F.binary_cross_entropy_with_logits, target=torch.sigmoid(theirs), reduction="none")
    return (of(own) - of(theirs)).mean(1) * options.temperature**2


@dataclass(frozen=True)
class TokenDivergence:
    """KL(teacher ‖ student) over the tokens of each sequence, for each output of a head; a sequence loses the mean over the
    outputs. Of tokens that cannot be the one the teacher's score is minus infinity: they stay out of both softmaxes."""

    options: LossOptions = field(default_factory=LossOptions)

    def sum(
        self,
        scores: Float[Tensor, "tokens outputs"],
        labels: Float[Tensor, "tokens outputs"],
        weights: Float[Tensor, "sequences"] | None = None,
        layout: Layout | None = None,
    ) -> Float[Tensor, ""]:
        assert layout is not None, "a loss over the tokens of a sequence needs the layout"
        numbers = layout.sequence_of_token(scores.device)
        lost = _lost_in_groups(scores, labels, numbers, layout.sequences, self.options.temperature)
        each = torch.zeros(layout.sequences, device=scores.device).index_add(0, numbers, lost.mean(1))
        return (each if weights is None else each * weights).sum() * self.options.weight

    def count(self, labels: Tensor, weights: Float[Tensor, "sequences"] | None = None, layout: Layout | None = None) -> float:
        assert layout is not None, "a loss over the tokens of a sequence needs the layout"
        return float(layout.sequences if weights is None else weights.sum())


@dataclass(frozen=True)
class ChoiceDivergence:
    """KL(teacher ‖ student) over the rows of each group. Labels, `[rows, 3]`, are the number of a row's group (see `GROUP_SPAN`)
    and the teacher's score; batches must not cut a group."""

    options: LossOptions = field(default_factory=LossOptions)

    def sum(
        self,
        scores: Float[Tensor, "rows 1"],
        labels: Float[Tensor, "rows 3"],
        weights: Tensor | None = None,
        layout: Layout | None = None,
    ) -> Float[Tensor, ""]:
        groups, numbers = self._groups(labels)
        return _lost_in_groups(scores, labels[:, 2:], numbers, len(groups), self.options.temperature).sum() * self.options.weight

    def count(self, labels: Float[Tensor, "rows 3"], weights: Tensor | None = None, layout: Layout | None = None) -> float:
        return float(len(self._groups(labels)[0]))

    def _groups(self, labels: Float[Tensor, "rows 3"]) -> tuple[Tensor, Int[Tensor, "rows"]]:
        """The groups of a batch, and which of them each row is in."""
        groups, numbers = torch.unique(labels[:, 0].long() * GROUP_SPAN + labels[:, 1].long(), return_inverse=True)
        return groups, numbers


def _lost_in_groups(
    scores: Float[Tensor, "rows outputs"],
    wanted: Float[Tensor, "rows outputs"],
    group: Int[Tensor, "rows"],
    groups: int,
    temperature: float,
) -> Float[Tensor, "rows outputs"]:
    """What each row adds to the divergence of its group, times the temperature squared; 0 where the teacher's score is infinite."""
    allowed = wanted != -torch.inf
    own = _log_shares((scores.float() / temperature).masked_fill(~allowed, -torch.inf), group, groups)
    theirs = _log_shares(wanted.float() / temperature, group, groups)
    return torch.where(allowed, theirs.exp() * (theirs - own), 0.0) * temperature**2


def _log_shares(values: Float[Tensor, "rows outputs"], group: Int[Tensor, "rows"], groups: int) -> Float[Tensor, "rows outputs"]:
    """The logarithm of the softmax over the rows of each group."""
    return values - log_totals(values, group, groups)[group]


SOFT_LOSSES = ("divergence", "binary_divergence", "token_divergence", "choice_divergence")


def build_soft_loss(name: str, options: LossOptions) -> AnyLoss:
    """The loss `name`, one of `SOFT_LOSSES`: divergence (over the labels of a row), binary_divergence (several labels, each by
    itself), token_divergence (over the tokens of a sequence), choice_divergence (over the rows of a group)."""
    if name == "token_divergence":
        return TokenDivergence(options)
    if name == "choice_divergence":
        return ChoiceDivergence(options)
    return Loss({"divergence": _divergence, "binary_divergence": _binary_divergence}[name], all_alike, options)
