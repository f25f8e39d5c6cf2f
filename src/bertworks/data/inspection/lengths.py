"""How long texts are."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.tokenization import Tokenizer

_BINS = 16
_CHUNK = 1024


@dataclass(frozen=True)
class Lengths:
    """The lengths of rows, with a histogram."""

    unit: Literal["tokens", "words"]
    """tokens: as the model reads a row, special tokens included; words: what stands between spaces."""
    mean: float
    median: float
    p95: float
    """The length that 95% of the rows do not exceed."""
    longest: int
    edges: tuple[int, ...]
    """Borders of the histogram's bins, one more than there are bins. A bin holds its lower border; the last one, which
    may be wide, also its upper."""
    counts: tuple[int, ...]
    """Rows in each bin."""
    limit: int | None = None
    """Tokens that the model reads at once; None where it is not known."""
    over_limit: int | None = None
    """Rows that are longer; None where the limit is not known."""

    @property
    def rows(self) -> int:
        """Rows that were measured."""
        return sum(self.counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "edges": list(self.edges), "counts": list(self.counts)}


def describe_lengths(sizes: Int[Array, "rows"], unit: Literal["tokens", "words"], limit: int | None = None) -> Lengths:
    """Describes the lengths of at least one row.

    >>> found = describe_lengths(np.array([3, 5, 8, 21]), "tokens", limit=16)
    >>> found.median, found.longest, found.over_limit
    (6.5, 21, 1)
    >>> found.edges, found.counts
    ((0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22), (0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1))
    """
    longest = int(sizes.max())
    edges = _edges(float(np.percentile(sizes, 99)), longest)
    return Lengths(
        unit=unit,
        mean=float(sizes.mean()),
        median=float(np.median(sizes)),
        p95=float(np.percentile(sizes, 95)),
        longest=longest,
        edges=tuple(edges),
        counts=tuple(np.histogram(sizes, edges)[0].tolist()),
        limit=limit,
        over_limit=None if limit is None else int((sizes > limit).sum()),
    )


def _edges(most: float, longest: int) -> list[int]:
    """Bins of one round width for 99% of the rows, and a last one for the longest."""
    rough = max(1.0, most / _BINS)
    magnitude = 10 ** math.floor(math.log10(rough))
    width = max(1, next(round(step * magnitude) for step in (1, 2, 2.5, 5, 10) if step * magnitude >= rough))
    edges = [*range(0, math.floor(most) + width + 1, width)]
    return [*edges, longest] if longest > edges[-1] else edges


def count_words(texts: Sequence[str]) -> Int[Array, "rows"]:
    """Words of each text, as spaces divide them."""
    return np.fromiter((len(text.split()) for text in texts), dtype=np.int64, count=len(texts))


def count_tokens(texts: Sequence[str], pairs: Sequence[str] | None, tokenizer: Tokenizer) -> Int[Array, "rows 2"]:
    """Of each row: its tokens, special tokens included, and how many of them the vocabulary does not know."""
    out: Int[Array, "rows 2"] = np.zeros((len(texts), 2), dtype=np.int64)
    for start in range(0, len(texts), _CHUNK):
        second = None if pairs is None else pairs[start : start + _CHUNK]
        encoded = tokenizer.encode_batch(texts[start : start + _CHUNK], second, offsets=False, first_row=start)
        out[start : start + _CHUNK] = [(len(row), row.unknown_tokens) for (row,) in encoded]
    return out
