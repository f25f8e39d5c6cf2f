"""A task that is learnt from a teacher as well: a model of the same task, whose scores the student is to have (Hinton et al. 2015).

What the teacher says of each sequence, or token, stands in the packed data as targets of a further loss on the task's own head
(`nn/soft_losses.py`, or the squared error of numbers). So whatever a task reads and however it is judged stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.evaluation import Metrics
from bertworks.tasks.task import Scores, StoredTask

_IGNORED = -100
_GROUP_SPAN = 1 << 20
"""As `nn/soft_losses.py` takes numbers of groups apart."""


class TeachableTask(StoredTask, Protocol):
    """A task of one head that can be learnt from a teacher."""

    @property
    def imitation(self) -> str:
        """The loss by which a teacher's scores are imitated."""
        ...


@dataclass(frozen=True)
class Taught:
    """A task with a teacher beside its labels; as the task itself in all but its losses."""

    task: TeachableTask
    share: float = 0.5
    """Of the teacher's loss in the sum; the rest is that of the labels. 1 learns from the teacher alone."""
    temperature: float = 2.0
    """What scores are divided by before the two models are compared; numbers are compared as they are."""

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return self.task.heads

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        ((head, (hard, options)),) = self.task.losses.items()
        soft = {"head": head, "weight": self.share, "temperature": self.temperature}
        of_labels = {head: (hard, {**options, "weight": 1 - self.share})} if self.share < 1 else {}
        return {**of_labels, lesson_of(head): (self.task.imitation, soft)}

    def metrics(self) -> Metrics:
        return self.task.metrics()

    def update_metrics(self, metrics: Any, batch: PackedBatch, scores: Scores) -> None:
        self.task.update_metrics(metrics, batch, scores)


def lesson_of(head: str) -> str:
    """The name of the targets that a teacher's scores are."""
    return f"{head}_of_teacher"


def with_lesson(task: TeachableTask, data: PackedBatch, said: Float[Array, "rows outputs"]) -> PackedBatch:
    """Data with what a teacher says of each of its sequences, or tokens, as the loss `imitation` takes it.

    A row weighs what it weighs with its label: windows of a document share its weight, tokens without a label have none, and
    tokens that cannot begin or end an answer are left out.
    """
    (head,) = task.heads
    name, said = lesson_of(head), said.astype(np.float32, copy=False)
    wanted, weighing = data.token_targets.get(head), data.targets.get(f"{head}_weights")
    weights = {} if weighing is None else {f"{name}_weights": weighing}
    if wanted is None:
        match task.imitation:
            case "choice_divergence":
                said = np.column_stack([*np.divmod(data.groups, _GROUP_SPAN), said]).astype(np.float32)
            case "mean_squared_error":
                said = said[:, 0]
        return replace(data, targets={**data.targets, name: said, **weights})
    if wanted.ndim == 2:  # of each token, whether it can be the one for each output
        marked = np.where(wanted == _IGNORED, np.float32(-np.inf), said)
        return replace(data, targets={**data.targets, **weights}, token_targets={**data.token_targets, name: marked})
    seen = np.where(wanted == _IGNORED, np.float32(0), data.token_targets[f"{head}_weights"])
    return replace(data, token_targets={**data.token_targets, name: said, f"{name}_weights": seen})
