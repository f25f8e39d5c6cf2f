"""Confident learning against the paper's definition written out, and on labels with known noise."""

import numpy as np
import pytest

from bertworks.data.inspection import TextRows
from bertworks.data.inspection.confident_learning import check_label_issues, find_label_issues


def by_definition(given: list[int], probabilities: list[list[float]]) -> tuple[list[list[int]], set[tuple[int, int]]]:
    """The confident joint (Northcutt et al. 2021, equation 1), and (row, suggested label) of what lies off its diagonal."""
    labels = range(len(probabilities[0]))
    thresholds = {}
    for j in labels:
        own = [p[j] for label, p in zip(given, probabilities, strict=True) if label == j]
        if own:
            thresholds[j] = sum(own) / len(own)
    joint = [[0 for _ in labels] for _ in labels]
    off: set[tuple[int, int]] = set()
    for row, (label, p) in enumerate(zip(given, probabilities, strict=True)):
        above = [j for j in thresholds if p[j] >= thresholds[j]]
        if above:
            best = max(above, key=lambda j: p[j])
            joint[label][best] += 1
            if best != label:
                off.add((row, best))
    return joint, off


@pytest.mark.parametrize("seed", range(5))
def test_against_the_definition(seed: int) -> None:
    draw = np.random.Generator(np.random.PCG64(seed))
    given = draw.integers(0, 4, 300)  # the last of five labels never occurs
    probabilities = draw.dirichlet(np.ones(5), 300)
    found = find_label_issues(given, probabilities)
    joint, off = by_definition(given.tolist(), probabilities.tolist())
    assert found.counts.tolist() == joint
    assert set(zip(found.rows.tolist(), found.suggested.tolist(), strict=True)) == off
    margins = [probabilities[row, new] - probabilities[row, given[row]] for row, new in zip(found.rows, found.suggested, strict=True)]
    assert found.margins.tolist() == margins == sorted(margins, reverse=True)


def test_flipped_labels_are_found() -> None:
    """A model that is mostly right, and 5% of the labels flipped: hardly any other rows are doubted."""
    draw = np.random.Generator(np.random.PCG64(0))
    truth = draw.integers(0, 3, 1000)
    flipped = draw.choice(1000, 50, replace=False)
    given = truth.copy()
    given[flipped] = (truth[flipped] + draw.integers(1, 3, 50)) % 3
    scores = draw.normal(0, 1, (1000, 3))
    scores[np.arange(1000), truth] += 4
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = find_label_issues(given, probabilities)
    right = set(found.rows.tolist()) & set(flipped.tolist())
    assert len(right) >= 0.95 * len(found.rows)
    assert len(right) >= 0.7 * len(flipped)
    assert all(truth[row] == new for row, new in zip(found.rows, found.suggested, strict=True) if row in right)


def test_what_is_said_of_them() -> None:
    rows = TextRows.of([f"text {i}" for i in range(6)], list("aaabbb"), numbers=range(100, 106))
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.2, 0.8], [0.3, 0.7]])
    (finding,) = check_label_issues(rows, np.array([0, 1, 2, 4, 5]), np.array([0, 0, 0, 1, 1]), probabilities, ["a", "b"])
    assert (finding.level, finding.rows, finding.count) == ("warning", (102,), 1)
    assert finding.examples == ("row 102: 'a', predicted 'b' (95%): “text 2”",)
    assert "1 of 5 rows" in finding.message
    assert "not trained on these rows" in finding.message
    assert not list(check_label_issues(rows, np.array([0, 3]), np.array([0, 1]), np.eye(2), ["a", "b"]))
