"""The steps of a pretraining: sequences of a corpus, hidden from and labelled by the objectives."""

from itertools import accumulate

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array, PackedBatch
from bertworks.data.corpus.sequences import Sequences
from bertworks.data.sampler import cut_by_tokens
from bertworks.tasks.pretraining import Pretraining
from bertworks.training.steps import WHOLE, Share

_FIRST_SHARE = 0.25
"""What a batch starts with on a ramp, as a share of its final size."""


class PretrainingBatches:
    """Steps of `batch_size` sequences; over the first `ramp` steps the batch grows linearly from a quarter of that.

    A step is a function of its number: sequences are counted through all epochs, and each step takes the next ones.
    """

    def __init__(self, sequences: Sequences, task: Pretraining, *, batch_size: int, ramp: int = 0) -> None:
        self._sequences, self._task, self._batch_size = sequences, task, batch_size
        growing = [_FIRST_SHARE + (1 - _FIRST_SHARE) * step / ramp for step in range(ramp)]
        self._firsts = [0, *accumulate(max(1, round(batch_size * share)) for share in growing)]
        """The number of the first sequence of each step of the ramp, and of the step after it."""

    @property
    def per_epoch(self) -> int:
        return -(-self._sequences.per_epoch // self._batch_size)

    def first_sequence(self, step: int) -> int:
        """How many sequences come before a step."""
        ramp = len(self._firsts) - 1
        return self._firsts[step] if step <= ramp else self._firsts[ramp] + (step - ramp) * self._batch_size

    def step(self, number: int, token_budget: int, share: Share = WHOLE) -> list[PackedBatch]:
        which, shares = share
        numbers = self._numbers(number)[which::shares]
        if not len(numbers):
            return []
        batch = prepared(self._sequences, self._task, numbers)
        return [batch.take(part) for part in cut_by_tokens(batch.lengths, token_budget)]

    def whole_step(self, number: int) -> PackedBatch:
        """All sequences of a step in one batch."""
        return prepared(self._sequences, self._task, self._numbers(number))

    def _numbers(self, step: int) -> Int[Array, "sequences"]:
        return np.arange(self.first_sequence(step), self.first_sequence(step + 1))


def mean_share(ramp: float) -> float:
    """The sequences of a step in the mean of a run, as a share of the final batch, where the batch grows over the share `ramp` of the
    steps.

    >>> mean_share(0.0), mean_share(0.8)
    (1.0, 0.7)
    """
    return 1 - ramp * (1 - _FIRST_SHARE) / 2


def prepared(sequences: Sequences, task: Pretraining, numbers: Array) -> PackedBatch:
    """Sequences by their numbers, with the targets of the objectives."""
    batch, word_starts = sequences.take(numbers)
    return task.prepare(batch, word_starts)
