"""An index of many vectors, by which a search compares a part of them: an inverted file (Sivic & Zisserman 2003) of the library faiss.

The vectors are divided into cells by k-means, and kept as they are (float32). A search visits the cells whose centres are nearest to
the query and compares their vectors: so the similarities are exact, and what may be missed lies in cells that were not visited. How
many are visited is measured when the index is built: vectors of the corpus itself are searched for, the number is doubled until the
wanted share of their nearest neighbours (`recall`) is found, and with all cells a search is exact, so that every share can be
reached. Queries that are unlike the corpus may find less.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_file
from bertworks.checkpoints.checksums import checksum
from bertworks.checkpoints.files import read_json, write_json
from bertworks.errors import CheckpointError, DataError, MissingExtraError, SettingsError
from bertworks.evaluation.nearest import Comparison, Decode, Nearest, nearest_vectors, unit_vectors

NEIGHBOURS = 10
"""For so many nearest neighbours of a vector the recall is measured, unless said otherwise."""
RECALL = 0.98
"""The share of them that is to be found, unless said otherwise."""

_FORMAT = 1
_ROWS_AT_ONCE = 1 << 16
_LEAST_OF_CELL = 39
"""Vectors for each cell, on the mean, that faiss wants for k-means."""
_SAMPLE_OF_CELL = 64
"""Vectors for each cell that k-means looks at; more cost time and change little."""
_ITERATIONS = 10
_QUERIES = 256
"""Vectors of the corpus that are searched for to measure the recall."""
_NEARLY = 1e-5
"""What sums of products differ by, in the order of their summands."""
_SEED = 0


@dataclass(frozen=True)
class IndexFacts:
    """What an index is of, and what it finds."""

    model: str
    """The model that queries have to be encoded with (`fingerprint` of the encoder)."""
    source: str
    """The texts, or vectors, that it was made of (`fingerprint_of`)."""
    by: Comparison
    rows: int
    width: int
    cells: int
    probes: int
    """Cells that a search visits."""
    neighbours: int
    """The number of nearest vectors for which …"""
    recall: float
    """… this share was found, of vectors of the corpus."""


class VectorIndex:
    """Vectors to be searched. It is made by `build`, or read by `load`; `SentenceEncoder.build_index` is the usual way."""

    def __init__(self, index: Any, facts: IndexFacts) -> None:
        self._index = index
        self.facts = facts

    def __len__(self) -> int:
        return self.facts.rows

    @classmethod
    def build(
        cls,
        corpus: Shaped[Array, "corpus width"],
        *,
        by: Comparison = "cosine",
        decode: Decode | None = None,
        recall: float = RECALL,
        neighbours: int = NEIGHBOURS,
        model: str = "",
        source: str = "",
        threads: int | None = None,
    ) -> Self:
        """Divides vectors into about 4·√rows cells, and measures how many of these a search has to visit.

        `recall`, above 0 and at most 1, is the share of the `neighbours` nearest that is to be found. `decode` is as in
        `nearest_vectors`; `model` and `source` are fingerprints that are kept with the index. Beside the corpus this takes as much
        memory as its vectors do in float32. The same vectors make the same index.

        Raises `MissingExtraError` without faiss, `SettingsError` for a recall or a number of neighbours that cannot be.
        """
        faiss = library(threads)
        if not 0 < recall <= 1:
            raise SettingsError(f"recall is the share of the nearest texts that is to be found, above 0 and at most 1, not {recall!r}")
        if neighbours < 1:
            raise SettingsError(f"neighbours is a number of vectors, at least 1, not {neighbours}")
        if corpus.ndim != 2 or not len(corpus):
            raise DataError(f"an index is made of vectors, [rows, width], and at least one; these have the shape {corpus.shape}")
        rows = len(corpus)
        cells = max(1, min(round(4 * rows**0.5), rows // _LEAST_OF_CELL))
        draws = np.random.Generator(np.random.PCG64(_SEED))
        sample = _numbers(corpus[_some(draws, rows, _SAMPLE_OF_CELL * cells)], by, decode)
        width = sample.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.seed, index.cp.max_points_per_centroid = _ITERATIONS, _SEED, _SAMPLE_OF_CELL
        index.cp.min_points_per_centroid, index.cp.spherical = 1, by == "cosine"
        index.train(sample)
        for start in range(0, rows, _ROWS_AT_ONCE):
            index.add(_numbers(corpus[start : start + _ROWS_AT_ONCE], by, decode))
        asked = _some(draws, rows, _QUERIES)
        probes, found = _measured(index, corpus, asked, min(neighbours, rows - 1), recall, by, decode)
        return cls(index, IndexFacts(model, source, by, rows, width, cells, probes, neighbours, found))

    def search(self, queries: Float[Array, "queries width"], top_k: int, *, threads: int | None = None) -> Nearest:
        """The `top_k` nearest that are found for each query, the nearest first, as `nearest_vectors` gives them. A query whose cells
        hold fewer is compared with all vectors. Raises `DataError` for queries of another width."""
        faiss = library(threads)
        if top_k < 1:
            raise SettingsError(f"the number of results must be at least 1, not {top_k}")
        if queries.ndim != 2 or queries.shape[1] != self.facts.width:
            width = queries.shape[-1] if queries.ndim else 0
            raise DataError(f"the queries have {width} features, but the index has {self.facts.width}: encode both in the same way")
        asked = _numbers(queries, self.facts.by, None)
        ids, scores = _visited(faiss, self._index, asked, min(top_k, len(self)), self.facts.probes)
        short = np.flatnonzero((ids < 0).any(axis=1))
        if len(short):
            ids[short], scores[short] = _visited(faiss, self._index, asked[short], ids.shape[1], self.facts.cells)
        order = np.lexsort((ids, -scores), axis=1)  # of equal ones the first
        return Nearest(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))

    # ---- files

    def save(self, path: str | Path) -> Path:
        """Writes the index, and beside it, as `<name>.json`, what it is of. Each appears whole or not at all.

        Raises `CheckpointError` where the disk is full, or the place cannot be written to.
        """
        faiss, path = library(), Path(path).expanduser()
        with atomic_file(path, needed=4 * self.facts.rows * (self.facts.width + 2)) as stream:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(stream.write, 1 << 20))
        write_json(facts_path(path), {"format": _FORMAT, **asdict(self.facts), "file": checksum(path)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote. The file's checksum is compared before faiss, which trusts what it reads, sees it; that is no
        protection against forgery: load indexes of people you trust.

        Raises `MissingExtraError` without faiss, `DataError` where the index is missing, damaged or of another version.
        """
        faiss, path = library(), Path(path).expanduser()
        anew = f"remove '{path}' to have it built anew"
        try:
            stored = read_json(facts_path(path))
        except CheckpointError as error:
            raise DataError(f"'{path}' is no index that bertworks wrote, or {facts_path(path).name} beside it is lost: {anew}") from error
        names = [field.name for field in fields(IndexFacts)]
        if stored.get("format") != _FORMAT or not set(names) <= stored.keys():
            raise DataError(f"'{facts_path(path)}' is of another version of bertworks, or damaged: {anew}")
        try:
            whole = checksum(path) == stored.get("file")
        except OSError as error:
            raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
        facts = IndexFacts(**{name: stored[name] for name in names})
        numbers = (facts.rows, facts.width, facts.cells, facts.probes, facts.neighbours)
        sound = whole and facts.by in get_args(Comparison) and all(type(number) is int and number > 0 for number in numbers)
        index = faiss.read_index(str(path)) if sound else None
        if index is None or (index.ntotal, index.d, getattr(index, "nlist", None)) != (facts.rows, facts.width, facts.cells):
            raise DataError(f"'{path}' is damaged: its bytes are not those that were written; {anew}")
        return cls(index, facts)


