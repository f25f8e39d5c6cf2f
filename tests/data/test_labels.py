import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from bertworks.data.labels import read_labels
from bertworks.errors import DataError, SettingsError


def read(values: list[Any], kind: str = "auto") -> tuple[str, list[Any]]:
    labels = read_labels(pa.chunked_array([pa.array(values)]), kind, "x, column 'label'")
    return labels.kind, labels.values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["pos", "neg", ""], ("single", ["pos", "neg", None])),
        (["0", "1", "-1"], ("single", [0, 1, -1])),
        (["0", "1", "x"], ("single", ["0", "1", "x"])),
        (["007", "1"], ("single", ["007", "1"])),
        (["9" * 20, "1"], ("single", ["9" * 20, "1"])),
        (["+5", "1"], ("single", [5, 1])),
        (["1E50", "2E10", "3"], ("single", ["1E50", "2E10", "3"])),
        (["1e-05", "1", "2"], ("number", [1e-05, 1.0, 2.0])),
        ([3, None, 5], ("single", [3, None, 5])),
        ([True, False], ("single", ["True", "False"])),
        ([1.0, 0.0, math.nan], ("single", [1, 0, None])),
        (["1.0", "0.0"], ("single", [1, 0])),
        (["1.0", "inf"], ("single", ["1.0", "inf"])),
        ([1.0, 0.5], ("number", [1.0, 0.5])),
        (["1", "0.5", ""], ("number", [1.0, 0.5, None])),
        ([Decimal("1.5"), None], ("number", [1.5, None])),
        ([float(i) for i in range(21)], ("number", [float(i) for i in range(21)])),
        (list(range(21)), ("single", list(range(21)))),
        ([["a", "b"], [], None], ("multi", [("a", "b"), (), None])),
        ([[1, 1, 2]], ("multi", [("1", "2")])),
        (["a|b", "a"], ("single", ["a|b", "a"])),
    ],
)
def test_what_labels_are(values: list[Any], expected: tuple[str, list[Any]]) -> None:
    assert read(values) == expected


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a|b, c", "d", ""], "multi", [("a", "b, c"), ("d",), ()]),
        (["a; b", "c"], "multi", [("a", "b"), ("c",)]),
        (["a,b", "c"], "multi", [("a", "b"), ("c",)]),
        (['["a", "b"]', "['c']", "[]"], "multi", [("a", "b"), ("c",), ()]),
        ([3, None], "multi", [("3",), None]),
        ([1, 2, None], "number", [1.0, 2.0, None]),
        (["1", "2.5"], "single", ["1", "2.5"]),
        ([1.5, 2.0], "single", ["1.5", "2.0"]),
    ],
)
def test_kinds_that_are_asked_for(values: list[Any], kind: str, expected: list[Any]) -> None:
    assert read(values, kind) == (kind, expected)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["1", "many"], "number", r"'many' in row 1 \(the first is 0\) is not a number"),
        (["1", "inf"], "number", "row 1 .* is infinite"),
        ([["a"]], "single", 'use kind="multi"'),
        ([[None]], "multi", "something else than label names"),
        (["[b]", "[c]"], "multi", "is not a list of labels"),
        ([{"a": 1}], "auto", "which cannot be a label"),
    ],
)
def test_labels_that_are_none(values: list[Any], kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(values, kind)


def test_outer_spaces_are_taken_off_and_counted() -> None:
    labels = read_labels(pa.chunked_array([[" pos", "pos", "neg "]]), "auto", "x")
    assert (labels.values, dict(labels.notes)) == (["pos", "pos", "neg"], {"label stripped of outer spaces": 2})


def test_whole_numbers_that_are_written_otherwise_are_counted() -> None:
    """As a column of integers is written where rows without a label made it one of floats."""
    labels = read_labels(pa.chunked_array([["1.0", "1", "0.", "", "+1"]]), "auto", "x")
    assert (labels.values, dict(labels.notes)) == ([1, 1, 0, None, 1], {"label written as 1.0 or +1, taken as the whole number": 3})
    assert not read_labels(pa.chunked_array([[1.0, 0.0]]), "auto", "x").notes


def test_dictionary_columns_and_wrong_kinds() -> None:
    assert read_labels(pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()]), "auto", "x").values == ["a", "b", "a"]
    with pytest.raises(SettingsError, match="kind is"):
        read(["a"], "binary")
