"""Is an attribution faithful? Words are removed in its order, and it is watched how fast the answer goes.

The area over the curve is the comprehensiveness of DeYoung et al. 2020 ("ERASER", section 4.2); it must be larger for the
attribution's order than for random ones. Words are really taken out, not masked: packed sequences may have any length,
and a fine-tuned model may never have seen a mask token. There is no model here: a function says what is answered without
some of the words.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.errors import DataError

BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the words at which the area is taken, those of DeYoung et al."""
RANDOM_ORDERS = 20
"""An order that says nothing is better than all of them in one of 21 texts."""
FEWEST_WORDS = 8
"""In shorter texts a random order is too often as good as the best one."""
_ALL_COUNTS = 16
"""Texts of up to so many words are taken apart word by word."""

Answers = Callable[[Sequence[Int[Array, "removed"]]], Float[Array, "variants"]]
"""From sets of words to remove, by their numbers, to the quantity that the model gives for the text without each."""


@dataclass(frozen=True)
class DeletionCurve:
    """What the model says with fewer and fewer words, in several orders."""

    quantity: str
    """What is followed: `P(positive)`."""
    removed: Int[Array, "points"]
    """How many words are removed, from none to all."""
    most_first: Float[Array, "points"]
    """The quantity where words of the largest attribution are removed first."""
    least_first: Float[Array, "points"]
    """The same, from the smallest (most negative) attribution on."""
    random: Float[Array, "orders points"]
    """The same, in random orders."""

    @property
    def words(self) -> int:
        """Words that there are to remove."""
        return int(self.removed[-1])

    @property
    def comprehensiveness(self) -> float:
        """The area over the curve: the mean fall of the quantity where 0, 1, 5, 10, 20 and 50 % of the words are removed
        in the attribution's order. Larger is more faithful."""
        return float(self._areas(self.most_first[None])[0])

    @property
    def random_comprehensiveness(self) -> Float[Array, "orders"]:
        """The same of each random order."""
        return self._areas(self.random)

    @property
    def beaten(self) -> int:
        """How many random orders have a smaller area than the attribution's."""
        return int((self.comprehensiveness > self.random_comprehensiveness).sum())

    @property
    def faithful(self) -> bool | None:
        """Whether all have; None where the text is too short to tell."""
        return None if self.words < FEWEST_WORDS else self.beaten == len(self.random)

    @property
    def sentence(self) -> str:
        """What the curve says about this text, in words."""
        at = _place(self.removed, _told(self.words))
        number = int(self.removed[at])
        told = (
            f"Without the {number:,} most important of {self.words:,} words, {self.quantity} goes"
            f" from {self.most_first[0]:.2f} to {self.most_first[at]:.2f}; without {number:,} random ones,"
            f" to {self.random[:, at].mean():.2f} (mean of {len(self.random)} draws)."
        )
        if self.faithful is None:
            return f"{told} The text is too short to tell whether the attribution is faithful."
        if self.faithful:
            return f"{told} The attribution is faithful here: its order lowers {self.quantity} more than each of the random ones."
        return f"{told} The attribution is not shown to be faithful: its order beats {self.beaten} of {len(self.random)} random ones."

    def _areas(self, curves: Float[Array, "orders points"]) -> Float[Array, "orders"]:
        places = [_place(self.removed, _count(share, self.words)) for share in BINS]
        return np.asarray((curves[:, :1] - curves[:, places]).sum(axis=1) / (len(BINS) + 1))


def deletion_curve(attributions: Float[Array, "words"], answers: Answers, *, quantity: str, seed: int = 0) -> DeletionCurve:
    """Removes words in the order of their attributions, in the opposite order and in random ones.

    `answers` is called once, with every set of words to remove. Raises `DataError` where there is no word.
    """
    words = len(attributions)
    if not words:
        raise DataError("the text has no word that could be removed")
    counts = np.unique([0, _told(words), words, *(_count(share, words) for share in BINS)])
    if words <= _ALL_COUNTS:
        counts = np.arange(words + 1)
    falling = np.argsort(-attributions, kind="stable")
    draws = np.random.Generator(np.random.PCG64(seed))
    orders = [falling, falling[::-1], *(draws.permutation(words) for _ in range(RANDOM_ORDERS))]
    inner = [order[:count] for order in orders for count in counts[1:-1]]  # none and all are the same in every order
    values = np.asarray(answers([falling[:0], falling, *inner]), dtype=np.float64)
    curves = np.empty((len(orders), len(counts)))
    curves[:, 0], curves[:, -1] = values[0], values[1]
    curves[:, 1:-1] = values[2:].reshape(len(orders), -1)
    return DeletionCurve(quantity, counts, curves[0], curves[1], curves[2:])


def _told(words: int) -> int:
    """How many removed words the sentence tells of: a fifth of the text, three at least."""
    return min(words, max(3, _count(0.2, words)))


def _count(share: float, words: int) -> int:
    """How many words a share of them is: one at least."""
    return max(1, math.ceil(share * words - 1e-9))


def _place(removed: Int[Array, "points"], count: int) -> int:
    """Where so many words are removed, or all where there are no more."""
    return int(np.searchsorted(removed, min(count, removed[-1])))
