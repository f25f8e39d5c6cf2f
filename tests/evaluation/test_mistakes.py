"""The most confident mistakes: those of sorting everything, in any split."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import ConfidentMistakes, Mistake

LABELS = ["a", "b", "c"]


def rows_of(kind: str, seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Coarse values, so that many mistakes are equally bad."""
    random = np.random.default_rng(seed)
    if kind == "multi":
        return random.random((rows, 3)) < 0.4, random.integers(0, 6, (rows, 3)) / 5
    if kind == "number":
        return random.integers(0, 5, rows).astype(float), random.integers(0, 5, rows).astype(float)
    scores = random.integers(1, 4, (rows, 3)).astype(float)
    return random.integers(0, 3, rows), scores / scores.sum(axis=1, keepdims=True)


def all_sorted(kind: str, targets: np.ndarray, outputs: np.ndarray) -> list[Mistake]:
    """Every mistake, one by one."""
    found = []
    for row in range(len(targets)):
        if kind == "single" and outputs[row].argmax() != targets[row]:
            best = int(outputs[row].argmax())
            found.append(Mistake(row, LABELS[targets[row]], LABELS[best], float(outputs[row, best])))
        if kind == "number" and outputs[row] != targets[row]:
            found.append(Mistake(row, float(targets[row]), float(outputs[row]), abs(float(outputs[row] - targets[row]))))
        for label in range(3) if kind == "multi" else ():
            has, sure = bool(targets[row, label]), float(outputs[row, label])
            if (sure >= 0.5) != has:
                found.append(Mistake(row, has, not has, 1 - sure if has else sure, LABELS[label]))
    return sorted(found, key=lambda mistake: (-mistake.size, mistake.row, mistake.label or ""))


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["single", "multi", "number"]),
    seed=st.integers(0, 1000),
    rows=st.integers(0, 40),
    count=st.integers(1, 12),
    splits=st.lists(st.integers(0, 40), max_size=3),
    merged=st.booleans(),
)
def test_equals_sorting_everything(kind: str, seed: int, rows: int, count: int, splits: list[int], merged: bool) -> None:
    targets, outputs = rows_of(kind, seed, rows)
    edges = [0, *sorted(min(split, rows) for split in splits), rows]
    mistakes = ConfidentMistakes(kind, LABELS, count=count)
    for start, stop in reversed(list(pairwise(edges))):
        part = ConfidentMistakes(kind, LABELS, count=count) if merged else mistakes
        order = np.random.default_rng(seed).permutation(np.arange(start, stop))
        part.update(order, targets[order], outputs[order])
        if merged:
            mistakes.merge(part)
    expected = all_sorted(kind, targets, outputs)[:count]

    def without_size(found: list[Mistake]) -> list[Mistake]:
        return [replace(mistake, size=0.0) for mistake in found]

    assert without_size(mistakes.worst) == without_size(expected)
    assert [mistake.size for mistake in mistakes.worst] == pytest.approx([mistake.size for mistake in expected])


def test_thresholds_decide_what_is_wrong() -> None:
    mistakes = ConfidentMistakes("multi", ["sport", "film"])
    mistakes.update(np.array([7]), np.array([[True, False]]), np.array([[0.4, 0.3]]), np.array([0.35, 0.2]))
    assert mistakes.worst == [Mistake(7, False, True, 0.3, "film")]


def test_plain_values() -> None:
    for kind in ("single", "multi", "number"):
        mistakes = ConfidentMistakes(kind, LABELS, count=3)
        mistakes.update(np.arange(30), *rows_of(kind, 0, 30))
        assert len(mistakes.worst) == 3
        values = [mistake.to_dict() for mistake in mistakes.worst]
        assert json.loads(json.dumps(values)) == values
        for value in values:
            assert type(value["row"]) is int
            assert type(value["size"]) is float


def test_wrong_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        ConfidentMistakes("single", LABELS, count=0)
    with pytest.raises(SettingsError, match="kind is"):
        ConfidentMistakes("double", LABELS)
    with pytest.raises(DataError, match="at least one"):
        ConfidentMistakes("single")
    mistakes = ConfidentMistakes("single", LABELS)
    with pytest.raises(DataError, match="one for each target"):
        mistakes.update(np.arange(2), *rows_of("single", 0, 3))
    with pytest.raises(DataError, match="3 labels"):
        mistakes.update(np.arange(3), np.zeros(3, dtype=int), np.full((3, 2), 0.5))
    with pytest.raises(DataError, match="cannot be merged"):
        mistakes.merge(ConfidentMistakes("number"))
