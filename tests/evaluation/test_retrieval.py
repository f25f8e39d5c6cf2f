"""Metrics of search and of vectors' nearness: their definitions, scikit-learn's and scipy's figures, and intervals."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, ndcg_score

from bertworks.errors import DataError
from bertworks.evaluation.retrieval import PairRankingMetrics, RetrievalMetrics, ranked_gains
from bertworks.evaluation.similarity import SimilarityMetrics, TripletMetrics


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def problem(queries: int, documents: int, seed: int) -> tuple[Any, Any]:
    """Scores of all documents, and graded relevance, some queries with one relevant document and some with many."""
    draw = draws(seed)
    scores = draw.permuted(np.tile(np.arange(documents, dtype=float), (queries, 1)), axis=1)
    wanted = draw.random((queries, documents)) < draw.choice([0.03, 0.3], (queries, 1))
    relevance = np.where(wanted, draw.integers(1, 4, (queries, documents)), 0)
    relevance[relevance.sum(axis=1) == 0, 0] = 2
    return scores, relevance


def updated(metrics: RetrievalMetrics, scores: Any, relevance: Any) -> RetrievalMetrics:
    order = np.argsort(-scores, axis=1)
    metrics.update(np.take_along_axis(relevance, order, axis=1).astype(float), [row[row > 0].astype(float) for row in relevance])
    return metrics


def test_equal_to_scikit_learn() -> None:
    scores, relevance = problem(40, 60, 1)
    found = updated(RetrievalMetrics(), scores, relevance).compute()
    assert found["rows"] == 40
    assert found["ndcg@10"] == pytest.approx(ndcg_score(relevance, scores, k=10))
    precisions = [average_precision_score(truth > 0, row) for truth, row in zip(relevance, scores, strict=True)]
    assert found["map@100"] == pytest.approx(np.mean(precisions))  # rankings are complete: there are 60 documents


def test_equal_to_the_definitions() -> None:
    scores, relevance = problem(25, 200, 2)
    found = updated(RetrievalMetrics(), scores, relevance).compute()
    reciprocal, recalls, precision = [], {1: [], 10: [], 100: []}, []
    for row, truth in zip(scores, relevance, strict=True):
        ranking = sorted(range(200), key=lambda d: -row[d])
        first = next((rank for rank, d in enumerate(ranking[:10], 1) if truth[d] > 0), None)
        reciprocal.append(1 / first if first else 0.0)
        count = int((truth > 0).sum())
        for k, values in recalls.items():
            values.append(sum(truth[d] > 0 for d in ranking[:k]) / count)
        hits = [truth[d] > 0 for d in ranking[:100]]
        precision.append(sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / count)
    assert found["mrr@10"] == pytest.approx(np.mean(reciprocal))
    assert found["map@100"] == pytest.approx(np.mean(precision))
    for k, values in recalls.items():
        assert found[f"recall@{k}"] == pytest.approx(np.mean(values))


def test_parts_are_merged_and_intervals_hold_the_value() -> None:
    scores, relevance = problem(60, 30, 3)
    whole = updated(RetrievalMetrics(replicates=200), scores, relevance)
    one = updated(RetrievalMetrics(replicates=200), scores[:25], relevance[:25])
    one.merge(updated(RetrievalMetrics(replicates=200, first_row=25), scores[25:], relevance[25:]))
    for name, (low, high) in whole.compute()["intervals"].items():
        assert 0 <= low <= whole.compute()[name] <= high <= 1
        assert one.compute()[name] == pytest.approx(whole.compute()[name])
        assert one.compute()["intervals"][name] == pytest.approx([low, high])


def test_queries_without_an_answer_are_counted_and_left_out() -> None:
    metrics = RetrievalMetrics()
    metrics.update(np.array([[1.0, 0.0], [0.0, 0.0]]), [np.array([1.0]), np.zeros(0)])
    assert metrics.compute()["rows"] == 1
    assert metrics.compute()["queries_without_answer"] == 1
    assert metrics.compute()["mrr@10"] == 1
    with pytest.raises(DataError, match="no rows"):
        RetrievalMetrics().compute()


def test_gains_of_a_search() -> None:
    corpus = np.eye(4, dtype=np.float32)
    gains, relevant = ranked_gains(np.array([[0.1, 0.9, 0.0, 0.5]], dtype=np.float32), corpus, [{3: 2.0, 0: 1.0}])
    assert gains.tolist() == [[0, 2, 1, 0]]
    assert sorted(relevant[0].tolist()) == [1, 2]


def test_partners_are_ranked_among_all() -> None:
    """The definition, a row at a time: equal texts are no wrong answers, equal scores stand before the right one."""
    draw = draws(4)
    rows, roles, same, vectors = [], [], [], []
    for row in range(20):
        for role in range(2 + row % 3):
            rows.append(row)
            roles.append(role)
            same.append(int(draw.integers(25)))
            vectors.append(draw.standard_normal(3))
    arrays = np.array(vectors, dtype=np.float32), np.array(rows), np.array(roles), np.array(same)
    vectors = arrays[0] / np.linalg.norm(arrays[0], axis=1, keepdims=True)
    at = {(row, role): place for place, (row, role) in enumerate(zip(rows, roles, strict=True))}
    reciprocal, triplets = [], []
    for row in range(20):
        anchor, partner = at[row, 0], at[row, 1]
        own = float(vectors[anchor] @ vectors[partner])
        rank = 1
        for (other, role), place in at.items():
            if role == 0 or place == partner:
                continue
            like = same[place] in (same[anchor], same[partner]) or (role == 1 and same[at[other, 0]] == same[anchor])
            rank += not like and float(vectors[anchor] @ vectors[place]) >= own
        reciprocal.append(1 / rank if rank <= 10 else 0)
        triplets += [own > float(vectors[anchor] @ vectors[at[row, role]]) for role in range(2, 2 + row % 3)]
    metrics = PairRankingMetrics()
    cut = sum(row < 9 for row in rows)
    metrics.update(*(part[:cut] for part in arrays))
    other = PairRankingMetrics()
    other.update(*(part[cut:] for part in arrays))
    metrics.merge(other)
    found = metrics.compute()
    assert found["mrr@10"] == pytest.approx(np.mean(reciprocal))
    assert found["triplet_accuracy"] == pytest.approx(np.mean(triplets))


def test_vectors_that_are_all_alike_find_nothing() -> None:
    count = 30
    metrics = PairRankingMetrics()
    metrics.update(np.ones((2 * count, 4), np.float32), np.repeat(np.arange(count), 2), np.tile([0, 1], count), np.arange(2 * count))
    assert metrics.compute()["mrr@10"] == 0


def test_similarities_follow_scores_as_scipy_says() -> None:
    draw = draws(5)
    scores = draw.integers(0, 6, 200).astype(float)
    cosines = scores / 8 + draw.standard_normal(200) / 5
    metrics = SimilarityMetrics(replicates=200)
    for part in range(4):
        metrics.update(scores[part::4], cosines[part::4])
    found = metrics.compute()
    assert found["spearman"] == pytest.approx(spearmanr(scores, cosines.astype(np.float32)).statistic)
    assert found["pearson"] == pytest.approx(pearsonr(scores, cosines).statistic)
    assert set(found) == {"rows", "spearman", "pearson", "intervals"}
    assert set(found["intervals"]) == {"spearman", "pearson"}


def test_triplets() -> None:
    metrics, other = TripletMetrics(replicates=100), TripletMetrics(replicates=100, first_row=2)
    metrics.update(np.array([0.9, 0.5]), np.array([0.1, 0.5]))
    other.update(np.array([0.3]), np.array([0.2]))
    metrics.merge(other)
    found = metrics.compute()
    assert found["triplet_accuracy"] == pytest.approx(2 / 3)
    assert found["intervals"]["triplet_accuracy"][0] < 2 / 3 < found["intervals"]["triplet_accuracy"][1]


def test_by_the_dot_product_long_vectors_stand_first() -> None:
    """The second text of the other row points elsewhere, but is so long that its product is the greatest."""
    vectors = np.array([[1, 0], [1, 0.1], [0.2, 1], [9, 9]], dtype=np.float32)
    rows, roles, same = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.arange(4)
    found = {}
    for by in ("cosine", "dot"):
        metrics = PairRankingMetrics(by=by)
        metrics.update(vectors, rows, roles, same)
        found[by] = metrics.compute()["mrr@10"]
    assert found == {"cosine": 1.0, "dot": 0.75}
    triplets = PairRankingMetrics(by="dot")
    triplets.update(vectors[[0, 1, 3]], np.zeros(3, dtype=int), np.arange(3), np.arange(3))
    assert triplets.compute()["triplet_accuracy"] == 0


def test_vectors_that_are_no_numbers_are_no_perfect_ranking() -> None:
    wrong = np.full((4, 2), np.nan, dtype=np.float32)
    with pytest.raises(DataError, match="vectors must be finite"):
        PairRankingMetrics().update(wrong, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.arange(4))
    for queries, corpus in ((wrong, np.eye(2)), (np.eye(2), wrong)):
        with pytest.raises(DataError, match="vectors must be finite"):
            ranked_gains(queries, corpus, [{0: 1.0}] * len(queries))


def test_gains_below_zero_are_those_of_irrelevant_texts() -> None:
    """As trec_eval has it."""
    found = {}
    for gain in (0.0, -1.0):
        metrics = RetrievalMetrics()
        metrics.update(np.array([[gain, 2.0, 1.0]]), [np.array([2.0, 1.0, gain])])
        found[gain] = metrics.compute()
    assert found[-1.0] == found[0.0]
