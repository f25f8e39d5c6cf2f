"""Near duplicates: documents that share most of their word sequences, found without comparing each with each.

A document is the set of its shingles, all runs of five words (Broder 1997). MinHash signatures (the same paper) make
documents that are alike agree in places; those that agree in a whole band of their signatures are candidates (Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, section 3.4), and every candidate is decided by the true Jaccard
similarity of the shingles. Groups are the connected components of what was found, as in the deduplication of language
models' training data (Lee et al. 2022).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt32, UInt64

from bertworks.batch import Array
from bertworks.data.counter import mixed
from bertworks.data.inspection.words import WordHasher
from bertworks.errors import SettingsError

THRESHOLD = 0.8
"""Jaccard similarity from which on two documents are near duplicates."""
SHINGLE_WORDS = 5
"""Words in a shingle. Documents with fewer words are compared as a whole."""

_MOST_HASHES = 96
_RECALL = 0.99
"""Share of the pairs right at the threshold that become candidates; more of those above it."""
_NEIGHBOURS = 16
"""Documents of the same bucket that each document is compared with: all of them, unless the bucket is large."""
_BLOCK = 1 << 15
"""Shingles that are hashed at once: few enough to stay in the processor's cache."""
_BASE = np.uint64(0x9E3779B97F4A7C15)


class Link(NamedTuple):
    """Two documents that are near duplicates, by their numbers."""

    first: int
    second: int
    similarity: float
    """Jaccard similarity of their shingles; 1 for the same words in the same order."""


@dataclass(frozen=True)
class NearDuplicates:
    """Which documents are nearly the same."""

    groups: list[list[int]]
    """Numbers of the documents that belong together, each group and the list of them ascending."""
    links: list[Link]
    """The comparisons that hold the groups together: in each one fewer than it has members, none below the threshold."""


def near_duplicates(documents: Iterable[str], *, threshold: float = THRESHOLD, seed: int = 0) -> NearDuplicates:
    """Groups of documents whose word shingles have a Jaccard similarity of at least `threshold`.

    Case and punctuation do not count. Documents of fewer than five words are near duplicates only where all their words
    are the same, those without any word only where they are the same text. Every link was verified; a pair at the
    threshold is missed with a probability of about 1%, one well above it next to never. The result depends on documents
    and seed only. Memory is 16 bytes a word.

    Raises `SettingsError` for a threshold outside (0, 1].

    >>> near_duplicates(["One fine day in May.", "Rain.", "one fine day in may", "rain!"]).groups
    [[0, 2], [1, 3]]
    """
    if not 0 < threshold <= 1:
        raise SettingsError(f"the threshold of near duplicates must lie in (0, 1], not {threshold}")
    shingled, links = _read(documents)
    rows, bands = _rows_and_bands(threshold)
    signatures = _signatures(shingled, rows * bands, seed)
    roots: Int[Array, "documents"] = np.arange(len(shingled.numbers), dtype=np.int64)
    least_agreement = threshold - 4 * math.sqrt(threshold * (1 - threshold) / (rows * bands))
    for first, second in _candidates(signatures, rows, bands, roots):
        alike = (signatures[first] == signatures[second]).mean(axis=1) >= least_agreement
        for a, b in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
            if _root(roots, a) != _root(roots, b) and (similarity := shingled.similarity(a, b)) >= threshold:
                low, high = sorted((_root(roots, a), _root(roots, b)))
                roots[high] = low
                links.append(Link(shingled.numbers[min(a, b)], shingled.numbers[max(a, b)], similarity))
    return NearDuplicates(_components(links), sorted(links))


class _Shingled(NamedTuple):
    """Documents as shingles. Only different documents of at least five words stand here."""

    numbers: list[int]
    """The number of each document in what was handed in."""
    hashes: UInt64[Array, "shingles"]
    """All shingles in a row."""
    offsets: Int[Array, "documents_and_one"]

    def similarity(self, first: int, second: int) -> float:
        """Jaccard similarity of the shingles of two documents."""
        a, b = (np.unique(self.hashes[self.offsets[i] : self.offsets[i + 1]]) for i in (first, second))
        shared = np.intersect1d(a, b, assume_unique=True).size
        return float(shared / (a.size + b.size - shared))


def _read(documents: Iterable[str]) -> tuple[_Shingled, list[Link]]:
    """The documents as shingles, and a link from each document whose words stood in an earlier one to that."""
    seen: dict[bytes, int] = {}
    numbers: list[int] = []
    hashes: list[UInt64[Array, "shingles"]] = []
    links: list[Link] = []
    number = 0
    for texts, words, starts in WordHasher().blocks(documents):
        shingles = _shingles(words)
        for text, start, end in zip(texts, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            content = words[start:end].tobytes() or text.strip().encode("utf-8", "surrogatepass") + b"text"
            earlier = seen.setdefault(blake2b(content, digest_size=16).digest(), number)
            if earlier != number:
                links.append(Link(earlier, number, 1.0))
            elif end - start >= SHINGLE_WORDS:
                numbers.append(number)
                hashes.append(shingles[start : end - SHINGLE_WORDS + 1])
            number += 1
    offsets: Int[Array, "documents_and_one"] = np.cumsum([0, *map(len, hashes)], dtype=np.int64)
    return _Shingled(numbers, np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64), offsets), links


