"""The loss of steps whose texts are compared with each other, at any size in little memory.

The loss couples all vectors of a step, so no batch of it can be learnt from by itself. As Gao et al. 2021 ("Scaling deep
contrastive learning batch size under memory limited setup") have it: a first pass computes all vectors without gradients,
the loss of these gives the gradient of each vector, and a second pass computes each batch again and hands its gradients down.
Dropout draws by sequence, so both passes see the same masks, and the result is that of one large batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bertworks.errors import SettingsError
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.model import Model
from bertworks.nn.vector_losses import VECTOR_LOSSES, TextsOfStep, VectorLossName, VectorLossOptions, rows_counted, vector_loss
from bertworks.tasks.embedding_objective import ROLE, SAME, TEXT, UNIT
from bertworks.tasks.task import Task
from bertworks.training.steps import Step, StepLoss


def require_divisible(task: Task, processes: int) -> None:
    """Raises `SettingsError` where several processes would have to share vectors."""
    if processes > 1 and _compares(task):
        raise SettingsError(f"{processes} processes train together, but this loss compares all texts of a step: train with one process")


def _compares(task: Task) -> bool:
    return any(name in VECTOR_LOSSES for name, _ in task.losses.values())


def step_loss(model: Model, task: Task, device: torch.device, processes: int = 1) -> "StepLoss | VectorStepLoss":
    """How a task's steps are computed. Raises `SettingsError` where several processes would have to share vectors."""
    require_divisible(task, processes)
    if not _compares(task):
        return StepLoss(model, task, device)
    return VectorStepLoss(model, task, device)


class VectorStepLoss:
    """The loss of whole steps by the vectors of all their texts, in two passes where a step has several batches."""

    def __init__(self, model: Model, task: Task, device: torch.device) -> None:
        self._model, self._device = model, device
        ((self._head, (name, options)),) = task.losses.items()
        self._name: VectorLossName = name  # type: ignore[assignment]
        self._unit = bool(options[UNIT])
        self._options = VectorLossOptions(**{key: value for key, value in options.items() if key != UNIT})

    def counts(self, step: Step) -> list[float]:
        """What the sum is to be divided by: the rows of the step, or its texts where each has a target of its own."""
        return [rows_counted(self._name, self._texts(step.batches))]

    def backward(self, step: Step, counts: Sequence[float]) -> float:
        """Adds the gradients of a step's loss to those of the parameters; returns the loss."""
        if len(step.batches) == 1 or self._is_additive(step):
            return sum(self._direct(batch, counts[0]) for batch in step.batches)
        with torch.no_grad():
            vectors = torch.cat([self._vectors(batch) for batch in step.batches])
        vectors.requires_grad_()
        loss = vector_loss(self._name, vectors, self._texts(step.batches), self._options) / (counts[0] or 1)
        (gradients,) = torch.autograd.grad(loss, vectors)
        sizes = [batch.layout.sequences for batch in step.batches]
        for batch, gradient in zip(step.batches, gradients.split(sizes), strict=True):
            self._vectors(batch).backward(gradient)
        return float(loss.detach())

    def _direct(self, batch: ModelInputs, count: float) -> float:
        loss = vector_loss(self._name, self._vectors(batch), self._texts([batch]), self._options) / (count or 1)
        loss.backward()
        return float(loss.detach())

    def _is_additive(self, step: Step) -> bool:
        """Whether each batch can be learnt from by itself: texts are compared with a teacher alone, and none is in windows."""
        if not self._name.startswith("teacher"):
            return False
        texts = torch.cat([batch.targets[TEXT] for batch in step.batches])
        return len(texts.unique()) == len(texts)

    def _vectors(self, batch: ModelInputs) -> Float[Tensor, "sequences width"]:
        return self._model(batch)[self._head]  # type: ignore[no-any-return]

    def _texts(self, batches: Sequence[ModelInputs]) -> TextsOfStep:
        """What the targets of the step's sequences say of its texts."""
        numbers, roles, same, targets = (torch.cat([b.targets[name] for b in batches]) for name in (TEXT, ROLE, SAME, self._head))
        lengths = torch.from_numpy(np.concatenate([batch.layout.lengths for batch in batches])).to(self._device)
        _, text = torch.unique(numbers, return_inverse=True)  # in the order of rows and roles, as texts are numbered
        count = int(text.max()) + 1
        tokens = torch.zeros(count, dtype=lengths.dtype, device=self._device).index_add(0, text, lengths)
        first = torch.full((count,), len(text), device=self._device).scatter_reduce(
            0, text, torch.arange(len(text), device=self._device), "amin"
        )
        weights = (lengths / tokens[text]).float()
        return TextsOfStep(text, weights, self._unit, roles[first], same[first], targets[first])
