"""Text overlap: Dice's coefficient over tokens, for every pair."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertworks.batch import PackedBatch
from bertworks.tasks.text_overlap import TEXT_OVERLAP, TextOverlap
from bertworks.tokenization import Tokenizer

Pair = tuple[list[int], list[int]]


@pytest.fixture(scope="module")
def objective(tiny_bert: Path) -> TextOverlap:
    return TextOverlap(Tokenizer.load(tiny_bert), weight=3.0)


def batch_of(objective: TextOverlap, pairs: list[Pair]) -> PackedBatch:
    cls, sep = -2, -1
    special = objective._special
    ids = [np.array([special[cls], *one, special[sep], *other, special[sep]]) for one, other in pairs]
    segments = [np.repeat([0, 1], [len(one) + 2, len(other) + 1]) for one, other in pairs]
    return PackedBatch.from_sequences(ids, segments)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(*[st.lists(st.integers(20, 26), max_size=12)] * 2), min_size=1, max_size=5))
def test_the_coefficient_of_dice(objective: TextOverlap, pairs: list[Pair]) -> None:
    batch = batch_of(objective, pairs)
    expected = [2 * (Counter(a) & Counter(b)).total() / max(1, len(a) + len(b)) for a, b in pairs]
    np.testing.assert_allclose(objective.overlaps(batch), expected, rtol=1e-6)


def test_special_tokens_do_not_count_and_copies_agree_wholly(objective: TextOverlap) -> None:
    special = int(objective._special[0])
    pairs = [([20, 21, 22], [22, 20, 21]), ([20, special], [21, special]), ([20, 20, 21], [20, 22]), ([], [])]
    found = objective.overlaps(batch_of(objective, pairs))
    np.testing.assert_allclose(found, [1, 0, 2 / 5, 0])
    assert found.dtype == np.float32


def test_the_target_of_its_head(objective: TextOverlap) -> None:
    batch = batch_of(objective, [([20], [20]), ([20], [21])])
    prepared = objective.prepare(batch, np.zeros(batch.tokens, dtype=bool))
    assert prepared.targets[TEXT_OVERLAP].tolist() == [1, 0]
    assert objective.loss == ("mean_squared_error", {"weight": 3.0})
    metrics = objective.metrics()
    objective.update_metrics(metrics, prepared, {TEXT_OVERLAP: np.array([[0.5], [0.5]])})
    assert metrics.compute()["mean_squared_error"] == pytest.approx(0.25)
