"""The nearest vectors, exactly, by matrix products of blocks: memory does not grow with the corpus, but for the corpus itself."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError

Comparison = Literal["cosine", "dot"]
Decode = Callable[[Shaped[Array, "rows width"]], Float[Array, "rows features"]]
"""From vectors as they are stored to floating-point numbers."""

_QUERIES_AT_ONCE = 512
_SCORES_AT_ONCE = 1 << 23  # 32 MiB as float32


class Nearest(NamedTuple):
    """For each query its nearest vectors, the nearest first."""

    indices: Int[Array, "queries found"]
    """Their numbers in the corpus."""
    scores: Float[Array, "queries found"]


class Pair(NamedTuple):
    """Two texts, by their numbers, and how near they are."""

    score: float
    first: int
    second: int


def nearest_vectors(
    queries: Shaped[Array, "queries width"],
    corpus: Shaped[Array, "corpus width"],
    top_k: int,
    *,
    by: Comparison = "cosine",
    decode: Decode | None = None,
) -> Nearest:
    """The `top_k` vectors of the corpus with the highest cosine (or dot product) for each query; of equal ones the first.

    All of the corpus are compared: nothing is approximated. A corpus on the disk may be given as `np.load(…, mmap_mode="r")`.
    `decode` turns the corpus's vectors as they are stored (int8, bits) into numbers, block by block.

    >>> found = nearest_vectors(np.array([[1.0, 0.1]]), np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]), 2)
    >>> found.indices.tolist()
    [[1, 2]]
    """
    _check(queries, corpus, top_k, decode)
    found = min(top_k, len(corpus))
    indices: Array = np.empty((len(queries), found), dtype=np.int64)
    scores: Array = np.empty((len(queries), found), dtype=np.float32)
    for rows in _slices(len(queries), _QUERIES_AT_ONCE):
        some = _numbers(queries[rows], by, None)
        best_scores: Array = np.zeros((len(some), 0), dtype=np.float32)
        best: Array = np.zeros((len(some), 0), dtype=np.int64)
        for block in _slices(len(corpus), max(found, _SCORES_AT_ONCE // max(1, len(some)))):
            of_block = some @ _numbers(corpus[block], by, decode).T
            places = _top(of_block, found)
            best_scores = np.concatenate([best_scores, np.take_along_axis(of_block, places, axis=1)], axis=1)
            best = np.concatenate([best, places + block.start], axis=1)
            kept = _top(best_scores, found)  # earlier blocks stand first, so that equal scores keep their order
            best_scores, best = np.take_along_axis(best_scores, kept, axis=1), np.take_along_axis(best, kept, axis=1)
        indices[rows], scores[rows] = best, best_scores
    return Nearest(indices, scores)


def nearest_pairs(
    vectors: Shaped[Array, "rows width"], most: int, *, least: float = -1.0, by: Comparison = "cosine", decode: Decode | None = None
) -> list[Pair]:
    """The `most` pairs of vectors with the highest scores, none below `least`, the nearest first. All pairs are compared.

    >>> [(pair.first, pair.second) for pair in nearest_pairs(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), 1)]
    [(0, 2)]
    """
    _check(vectors if decode is None else decode(vectors[:1]), vectors, most, decode)
    scores: Array = np.zeros(0, dtype=np.float32)
    pairs: Array = np.zeros((0, 2), dtype=np.int64)
    floor = least
    for rows in _slices(len(vectors), _QUERIES_AT_ONCE):
        some = _numbers(vectors[rows], by, decode)
        for block in _slices(len(vectors), _SCORES_AT_ONCE // _QUERIES_AT_ONCE, rows.start):
            of_block = some @ _numbers(vectors[block], by, decode).T
            first, second = np.nonzero(of_block >= floor)
            later = second + block.start > first + rows.start
            first, second = first[later], second[later]
            scores = np.concatenate([scores, of_block[first, second]])
            pairs = np.concatenate([pairs, np.stack([first + rows.start, second + block.start], axis=1)])
            if len(scores) > most:
                kept = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))[:most]
                scores, pairs = scores[kept], pairs[kept]
                floor = max(floor, float(scores[-1]))
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))
    return [Pair(float(scores[i]), int(pairs[i, 0]), int(pairs[i, 1])) for i in order]


def bitext_pairs(
    first: Float[Array, "firsts width"], second: Float[Array, "seconds width"], *, neighbours: int = 4, least: float = 0.0
) -> list[Pair]:
    """Texts of two languages that say the same, by the ratio margin of Artetxe & Schwenk 2019 (section 3, "max. score"): the
    cosine of a pair over the mean of those with each one's nearest `neighbours` on the other side.

    Each text is in one pair at most; pairs with a margin below `least` are left out; the surest come first. A margin above 1
    says that the two are nearer to each other than to others; 1.05 is a usual `least`. Where the mean is not
    positive the ratio says nothing: such texts are no pair.

    >>> left, right = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.1, 1.0], [1.0, 0.1]])
    >>> [(pair.first, pair.second) for pair in bitext_pairs(left, right, neighbours=2)]
    [(0, 1), (1, 0)]
    """
    forward, backward = nearest_vectors(first, second, neighbours), nearest_vectors(second, first, neighbours)
    of_first, of_second = forward.scores.mean(axis=1), backward.scores.mean(axis=1)
    candidates: dict[tuple[int, int], float] = {}
    for own, other, swapped in ((forward, of_second, False), (backward, of_first, True)):
        mine = of_second if swapped else of_first
        usual = (mine[:, None] + other[own.indices]) / 2
        margins = np.divide(own.scores, usual, out=np.full_like(usual, -np.inf), where=usual > 0)
        best = margins.argmax(axis=1)
        for place, choice in enumerate(best.tolist()):
            partner = int(own.indices[place, choice])
            pair = (partner, place) if swapped else (place, partner)
            candidates[pair] = max(float(margins[place, choice]), candidates.get(pair, -np.inf))
    taken_first: set[int] = set()
    taken_second: set[int] = set()
    found = []
    for (i, j), margin in sorted(candidates.items(), key=lambda item: (-item[1], item[0])):
        if margin > -np.inf and margin >= least and i not in taken_first and j not in taken_second:
            found.append(Pair(margin, i, j))
            taken_first.add(i)
            taken_second.add(j)
    return found


def _check(queries: Array, corpus: Array, top_k: int, decode: Decode | None) -> None:
    if top_k < 1:
        raise SettingsError(f"the number of results must be at least 1, not {top_k}")
    for name, vectors in (("queries", queries), ("corpus", corpus)):
        if vectors.ndim != 2 or not len(vectors):
            raise DataError(f"the {name} must be vectors, [rows, width], and at least one; they have the shape {vectors.shape}")
    width = (corpus if decode is None else decode(corpus[:1])).shape[1]
    if queries.shape[1] != width:
        raise DataError(f"the queries have {queries.shape[1]} features, but the corpus has {width}: encode both in the same way")


def _slices(count: int, size: int, start: int = 0) -> Iterator[slice]:
    return (slice(at, min(at + size, count)) for at in range(start, count, size))


def _numbers(vectors: Array, by: Comparison, decode: Decode | None) -> Float[Array, "rows features"]:
    numbers = np.asarray(vectors if decode is None else decode(vectors), dtype=np.float32)
    return numbers if by == "dot" else unit_vectors(numbers)


def unit_vectors(vectors: Float[Array, "rows width"]) -> Float[Array, "rows width"]:
    """Vectors of length 1 in the same directions; a vector of zeros stays one."""
    scaled: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled


def similarities(first: Float[Array, "rows width"], second: Float[Array, "rows width"], by: Comparison = "cosine") -> Float[Array, "rows"]:
    """How near each row's two vectors are.

    >>> similarities(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]])).round(4).tolist()
    [0.7071]
    """
    both = (first, second) if by == "dot" else (unit_vectors(first), unit_vectors(second))
    found: Array = np.einsum("rw,rw->r", *both, dtype=np.float64)
    return found


def _top(scores: Float[Array, "rows columns"], count: int) -> Int[Array, "rows top"]:
    """The places of the `count` highest scores in each row, the highest first, of equal ones the first."""
    columns = scores.shape[1]
    if count < columns:
        places = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
        lowest = np.take_along_axis(scores, places, axis=1).min(axis=1, keepdims=True)
        for row in np.flatnonzero((scores >= lowest).sum(axis=1) > count):  # equal scores at the edge: the first of them count
            above, equal = np.flatnonzero(scores[row] > lowest[row]), np.flatnonzero(scores[row] == lowest[row])
            places[row] = np.sort(np.concatenate([above, equal[: count - len(above)]]))
    else:
        places = np.broadcast_to(np.arange(columns), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)
