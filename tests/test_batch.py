"""The packed batch: its adapters are inverses, and it refuses what cannot be one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.batch import PackedBatch, ragged_positions
from bertworks.errors import DataError

lengths_of = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def made(lengths: list[int], seed: int = 0) -> PackedBatch:
    """Every array has something of its own in it."""
    generator = np.random.default_rng(seed)
    tokens, count = sum(lengths), len(lengths)
    return PackedBatch.from_sequences(
        [generator.integers(0, 99, n) for n in lengths],
        [generator.integers(0, 2, n) for n in lengths],
        groups=generator.integers(0, 3, count),
        keys=generator.integers(0, 1000, count),
        targets={"label": generator.integers(0, 4, count), "scores": generator.normal(size=(count, 3))},
        token_targets={"tag": generator.integers(0, 5, tokens), "span": generator.normal(size=(tokens, 2))},
    )


def equal(a: PackedBatch, b: PackedBatch) -> bool:
    plain = ("input_ids", "position_ids", "segment_ids", "offsets", "groups", "keys")
    named = [(x, y) for kind in ("targets", "token_targets") for x, y in [(getattr(a, kind), getattr(b, kind))]]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in plain) and all(
        x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x) for x, y in named
    )


@given(lengths_of)
def test_sequences_stand_in_a_row(lengths: list[int]) -> None:
    batch = made(lengths)
    assert batch.tokens == sum(lengths)
    assert batch.sequences == len(lengths)
    assert batch.lengths.tolist() == lengths
    assert batch.offsets.tolist() == np.concatenate([[0], np.cumsum(lengths)]).tolist()
    assert batch.position_ids.tolist() == [i for n in lengths for i in range(n)]
    assert ragged_positions(np.array(lengths)).tolist() == batch.position_ids.tolist()


@given(lengths_of)
def test_padded_and_back(lengths: list[int]) -> None:
    batch = made(lengths)
    mask = batch.to_padded(np.ones(batch.tokens, dtype=np.int64))
    assert mask.sum(1).tolist() == lengths
    again = PackedBatch.from_padded(batch.to_padded(fill=7), mask, batch.to_padded(batch.segment_ids))
    numbered = np.arange(batch.sequences)
    assert equal(again, replace(batch, groups=numbered, keys=numbered, targets={}, token_targets={}))


@given(st.data(), st.integers(1, 5), st.integers(1, 7))
def test_any_mask_keeps_its_positions(data: st.DataObject, rows: int, columns: int) -> None:
    row = st.lists(st.booleans(), min_size=columns, max_size=columns).filter(any)
    mask = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    ids = np.arange(rows * columns).reshape(rows, columns)
    batch = PackedBatch.from_padded(ids, mask)
    for i in range(rows):
        part = slice(batch.offsets[i], batch.offsets[i + 1])
        assert batch.input_ids[part].tolist() == ids[i][mask[i]].tolist()
        assert batch.position_ids[part].tolist() == np.flatnonzero(mask[i]).tolist()
    assert not batch.segment_ids.any()


@given(st.data(), st.integers(1, 5), st.integers(1, 7))
def test_positions_that_leave_out_padding(data: st.DataObject, rows: int, columns: int) -> None:
    """Of each row the tokens that are no padding are numbered, be they shown or not; padding that is shown has none."""
    table = st.lists(st.lists(st.integers(0, 3), min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    ids, shown = np.array(data.draw(table)), np.array(data.draw(table)) > 0
    shown[:, -1] = True
    batch = PackedBatch.from_padded(ids, shown, padding_id=2)
    expected = []
    for row in range(rows):
        number = 0
        for column in range(columns):
            token = ids[row, column] != 2
            expected += [number if token else -1] if shown[row, column] else []
            number += token
    assert batch.position_ids.tolist() == expected
    assert batch.input_ids.tolist() == ids[shown].tolist()


def test_without_a_mask_all_are_tokens() -> None:
    batch = PackedBatch.from_padded(np.array([[3, 4], [0, 6]]))
    assert batch.input_ids.tolist() == [3, 4, 0, 6]
    assert batch.lengths.tolist() == [2, 2]


@given(st.data(), lengths_of)
def test_taken_sequences_keep_what_is_theirs(data: st.DataObject, lengths: list[int]) -> None:
    batch = made(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=10))
    part = batch.take(chosen)
    assert part.sequences == len(chosen)
    for place, number in enumerate(chosen):
        mine, theirs = (slice(b.offsets[i], b.offsets[i + 1]) for b, i in ((part, place), (batch, number)))
        for name in ("input_ids", "position_ids", "segment_ids"):
            assert np.array_equal(getattr(part, name)[mine], getattr(batch, name)[theirs])
        for name, values in batch.token_targets.items():
            assert np.array_equal(part.token_targets[name][mine], values[theirs])
        for name, values in batch.targets.items():
            assert np.array_equal(part.targets[name][place], values[number])
        assert (part.groups[place], part.keys[place]) == (batch.groups[number], batch.keys[number])


@given(lengths_of)
def test_taking_all_changes_nothing(lengths: list[int]) -> None:
    batch = made(lengths)
    assert equal(batch.take(range(batch.sequences)), batch)
    reverse = list(range(batch.sequences))[::-1]
    assert equal(batch.take(reverse).take(reverse), batch)


@given(lengths_of, st.sampled_from([-1.5, 0, 3]))
def test_padded_values_of_any_shape(lengths: list[int], fill: float) -> None:
    batch = made(lengths)
    padded = batch.to_padded(batch.token_targets["span"], fill)
    assert padded.shape == (batch.sequences, max(lengths), 2)
    for i, n in enumerate(lengths):
        assert np.array_equal(padded[i, :n], batch.token_targets["span"][batch.offsets[i] : batch.offsets[i + 1]])
        assert (padded[i, n:] == fill).all()


def test_nothing_is_a_batch_too() -> None:
    empty = PackedBatch.from_sequences([])
    assert (empty.tokens, empty.sequences) == (0, 0)
    assert empty.to_padded().shape == (0, 0)
    assert made([3, 2]).take([]).sequences == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_ids": np.arange(4)}, "4 positions"),
        ({"segment_ids": np.arange(6)}, "6 segments"),
        ({"offsets": np.array([1, 3, 5])}, "offsets"),
        ({"offsets": np.array([0, 3, 4])}, "offsets"),
        ({"offsets": np.array([0, 0, 5])}, "no empty sequence"),
        ({"offsets": np.array([0, 6, 5])}, "offsets"),
        ({"offsets": np.array([], dtype=np.int64)}, "offsets"),
        ({"groups": np.arange(3)}, "3 groups"),
        ({"keys": np.arange(1)}, "1 keys"),
        ({"targets": {"label": np.zeros(3)}}, "3 targets 'label' for 2 sequences"),
        ({"token_targets": {"tag": np.zeros(2)}}, "2 targets 'tag' for 5 tokens"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(made([3, 2]), **changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PackedBatch.from_sequences([[1], []]), "no empty sequence"),
        (lambda: PackedBatch.from_sequences([[1, 2]], [[0]]), "differ in length"),
        (lambda: PackedBatch.from_sequences([[1, 2], [3]], [[0, 0]]), "differ in length"),
        (lambda: PackedBatch.from_padded(np.zeros(3, dtype=int)), r"\[sequences, length\]"),
        (lambda: PackedBatch.from_padded(np.zeros((2, 3), dtype=int), np.ones((2, 2))), "shapes"),
        (lambda: PackedBatch.from_padded(np.zeros((2, 3), dtype=int), None, np.ones((3, 2), dtype=int)), "shapes"),
        (lambda: PackedBatch.from_padded(np.zeros((2, 2), dtype=int), np.array([[1, 0], [0, 0]])), "row 1 has no token"),
        (lambda: made([2, 3]).to_padded(np.zeros(4)), "4 values for 5 tokens"),
    ],
)
def test_bad_input_is_a_data_error(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
