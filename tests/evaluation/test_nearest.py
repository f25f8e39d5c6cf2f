"""The nearest vectors are those that a look at all of them finds, however they are cut into blocks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import nearest
from bertworks.evaluation.nearest import bitext_pairs, nearest_pairs, nearest_vectors, similarities


@pytest.fixture(params=[(512, 1 << 23), (3, 30), (1, 1)])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_QUERIES_AT_ONCE", request.param[0])
    monkeypatch.setattr(nearest, "_SCORES_AT_ONCE", request.param[1])


def vectors(rows: int, width: int = 5, seed: int = 0) -> Any:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((rows, width)).astype(np.float32)


def slow_cosines(a: Any, b: Any) -> Any:
    return np.array([[float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for y in b] for x in a])


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("by", ["cosine", "dot"])
def test_all_are_compared(by: str) -> None:
    queries, corpus = vectors(7, seed=1), vectors(41, seed=2) * 3
    scores = slow_cosines(queries, corpus) if by == "cosine" else queries @ corpus.T
    for top in (1, 4, 41, 99):
        found = nearest_vectors(queries, corpus, top, by=by)  # type: ignore[arg-type]
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        np.testing.assert_array_equal(found.indices, order)
        np.testing.assert_allclose(found.scores, np.take_along_axis(scores, order, axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("blocks")
def test_of_equal_vectors_the_first_are_found() -> None:
    corpus = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)[np.array([0, 5, 1, 10, 6, 2, 11, 7, 3, 12])]
    found = nearest_vectors(np.eye(3, dtype=np.float32)[:2], corpus, 3)
    assert found.indices.tolist() == [[0, 2, 5], [1, 4, 7]]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=12), st.integers(1, 12))
def test_ties_never_change_the_result(rows: list[list[int]], top: int) -> None:
    corpus = np.array(rows, dtype=np.float32)
    found = nearest_vectors(corpus[:1], corpus, top, by="dot")
    wanted = sorted(range(len(rows)), key=lambda i: (-float(corpus[0] @ corpus[i]), i))[:top]
    assert found.indices[0].tolist() == wanted


@pytest.mark.usefixtures("blocks")
def test_the_nearest_pairs_of_all() -> None:
    rows = vectors(23, seed=4)
    scores = slow_cosines(rows, rows)
    every = sorted((-scores[i, j], i, j) for i in range(23) for j in range(i + 1, 23))
    for most, least in ((1, -1.0), (10, -1.0), (300, -1.0), (50, 0.5)):
        found = nearest_pairs(rows, most, least=least)
        wanted = [(i, j) for score, i, j in every if -score >= least][:most]
        assert [(pair.first, pair.second) for pair in found] == wanted
        np.testing.assert_allclose([pair.score for pair in found], [scores[i, j] for i, j in wanted], rtol=1e-5, atol=1e-6)


def test_translations_are_found_by_their_margin() -> None:
    """The definition, pair by pair: the ratio to the mean of both sides' nearest neighbours, then the best pairs first."""
    first = vectors(30, 8, seed=5)
    order = np.random.Generator(np.random.PCG64(6)).permutation(30)
    second = first[order] + 0.3 * vectors(30, 8, seed=7)
    cosines = slow_cosines(first, second)
    of_first, of_second = (np.sort(c, axis=1)[:, -4:].mean(axis=1) for c in (cosines, cosines.T))
    margins = cosines / ((of_first[:, None] + of_second) / 2)
    near = {(i, j) for i in range(30) for j in np.argsort(-cosines[i])[:4]}
    candidates = {(i, max((j for j in range(30) if (i, j) in near), key=lambda j: margins[i, j])) for i in range(30)}
    back = {(i, j) for j in range(30) for i in np.argsort(-cosines[:, j])[:4]}
    candidates |= {(max((i for i in range(30) if (i, j) in back), key=lambda i: margins[i, j]), j) for j in range(30)}
    wanted: list[tuple[int, int]] = []
    for i, j in sorted(candidates, key=lambda pair: -margins[pair]):
        if all(i != a and j != b for a, b in wanted):
            wanted.append((i, j))
    found = bitext_pairs(first, second)
    assert [(pair.first, pair.second) for pair in found] == wanted
    assert np.mean([order[pair.second] == pair.first for pair in found]) > 0.9
    sure = bitext_pairs(first, second, least=1.5)
    assert 0 < len(sure) < len(found)
    assert all(pair.score >= 1.5 for pair in sure)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        nearest_vectors(vectors(1), vectors(2), 0)
    with pytest.raises(DataError, match="5 features, but the corpus has 4"):
        nearest_vectors(vectors(1), vectors(2, 4), 1)
    with pytest.raises(DataError, match="at least one"):
        nearest_vectors(vectors(1), vectors(0), 1)


def test_where_even_the_nearest_are_no_nearer_than_at_random_there_are_no_translations() -> None:
    """The ratio of two negative cosines is positive, and the greater the further the two are apart."""
    draw = np.random.Generator(np.random.PCG64(8))
    first = np.abs(draw.standard_normal((6, 4))).astype(np.float32)
    assert bitext_pairs(first, -first, least=0.0) == []
    both = bitext_pairs(np.concatenate([first, [[-9, -9, -9, -9]]]), np.concatenate([first, [[9, 9, 9, 9]]]), neighbours=3)
    assert all(6 not in (pair.first,) for pair in both)
    assert {(pair.first, pair.second) for pair in both} >= {(i, i) for i in range(6)}


def test_similarities_are_cosines_or_products() -> None:
    first, second = vectors(7, seed=1), vectors(7, seed=2)
    np.testing.assert_allclose(similarities(first, second, "dot"), (first * second).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(similarities(first, second), np.diag(slow_cosines(first, second)), rtol=1e-5)
