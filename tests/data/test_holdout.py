"""Rows held out for validation."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.holdout import Division, hold_out
from bertworks.data.table import split_names
from bertworks.errors import DataError, SettingsError


@given(st.lists(st.sampled_from("abc"), max_size=60), st.floats(0, 0.99), st.integers(0, 5))
def test_rows_are_parted_and_each_class_keeps_its_share(labels: list[str], fraction: float, seed: int) -> None:
    kept, held = hold_out(labels, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert all(np.array_equal(a, b) for a, b in zip((kept, held), hold_out(labels, fraction, seed), strict=True))
    counts = Counter(labels)
    of_held = Counter(labels[i] for i in held)
    assert all(abs(of_held[label] - count * fraction) <= 1 for label, count in counts.items())
    assert {labels[i] for i in kept} == set(labels)


def test_seeds_differ_and_rows_may_be_alike() -> None:
    labels = ["a", "b"] * 50
    assert hold_out(labels, 0.2, 0)[1].tolist() != hold_out(labels, 0.2, 1)[1].tolist()
    assert len(Division.free(20).hold_out(0.25, 0)[1]) == 5
    assert [rows.tolist() for rows in Division.free(3).hold_out(0.0, 0)] == [[0, 1, 2], []]


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), max_size=40), st.floats(0, 0.99), st.integers(0, 5))
def test_a_feature_is_never_held_out_alone(features: list[set[str]], fraction: float, seed: int) -> None:
    division = replace(Division.free(len(features)), features=features)
    kept, held = division.hold_out(fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(features)))
    assert set().union(*(features[i] for i in kept)) == set().union(*features)
    plain = Division.free(len(features)).hold_out(fraction, seed)[1]
    assert set(held) <= set(plain), "where nothing would be missed the rows are the same"
    assert len(plain) - len(held) <= 6
    assert division.part(held).features == [features[i] for i in held]


@pytest.mark.parametrize("fraction", [-0.1, 1, 2])
def test_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(SettingsError, match="validation_fraction"):
        hold_out(["a", "b"], fraction, 0)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.integers(2, 5), st.integers(0, 5))
def test_folds_have_every_row_once_and_keep_groups_whole(groups: list[str], count: int, seed: int) -> None:
    division, sizes = Division(groups, together=True), Counter(groups)
    if count > len(sizes):
        with pytest.raises(DataError, match=f"{len(sizes)} groups that belong together cannot be divided into {count} folds"):
            division.folds(count, seed)
        return
    folds = division.folds(count, seed)
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(groups)))
    names = [{groups[row] for row in fold} for fold in folds]
    assert sum(map(len, names)) == len(sizes), "no group stands in two folds"
    assert min(map(len, names)) >= 1
    assert max(map(len, folds)) - min(map(len, folds)) <= max(sizes.values())


def test_the_usual_names_of_splits() -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"text": ["a"]})
    found = split_names(datasets.DatasetDict({"training": rows, "dev": rows, "extra": rows}))
    assert found == {"train": "training", "validation": "dev"}
    assert split_names([{"text": "a"}]) == {}
