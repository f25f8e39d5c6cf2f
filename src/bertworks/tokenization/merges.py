"""Learning the merges of byte-pair encoding from counted words (Sennrich et al. 2016, section 3.2).

Words begin as single symbols. Again and again the pair of neighbours that stands in the words most often becomes
a symbol of its own; of equally frequent pairs it is the one of the earlier symbols. So the result is a function of
the counts alone: no order of words, no hash and no thread decides anything.

A merge always makes a new symbol: where a string once became one symbol, its parts were cut alike wherever it stands
between the same borders, so no other pair can make it later. Hence words are cut exactly as the model will cut them.

All symbols of all words stand in one array, in which a merge is a few vectorized operations on its occurrences.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array

_NONE = -1
"""No neighbour; as an index, the last place of the arrays, at which no symbol stands."""
_RIGHT = (1 << 32) - 1
_AT_ONCE = 1 << 22
"""Places whose pairs are counted at once, so that little memory is taken besides."""


def learn_merges(
    words: Int[Array, "symbols"], lengths: Int[Array, "words"], counts: Int[Array, "words"], symbols: int, *, minimum_count: int = 1
) -> Iterator[tuple[int, int]]:
    """The pairs in the order in which they are merged, until no pair stands `minimum_count` times in the words.

    `words` are the symbols of all words in a row, numbers below `symbols`; `lengths` says how many each word has and
    `counts` how often it was seen, at least once. The first merge makes the symbol of the number `symbols`, each
    further one the next.

    >>> list(learn_merges(np.array([0, 1, 2, 1, 2]), np.array([3, 2]), np.array([5, 1]), 3))
    [(1, 2), (0, 3)]
    """
    text = _Text(words, lengths, counts, symbols, minimum_count)
    queue = [(-count, pair) for pair, count in text.pairs.items()]
    heapify(queue)
    while queue:
        negative, pair = heappop(queue)
        count = text.pairs.get(pair, 0)
        if count == -negative:
            yield pair >> 32, pair & _RIGHT
            for new in text.merge(pair >> 32, pair & _RIGHT, symbols):
                heappush(queue, (-text.pairs[new], new))
            symbols += 1
        elif count:  # it has become rarer since it was queued
            heappush(queue, (-count, pair))


class _Text:
    """All words, symbol by symbol, and how often each pair of neighbours stands in them.

    A merged symbol stands at the place of its first character; the places of the others are empty from then on.
    """

    def __init__(
        self, words: Int[Array, "symbols"], lengths: Int[Array, "words"], counts: Int[Array, "words"], symbols: int, minimum_count: int
    ) -> None:
        size = len(words)
        self._symbols: Int[Array, "places"] = np.append(words, _NONE).astype(np.int32)
        places: Int[Array, "places"] = np.arange(size + 1, dtype=np.int32)
        ends = np.cumsum(lengths)
        self._next, self._previous = places + 1, places - 1
        self._next[ends - 1] = self._next[-1] = _NONE
        self._previous[ends - lengths] = self._previous[-1] = _NONE
        self._counts: Int[Array, "places"] = np.repeat(counts, lengths).astype(np.int64)
        order = np.argsort(words, kind="stable").astype(np.int32)
        starts = np.searchsorted(words[order], np.arange(symbols + 1))
        self._places = {symbol: order[starts[symbol] : starts[symbol + 1]] for symbol in range(symbols)}
        """Where each symbol stands; some of it outdated."""
        self._minimum_count = minimum_count
        self.pairs = {pair: count for pair, count in self._all_pairs().items() if count >= minimum_count}
        """How often each pair (left · 2³² + right) stands side by side, where often enough. A pair becomes frequent by
        one merge only, that of the newer of its two symbols; from then on it can but become rarer."""

    def _all_pairs(self) -> Counter[int]:
        pairs: Counter[int] = Counter()
        for start in range(0, len(self._symbols), _AT_ONCE):
            lefts = np.flatnonzero(self._next[start : start + _AT_ONCE] != _NONE) + start
            for pair, count in _summed(((self._symbols[lefts], self._symbols[self._next[lefts]], self._counts[lefts]),)):
                pairs[pair] += count
        return pairs

    def merge(self, left: int, right: int, made: int) -> list[int]:
        """Puts the new symbol `made` wherever `left` and `right` stand side by side; its frequent pairs."""
        first = self._occurrences(left, right)
        second = self._next[first]
        after, before = self._next[second], self._previous[first]
        count = self._counts[first]
        followed = after != _NONE
        self._next[first] = after
        after, after_count = after[followed], count[followed]
        self._previous[after] = first[followed]
        old_after = self._symbols[after]
        self._symbols[second] = _NONE
        led = self._symbols[before] != _NONE  # neither at the beginning of a word nor right behind another occurrence
        neighbour, before_count = self._symbols[before[led]], count[led]
        self._symbols[first] = made
        self._places[made] = first
        self._remove((right, old_after, after_count), (neighbour, left, before_count))
        self.pairs.pop(left << 32 | right, None)
        return self._add((made, self._symbols[after], after_count), (neighbour, made, before_count))

    def _occurrences(self, left: int, right: int) -> Int[Array, "occurrences"]:
        """Where the pair stands, overlapping occurrences (`aaa`) from left to right."""
        places: Array
        by_left, by_right = self._places[left], self._places[right]
        if len(by_left) <= len(by_right):
            places = self._places[left] = by_left[self._symbols[by_left] == left]
            places = places[self._symbols[self._next[places]] == right]
        else:
            seconds = self._places[right] = by_right[self._symbols[by_right] == right]
            places = self._previous[seconds]
            places = places[self._symbols[places] == left]
        if left != right:
            return places
        places = np.sort(places)
        number = np.arange(len(places))
        begins = np.append(True, places[1:] != self._next[places[:-1]])
        within = number - np.maximum.accumulate(np.where(begins, number, 0))
        chosen: Array = places[within % 2 == 0]
        return chosen

    def _add(self, *pairs: "_Pairs") -> list[int]:
        new = [(pair, count) for pair, count in _summed(pairs) if count >= self._minimum_count]
        self.pairs.update(new)
        return [pair for pair, _ in new]

    def _remove(self, *pairs: "_Pairs") -> None:
        for pair, count in _summed(pairs):
            left = self.pairs.get(pair, 0) - count
            if left >= self._minimum_count:
                self.pairs[pair] = left
            else:
                self.pairs.pop(pair, None)


_Pairs = tuple[Int[Array, "pairs"] | int, Int[Array, "pairs"] | int, Int[Array, "pairs"]]
"""Left symbols, right symbols, and how often each pair was met."""


def _summed(some: tuple[_Pairs, ...]) -> list[tuple[int, int]]:
    """Pairs as they are counted, each once."""
    keys: Array = np.empty(sum(len(counts) for *_, counts in some), dtype=np.int64)
    if not len(keys):
        return []
    place = 0
    for left, right, counts in some:
        part = keys[place : place + len(counts)]
        part[:] = left
        part <<= 32
        part |= right
        place += len(counts)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    sums = np.add.reduceat(np.concatenate([counts for *_, counts in some])[order], begins)
    return list(zip(keys[begins].tolist(), sums.tolist(), strict=True))
