"""The deletion curve, on answers that are known functions of the words that are left."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import DataError
from bertworks.explain.deletion import BINS, RANDOM_ORDERS, deletion_curve

Array = np.ndarray[Any, Any]


def additive(shares: Sequence[float]) -> Callable[[Sequence[Array]], Array]:
    """An answer that is the sum of the shares of the words that are left."""
    values = np.asarray(shares, dtype=np.float64)
    return lambda removed: np.array([values.sum() - values[words].sum() for words in removed])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_no_order_of_an_additive_answer_beats_its_shares(shares: list[float]) -> None:
    curve = deletion_curve(np.array(shares), additive(shares), quantity="P")
    orders = np.concatenate([curve.random, curve.least_first[None]])
    assert (curve.most_first <= orders.min(axis=0) + 1e-9).all()
    assert (curve.least_first >= curve.random.max(axis=0) - 1e-9).all()
    assert curve.most_first[0] == pytest.approx(sum(shares))
    assert curve.most_first[-1] == pytest.approx(0, abs=1e-9)


def test_every_point_is_the_answer_without_the_words_it_names() -> None:
    shares = np.random.default_rng(0).normal(size=30)
    curve = deletion_curve(shares, additive(shares), quantity="P")
    for count, most, least in zip(curve.removed, curve.most_first, curve.least_first, strict=True):
        assert most == pytest.approx(sum(sorted(shares)[: 30 - count]))
        assert least == pytest.approx(sum(sorted(shares)[count:]))


def test_the_area_is_that_of_the_paper() -> None:
    shares = np.random.default_rng(1).normal(size=57)
    curve = deletion_curve(shares, additive(shares), quantity="P")
    falls = [sum(sorted(shares)[-math.ceil(share * 57) :]) for share in BINS]
    assert curve.comprehensiveness == pytest.approx(sum(falls) / (len(BINS) + 1))


@pytest.mark.parametrize("words", [8, 20, 300])
def test_the_verdict(words: int) -> None:
    shares = np.random.default_rng(2).normal(size=words)
    right = deletion_curve(shares, additive(shares), quantity="P(good)")
    assert right.faithful
    assert (right.beaten, len(right.random)) == (RANDOM_ORDERS, RANDOM_ORDERS)
    assert "is faithful here" in right.sentence
    for wrong in (deletion_curve(-shares, additive(shares), quantity="P"), deletion_curve(shares, additive(0 * shares), quantity="P")):
        assert wrong.faithful is False
        assert (wrong.beaten, "not shown to be faithful" in wrong.sentence) == (0, True)


def test_the_sentence_tells_the_numbers() -> None:
    shares = [0.4, 0.3, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    sentence = deletion_curve(np.array(shares), additive(shares), quantity="P(good)").sentence
    assert sentence.startswith("Without the 3 most important of 10 words, P(good) goes from 0.80 to 0.00; without 3 random ones, to 0.")


def test_short_texts_are_not_judged() -> None:
    for words in range(1, 8):
        curve = deletion_curve(np.ones(words), additive([1.0] * words), quantity="P")
        assert curve.faithful is None
        assert "too short to tell" in curve.sentence
    with pytest.raises(DataError, match="no word"):
        deletion_curve(np.zeros(0), additive([]), quantity="P")


def test_it_asks_once_and_repeats_itself() -> None:
    asked: list[int] = []

    def answers(removed: Sequence[Array]) -> Array:
        asked.append(len(removed))
        return np.array([1.0 / (1 + len(words)) for words in removed])

    first, second = (deletion_curve(np.arange(40.0), answers, quantity="P") for _ in range(2))
    assert len(asked) == 2
    assert np.array_equal(first.random, second.random)