def _shingles(words: UInt64[Array, "words"]) -> UInt64[Array, "shingles"]:
    """A hash of each run of five words."""
    count = max(0, len(words) - SHINGLE_WORDS + 1)
    out: UInt64[Array, "shingles"] = words[:count].copy()
    for place in range(1, SHINGLE_WORDS):
        out *= _BASE
        out += words[place : place + count]
    return mixed(out)


def _rows_and_bands(threshold: float) -> tuple[int, int]:
    """The longest band, and how many of them, with which a pair at the threshold is a candidate as often as wanted.

    A pair of similarity s agrees in one place of the signature with probability s, in a band of r places with s^r, and in
    at least one of b bands with 1 - (1 - s^r)^b.

    >>> _rows_and_bands(0.8)
    (6, 16)
    """
    best = (1, _MOST_HASHES)
    for rows in range(1, _MOST_HASHES + 1):
        agree, most = threshold**rows, _MOST_HASHES // rows
        if 1 - (1 - agree) ** most < _RECALL:  # and so for all longer bands
            break
        best = rows, 1 if agree == 1 else math.ceil(math.log(1 - _RECALL) / math.log1p(-agree))
    return best


def _signatures(shingled: _Shingled, hashes: int, seed: int) -> UInt32[Array, "documents hashes"]:
    """The least value of each of many hash functions over the shingles of each document: two documents agree in a place
    with the probability of their Jaccard similarity."""
    draw = np.random.Generator(np.random.PCG64(seed))
    factors = draw.integers(0, 1 << 31, hashes, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    masks = draw.integers(0, 1 << 32, hashes, dtype=np.uint32)
    documents = len(shingled.numbers)
    out: UInt32[Array, "hashes documents"] = np.empty((hashes, documents), dtype=np.uint32)
    first = 0
    while first < documents:
        last = max(first + 1, int(np.searchsorted(shingled.offsets, shingled.offsets[first] + _BLOCK, side="right")) - 1)
        starts = shingled.offsets[first:last] - shingled.offsets[first]
        block = (shingled.hashes[shingled.offsets[first] : shingled.offsets[last]] >> np.uint64(32)).astype(np.uint32)
        values = np.empty_like(block)
        for i in range(hashes):
            np.bitwise_xor(block, masks[i], out=values)
            np.multiply(values, factors[i], out=values)
            np.minimum.reduceat(values, starts, out=out[i, first:last])
        first = last
    return np.ascontiguousarray(out.T)


def _candidates(
    signatures: UInt32[Array, "documents hashes"], rows: int, bands: int, roots: Int[Array, "documents"]
) -> Iterable[tuple[Int[Array, "pairs"], Int[Array, "pairs"]]]:
    """Pairs of documents that agree in a band and that `roots`, which changes meanwhile, does not yet connect."""
    if not len(signatures):
        return
    keys = [_band_keys(signatures[:, band * rows : (band + 1) * rows]) for band in range(bands)]
    for band in range(bands):
        # in large buckets, documents that agree in the next band too stand side by side
        order = np.lexsort((keys[(band + 1) % bands], keys[band]))
        ordered = keys[band][order]
        for distance in range(1, min(_NEIGHBOURS + 1, len(order))):
            together: Bool[Array, "pairs"] = ordered[distance:] == ordered[:-distance]
            if not together.any():
                break
            places = np.flatnonzero(together)
            first, second = order[places], order[places + distance]
            apart = _all_roots(roots)[first] != roots[second]
            yield first[apart], second[apart]


def _band_keys(band: UInt32[Array, "documents rows"]) -> UInt64[Array, "documents"]:
    """One number for the places of a band."""
    out: UInt64[Array, "documents"] = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        out = (out ^ column) * _BASE
        out ^= out >> np.uint64(29)
    return out


def _root(roots: Int[Array, "documents"], member: int) -> int:
    """The representative of a document's component, the paths to it halved on the way (Tarjan 1975)."""
    while roots[member] != member:
        roots[member] = roots[roots[member]]
        member = int(roots[member])
    return member


def _all_roots(roots: Int[Array, "documents"]) -> Int[Array, "documents"]:
    """Every document's representative, written back into `roots`."""
    while not np.array_equal(shorter := roots[roots], roots):
        roots[:] = shorter
    return roots


def _components(links: Sequence[Link]) -> list[list[int]]:
    members = sorted({number for link in links for number in link[:2]})
    place = {number: i for i, number in enumerate(members)}
    roots: Int[Array, "documents"] = np.arange(len(members), dtype=np.int64)
    for link in links:
        low, high = sorted((_root(roots, place[link.first]), _root(roots, place[link.second])))
        roots[high] = low
    groups: dict[int, list[int]] = {}
    for number in members:
        groups.setdefault(_root(roots, place[number]), []).append(number)
    return list(groups.values())
