"""Metrics of search: how high what is relevant stands in the ranking of each query.

Definitions are those of trec_eval: gains are linear, a query's ideal ranking is made of all its relevant documents, and the
precisions of MAP are divided by the number of relevant documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, checked_replicates, merge_replicates
from bertworks.evaluation.checks import check_finite
from bertworks.evaluation.intervals import Method, interval_lists
from bertworks.evaluation.metrics import require_rows
from bertworks.evaluation.nearest import Comparison, nearest_vectors, similarities, unit_vectors
from bertworks.evaluation.similarity import TripletMetrics

DEPTH = 100
"""How many documents of each ranking are looked at."""
_RECALLS = (1, 10, 100)
NAMES = ("ndcg@10", "mrr@10", "map@100", *(f"recall@{k}" for k in _RECALLS))


class RetrievalMetrics:
    """nDCG@10 (Järvelin & Kekäläinen 2002), MRR@10, MAP@100 and recall of rankings, as means over queries.

    With `replicates`, `compute` adds 95 % intervals over queries. A query without a relevant document says nothing: it is
    counted, and left out.

    >>> metrics = RetrievalMetrics()
    >>> metrics.update(np.array([[0.0, 1.0, 0.0]]), [np.array([1.0])])
    >>> round(metrics.compute()["mrr@10"], 3), round(metrics.compute()["ndcg@10"], 3)
    (0.5, 0.631)
    """

    headline: ClassVar[str] = "ndcg@10"
    higher_is_better: ClassVar[bool] = True
    methods: ClassVar[Mapping[str, Method]] = dict.fromkeys(NAMES, "accelerated")

    def __init__(self, *, replicates: int = 0, seed: int = 0, first_row: int = 0) -> None:
        self.queries = 0
        self.without_answer = 0
        self.sums: Float[Array, "metrics"] = np.zeros(len(NAMES))
        count = checked_replicates(replicates) if replicates else 0
        self.replicates = Replicates(count, 1 + len(NAMES), seed=seed, first_row=first_row) if count else None

    def update(self, gains: Float[Array, "queries ranks"], relevant: Sequence[Float[Array, "documents"]]) -> None:
        """Adds queries: the gain (0: not relevant) of each document that was found, the first first, and the gains of all
        documents that are relevant to the query. Rankings shorter than 100 are complete with gains of 0; gains below count as 0."""
        gains = np.maximum(np.asarray(gains, dtype=np.float64), 0)
        if gains.ndim != 2 or len(gains) != len(relevant):
            raise DataError(f"gains must be [queries, ranks]; got {gains.shape} for {len(relevant)} queries")
        has = np.array([bool((np.asarray(wanted) > 0).any()) for wanted in relevant], dtype=bool)
        self.without_answer += int((~has).sum())
        rows = np.array([_of_query(found, np.asarray(wanted)) for found, wanted, any_ in zip(gains, relevant, has, strict=True) if any_])
        if not len(rows):
            return
        self.queries += len(rows)
        self.sums += rows.sum(axis=0)
        if self.replicates is not None:
            self.replicates.add(np.concatenate([np.ones((len(rows), 1)), rows], axis=1))

    def merge(self, other: "RetrievalMetrics") -> None:
        """Adds the queries that `other` has seen."""
        merge_replicates(self.replicates, other.replicates)
        self.queries += other.queries
        self.without_answer += other.without_answer
        self.sums = self.sums + other.sums

    def values(self, sums: Float[Array, "*replicates columns"]) -> dict[str, Float[Array, "*replicates"]]:
        """Each metric from sums over queries, of which the first counts them."""
        return {name: sums[..., 1 + place] / sums[..., 0] for place, name in enumerate(NAMES)}

    def compute(self) -> dict[str, Any]:
        """All metrics, each in [0, 1], and the number of `queries`. Raises `DataError` where no query was seen."""
        require_rows(self.queries)
        found: dict[str, Any] = {"rows": self.queries}
        found |= {"queries_without_answer": self.without_answer} if self.without_answer else {}
        found |= {name: float(total / self.queries) for name, total in zip(NAMES, self.sums, strict=True)}
        return found | interval_lists(self, self.replicates)


def _of_query(gains: Float[Array, "ranks"], relevant: Float[Array, "documents"]) -> list[float]:
    gains, ideal = gains[:DEPTH], np.sort(relevant[relevant > 0])[::-1]
    hits = gains > 0
    discounts = 1 / np.log2(np.arange(2, 12))
    gained = float((gains[:10] * discounts[: len(gains[:10])]).sum() / (ideal[:10] * discounts[: len(ideal[:10])]).sum())
    first = int(hits.argmax()) + 1 if hits.any() else 0
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    recalls = [float(hits[:k].sum() / len(ideal)) for k in _RECALLS]
    return [gained, 1 / first if 0 < first <= 10 else 0.0, float((precisions * hits).sum() / len(ideal)), *recalls]


class PairRankingMetrics:
    """Rows of texts that belong together: how high each row's second text stands among the second texts (and negatives) of
    all rows, when they are ranked by their cosine to the first, or their dot product with it (`by`); and, of rows with negatives,
    the triplet accuracy.

    What the first text is equal to, and the second texts of equal first ones, are no wrong answers: they are left out.
    All vectors are kept until `compute`, as float32.
    """

    headline: ClassVar[str] = "ndcg@10"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, replicates: int = 0, by: Comparison = "cosine") -> None:
        self.replicate_count = replicates
        self.by: Comparison = by
        self.parts: list[tuple[Float[Array, "texts width"], Int[Array, "texts"], Int[Array, "texts"], Int[Array, "texts"]]] = []

    def update(
        self, vectors: Float[Array, "texts width"], rows: Int[Array, "texts"], roles: Int[Array, "texts"], same: Int[Array, "texts"]
    ) -> None:
        """Adds texts: the row that each is of, its role there (0 first, 1 second, from 2 on negatives), and a number that equal
        texts share. Raises `DataError` where a vector is not finite."""
        check_finite(vectors, "vectors")
        self.parts.append((np.asarray(vectors, dtype=np.float32), rows, roles, same))

    def merge(self, other: "PairRankingMetrics") -> None:
        """Adds the rows that `other` has seen."""
        self.parts += other.parts

    def compute(self) -> dict[str, Any]:
        """The metrics of `RetrievalMetrics`, and `triplet_accuracy` where there are negatives."""
        require_rows(len(self.parts))
        vectors, rows, roles, same = (np.concatenate([part[i] for part in self.parts]) for i in range(4))
        first, second = np.flatnonzero(roles == 0), np.flatnonzero(roles > 0)
        metrics = RetrievalMetrics(replicates=self.replicate_count)
        for start in range(0, len(first), 512):
            queries = first[start : start + 512]
            metrics.update(_gains(vectors, rows, roles, same, queries, second, self.by), [np.ones(1)] * len(queries))
        negative = np.flatnonzero(roles > 1)
        if not len(negative):
            return metrics.compute()
        row_of = {int(row): place for place, row in zip(first, rows[first], strict=True)}
        right = {int(row): place for place, row in zip(np.flatnonzero(roles == 1), rows[roles == 1], strict=True)}
        anchors, positives = (np.array([of[int(rows[n])] for n in negative]) for of in (row_of, right))
        triplets = TripletMetrics(replicates=self.replicate_count)
        triplets.update(*(similarities(vectors[anchors], vectors[others], self.by) for others in (positives, negative)))
        told = triplets.compute()
        found = metrics.compute() | {"triplet_accuracy": told["triplet_accuracy"]}
        if "intervals" in told:
            found["intervals"] |= told["intervals"]
        return found


def _gains(
    vectors: Float[Array, "texts width"],
    rows: Int[Array, "texts"],
    roles: Int[Array, "texts"],
    same: Int[Array, "texts"],
    queries: Int[Array, "queries"],
    candidates: Int[Array, "candidates"],
    by: Comparison,
) -> Float[Array, "queries ranks"]:
    """A 1 at the rank of each query's own second text; a candidate with an equal score stands before it."""
    if by == "cosine":
        vectors = unit_vectors(vectors)
    scores = vectors[queries] @ vectors[candidates].T
    own = (rows[candidates] == rows[queries][:, None]) & (roles[candidates] == 1)
    best = np.where(own, scores, -np.inf).max(axis=1)
    wanted = same[candidates][own.argmax(axis=1)]
    first_of_row = dict(zip(rows[roles == 0].tolist(), same[roles == 0].tolist(), strict=True))
    asked = np.array([first_of_row[row] for row in rows[candidates].tolist()])
    like = (same[candidates] == same[queries][:, None]) | (same[candidates] == wanted[:, None])
    like |= (asked == same[queries][:, None]) & (roles[candidates] == 1)
    ranks = ((scores >= best[:, None]) & ~like & ~own).sum(axis=1)
    gains: Array = np.zeros((len(queries), DEPTH))
    seen = ranks < DEPTH
    gains[seen, ranks[seen]] = 1
    return gains


def ranked_gains(
    queries: Shaped[Array, "queries width"],
    corpus: Shaped[Array, "corpus width"],
    relevance: Sequence[Mapping[int, float]],
    by: Comparison = "cosine",
) -> tuple[Float[Array, "queries ranks"], list[Float[Array, "documents"]]]:
    """What `RetrievalMetrics.update` takes, for queries and a corpus as vectors. `relevance` gives, for each query, the gain of
    each relevant document by its number in the corpus. Raises `DataError` where a vector is not finite."""
    for vectors in (queries, corpus):
        check_finite(vectors, "vectors")
    found = nearest_vectors(queries, corpus, DEPTH, by=by)
    gains = np.array([[wanted.get(int(i), 0.0) for i in row] for row, wanted in zip(found.indices, relevance, strict=True)])
    return gains.reshape(len(queries), -1), [np.array(list(wanted.values()), dtype=np.float64) for wanted in relevance]
