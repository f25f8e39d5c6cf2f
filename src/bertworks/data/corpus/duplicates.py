"""Documents that are there more than once."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, UInt64

from bertworks.batch import Array

Deduplicate = Literal["none", "exact", "near"]
"""Which documents are left out where an earlier one is the same: none; those with the same text but for white space; those that
share at least 80% of their runs of five words."""


class Seen:
    """The hashes that were seen so far, in 8 bytes each (16 for a moment, while they are sorted).

    Two different documents have the same hash with a probability of 2^-64, so of a hundred million documents a single
    one is left out wrongly with a probability of 0.03%.
    """

    def __init__(self) -> None:
        self._sorted: list[UInt64[Array, "hashes"]] = []

    def add(self, hashes: UInt64[Array, "hashes"]) -> Bool[Array, "hashes"]:
        """For each hash, whether it was not there before; of equal ones the first.

        >>> seen = Seen()
        >>> seen.add(np.array([3, 5, 3], dtype=np.uint64)).tolist(), seen.add(np.array([7, 5], dtype=np.uint64)).tolist()
        ([True, True, False], [True, False])
        """
        different, places = np.unique(hashes, return_index=True)
        known: Bool[Array, "different"] = np.zeros(len(different), dtype=bool)
        for level in self._sorted:
            found = np.minimum(np.searchsorted(level, different), len(level) - 1)
            known |= level[found] == different
        new: Bool[Array, "hashes"] = np.zeros(len(hashes), dtype=bool)
        new[places[~known]] = True
        if not known.all():
            self._sorted.append(different[~known])
        # each level at least twice as long as the next: there are few of them, and each hash is sorted anew as few times
        while len(self._sorted) > 1 and len(self._sorted[-2]) < 2 * len(self._sorted[-1]):
            last = self._sorted.pop()
            self._sorted[-1] = np.sort(np.concatenate([self._sorted[-1], last]), kind="stable")
        return new


def near_duplicates_of_earlier(documents: Iterable[str]) -> Int[Array, "documents"]:
    """The numbers of the documents that are near duplicates of an earlier one, ascending. Memory is 16 bytes a word and
    about half a kilobyte a document."""
    from bertworks.data.inspection.near_duplicates import near_duplicates  # here, since it brings much with it

    return np.array(sorted(number for group in near_duplicates(documents).groups for number in group[1:]), dtype=np.int64)
