"""The steps of a training: which batches they are computed in, and their gradients."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bertworks.batch import Array, PackedBatch
from bertworks.data.prefetch import prefetch
from bertworks.data.sampler import Sampler, cut_by_tokens
from bertworks.inference.memory import TokenBudget
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs, model_inputs
from bertworks.nn.losses import AnyLoss, LossOptions, build_loss
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.nn.relations import AttentionRelations, RelationHead
from bertworks.nn.soft_losses import SOFT_LOSSES, build_soft_loss
from bertworks.nn.tag_sequences import TAG_SEQUENCES, TagSequences
from bertworks.tasks.task import Task
from bertworks.training.config import TrainingConfig

Share = tuple[int, int]
"""Which part of a step, from 0, and of how many: each process that takes part in a training computes its own."""

WHOLE: Share = (0, 1)


@dataclass(frozen=True)
class Step:
    """A step's batches, or a share of them, as they were cut for a token budget."""

    number: int
    token_budget: int
    batches: list[ModelInputs]

    @property
    def tokens(self) -> int:
        return sum(len(batch.input_ids) for batch in self.batches)


class Batches(Protocol):
    """Where the steps of a training come from: functions of their number, so that any can be made, and made again, at any
    time."""

    @property
    def per_epoch(self) -> int:
        """Steps in which all of the data have been seen once."""
        ...

    def step(self, number: int, token_budget: int, share: Share = WHOLE) -> list[PackedBatch]:
        """The batches of a share of step `number` (from 0), each of at most so many tokens; a share may be empty."""
        ...


class ShuffledRows:
    """The rows of an encoded data set, shuffled anew in every epoch (`Sampler`).

    With `whole_groups`, for losses that compare the sequences of a group, no batch cuts one.
    """

    def __init__(self, data: PackedBatch, *, batch_size: int, seed: int, whole_groups: bool = False) -> None:
        self._data, self._whole_groups = data, whole_groups
        self._sampler = Sampler(data.groups, data.lengths, batch_size=batch_size, seed=seed)

    @property
    def per_epoch(self) -> int:
        return self._sampler.steps_per_epoch

    def step(self, number: int, token_budget: int, share: Share = WHOLE) -> list[PackedBatch]:
        if self._whole_groups:
            return self._step_of_groups(number, token_budget, share)
        batches = self._sampler.step(number, token_budget)
        if share != WHOLE:
            sequences = dealt(np.concatenate(batches), share)
            batches = [sequences[part] for part in cut_by_tokens(self._data.lengths[sequences], token_budget)]
        return [self._data.take(sequences) for sequences in batches]

    def _step_of_groups(self, number: int, token_budget: int, share: Share) -> list[PackedBatch]:
        groups, lengths = self._sampler.groups_of(number), self._data.lengths
        sizes = np.array([int(lengths[group].sum()) for group in groups])
        own = dealt(np.argsort(sizes, kind="stable"), share)
        batches = [np.concatenate([groups[i] for i in own[part].tolist()]) for part in cut_by_tokens(sizes[own], token_budget)]
        return [self._data.take(batch[np.argsort(lengths[batch], kind="stable")]) for batch in batches]


def dealt(sequences: Int[Array, "sequences"], share: Share) -> Int[Array, "dealt"]:
    """One of several shares of what is sorted by size: dealt to and fro from the largest, so that all are about equally large.

    >>> [dealt(np.arange(7), (which, 3)).tolist() for which in range(3)]
    [[0, 1, 6], [2, 5], [3, 4]]
    """
    which, shares = share
    rounds, places = np.divmod(np.arange(len(sequences))[::-1], shares)
    own: Array = sequences[np.where(rounds % 2 == 0, places, shares - 1 - places) == which]
    return own


class Steps:
    """Makes steps ready for the model, or the share of each that one of several processes computes."""

    def __init__(self, batches: Batches, config: TrainingConfig, machine: MachineChoice, share: Share = WHOLE) -> None:
        self._batches, self._seed, self._device, self._share = batches, config.seed, machine.torch_device, share
        self.per_epoch = batches.per_epoch

    def ahead(self, numbers: Iterable[int], budget: TokenBudget) -> Iterator[Step]:
        """Steps in their order, made in the background for the budget of that moment."""
        return prefetch(self.make(number, budget.tokens) for number in numbers)

    def make(self, number: int, token_budget: int) -> Step:
        """The step `number` (from 0); an error says which one it was."""
        try:
            batches = self._batches.step(number, token_budget, self._share)
            inputs = [model_inputs(batch, self._device, dropout=(self._seed, number)) for batch in batches]
        except Exception as error:
            error.add_note(f"while step {number + 1} of the training was prepared")
            raise
        return Step(number, token_budget, inputs)

    def cut(self, step: Step, token_budget: int) -> Step:
        """The same step for this budget."""
        return step if step.token_budget == token_budget else self.make(step.number, token_budget)


class StepLoss:
    """The loss of whole steps: each head's sum over its count in the step, so that it does not matter how that is cut, nor
    who computes which part of it."""

    def __init__(self, model: Model, task: Task, device: torch.device) -> None:
        self._model = model
        self._heads = dict(model.head_items())
        self._read = {name: options.get("head", name) for name, (_, options) in task.losses.items()}
        self._losses = {
            name: _tag_sequences(self._heads[self._read[name]], options, device)
            if loss == TAG_SEQUENCES
            else _loss(loss, _options(options, device))
            for name, (loss, options) in task.losses.items()
        }

    def counts(self, step: Step) -> list[float]:
        """What each head's sum is to be divided by, as far as this share of the step goes."""
        return [sum(loss.count(*self._targets(name, b), b.layout) for b in step.batches) for name, loss in self._losses.items()]

    def backward(self, step: Step, counts: Sequence[float]) -> float:
        """Adds the gradients of a step's loss to those of the parameters; returns the loss. `counts` are the whole step's."""
        of_step = dict(zip(self._losses, counts, strict=True))
        loss_of_step = 0.0
        for batch in step.batches:
            loss = self._part(batch, of_step)
            loss.backward()
            loss_of_step += float(loss.detach())
        return loss_of_step

    def _part(self, batch: ModelInputs, count: Mapping[str, float]) -> Tensor:
        scores = self._model(batch)
        parts = [
            loss.sum(scores[self._read[name]], *self._targets(name, batch), batch.layout) / (count[name] or 1)
            for name, loss in self._losses.items()
        ]
        return torch.stack(parts).sum()

    def _targets(self, name: str, batch: ModelInputs) -> tuple[Tensor, Tensor | None]:
        head = self._heads[self._read[name]]
        assert isinstance(head, Head | RelationHead)
        return head.targets(batch, name)


def _tag_sequences(head: Any, options: Mapping[str, Any], device: torch.device) -> AnyLoss:
    """The loss that needs more of a head than its scores."""
    assert isinstance(head, Head)
    assert head.transitions is not None, "tags are learnt as sequences by a head with transitions"
    return TagSequences(head.transitions, torch.from_numpy(options["rules"]).to(device))


def _loss(name: str, options: LossOptions) -> AnyLoss:
    if name in SOFT_LOSSES:
        return build_soft_loss(name, options)
    return AttentionRelations(options) if name == "attention_relations" else build_loss(name, options)


def _options(options: Mapping[str, Any], device: torch.device) -> LossOptions:
    weights: Array | None = options.get("class_weights")
    of_classes = None if weights is None else torch.from_numpy(weights).to(device)
    named = {name: options[name] for name in ("smoothing", "weight", "heads", "temperature") if name in options}
    return LossOptions(of_classes, **named)