def facts_path(path: Path) -> Path:
    """Where it is told what an index is of.

    >>> facts_path(Path("corpus.faiss")).name
    'corpus.faiss.json'
    """
    return path.with_name(f"{path.name}.json")


def library(threads: int | None = None) -> Any:
    """faiss, which computes in so many threads. Raises `MissingExtraError` where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise MissingExtraError.for_package("faiss-cpu", "search", "an index of vectors") from None
    if threads is not None:
        faiss.omp_set_num_threads(threads)
    return faiss


def fingerprint_of(source: Sequence[str] | Shaped[Array, "rows width"]) -> str:
    """A hash of texts, or of vectors, and of their order.

    >>> fingerprint_of(["a", "bc"]) == fingerprint_of(["ab", "c"])
    False
    """
    digest = hashlib.sha256()
    for part in _bytes_of(source):
        digest.update(part)
    return digest.hexdigest()[:32]


def _bytes_of(source: Sequence[str] | Array) -> Iterator[bytes]:
    if isinstance(source, np.ndarray):
        yield json.dumps(["vectors", source.dtype.str, list(source.shape)]).encode()
        for start in range(0, len(source), _ROWS_AT_ONCE):
            yield np.ascontiguousarray(source[start : start + _ROWS_AT_ONCE]).tobytes()
        return
    for text in source:
        whole = text.encode("utf-8", "surrogatepass")
        yield len(whole).to_bytes(8, "little") + whole


def _measured(
    index: Any, corpus: Array, asked: Int[Array, "queries"], count: int, recall: float, by: Comparison, decode: Decode | None
) -> tuple[int, float]:
    """The least power of two of cells (or all) in which so great a share of the nearest of some vectors is found, and that share.
    A vector is not its own neighbour; of vectors that are equally near, any will do."""
    if count < 1:
        return 1, 1.0
    faiss = library()
    queries = _numbers(corpus[asked], by, decode)
    exact = nearest_vectors(queries, corpus, count + 1, by=by, decode=decode)
    least = _without_self(exact.indices, exact.scores, asked)[:, count - 1 : count]
    least = least - _NEARLY * np.maximum(1, np.abs(least))
    probes, found = 1, 0.0
    while True:
        scores = _without_self(*_visited(faiss, index, queries, count + 1, probes), asked)
        found = float((scores[:, :count] >= least).mean())
        if found >= recall or probes >= index.nlist:
            return probes, found
        probes = min(2 * probes, index.nlist)


def _without_self(ids: Int[Array, "queries found"], scores: Float[Array, "queries found"], own: Int[Array, "queries"]) -> Array:
    """Scores of all but each query's own vector, the highest first."""
    return -np.sort(-np.where(ids == own[:, None], -np.inf, scores), axis=1)


def _visited(
    faiss: Any, index: Any, queries: Float[Array, "queries width"], count: int, probes: int
) -> tuple[Int[Array, "queries count"], Float[Array, "queries count"]]:
    """Numbers and scores of the nearest in so many cells; the number -1 where these hold fewer."""
    scores, ids = index.search(queries, count, params=faiss.SearchParametersIVF(nprobe=probes))
    return ids, scores


def _some(draws: np.random.Generator, rows: int, count: int) -> Int[Array, "some"]:
    """Numbers of so many rows, or of all, in their order."""
    return np.arange(rows) if count >= rows else np.sort(draws.choice(rows, count, replace=False))


def _numbers(vectors: Array, by: Comparison, decode: Decode | None) -> Float[Array, "rows width"]:
    numbers = np.asarray(vectors if decode is None else decode(vectors), dtype=np.float32)
    return np.ascontiguousarray(numbers if by == "dot" else unit_vectors(numbers))
