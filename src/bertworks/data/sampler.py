"""Which examples make up which step: shuffled by a counter, cut into batches by a token budget.

A step is addressed by its number alone, so a run resumes at any step without skipping through the data.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int

Array = np.ndarray[Any, Any]


def permutation(seed: int, epoch: int, size: int) -> Int[Array, "size"]:
    """The order of the examples in an epoch: a function of its arguments and of nothing else (Philox counter)."""
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(size)


def cut_by_tokens(lengths: Int[Array, "sequences"], token_budget: int) -> list[Int[Array, "taken"]]:
    """Indices of sequences in batches of at most `token_budget` tokens, shortest first.

    Sorting makes runs of equal or nearly equal length, which attention computes at once. A sequence longer than the budget is a
    batch of its own. The batches are filled evenly rather than to the brim.

    >>> [b.tolist() for b in cut_by_tokens(np.array([3, 1, 2]), 3)]
    [[1, 2], [0]]
    """
    order = np.argsort(lengths, kind="stable")
    total = int(lengths.sum())
    even = -(-total // max(1, -(-total // token_budget)))  # the size of equally filled batches
    limit = min(token_budget, even + int(lengths.max(initial=0)) - 1)
    batches: list[list[int]] = [[]]
    filled = 0
    for i in order.tolist():
        length = int(lengths[i])
        if batches[-1] and (filled + length > limit or filled >= even):
            batches.append([])
            filled = 0
        batches[-1].append(i)
        filled += length
    return [np.array(b, dtype=np.int64) for b in batches if b]


class Sampler:
    """Steps of `batch_size` groups (documents, questions …) each, shuffled anew in every epoch.

    All sequences of a group are in the same step. The last step of an epoch takes what is left.
    """

    def __init__(self, groups: Int[Array, "sequences"], lengths: Int[Array, "sequences"], *, batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed = batch_size, seed
        _, numbers = np.unique(groups, return_inverse=True)
        self.groups = int(numbers.max(initial=-1)) + 1
        self._sequences = np.argsort(numbers, kind="stable")
        self._starts = np.searchsorted(numbers[self._sequences], np.arange(self.groups + 1))
        self._order = lru_cache(maxsize=2)(lambda epoch: permutation(self.seed, epoch, self.groups))

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.groups // self.batch_size)

    def step(self, number: int, token_budget: int) -> list[Int[Array, "taken"]]:
        """The batches of step `number` (from 0), of at most so many tokens, each as numbers of sequences."""
        sequences = np.concatenate(self.groups_of(number))
        return [sequences[b] for b in cut_by_tokens(self.lengths[sequences], token_budget)]

    def groups_of(self, number: int) -> list[Int[Array, "of_group"]]:
        """The numbers of the sequences of each group of step `number`."""
        epoch, within = divmod(number, self.steps_per_epoch)
        chosen = self._order(epoch)[within * self.batch_size : (within + 1) * self.batch_size]
        return [self._sequences[self._starts[g] : self._starts[g + 1]] for g in chosen.tolist()]
