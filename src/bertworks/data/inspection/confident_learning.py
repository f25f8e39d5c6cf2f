"""Labels that look wrong to a model: confident learning (Northcutt, Jiang and Chuang 2021, section 3.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.data.inspection.findings import MOST_ROWS, Finding
from bertworks.data.inspection.rows import TextRows, of_all


@dataclass(frozen=True)
class LabelIssues:
    """Rows whose label is doubtful, the most doubtful first."""

    rows: Int[Array, "issues"]
    suggested: Int[Array, "issues"]
    """The label that is confidently predicted instead."""
    margins: Float[Array, "issues"]
    """Probability of the suggested label less that of the given one."""
    counts: Int[Array, "labels labels"]
    """The confident joint: rows by given label and by the label that is confidently predicted."""


def find_label_issues(given: Int[Array, "rows"], probabilities: Float[Array, "rows labels"]) -> LabelIssues:
    """Compares given labels with predicted probabilities, which must come from a model that was not trained on these rows.

    A label is predicted confidently where its probability is at least its threshold, the mean of it over the rows that
    are labelled so; of several, the most probable counts. Rows where that is not the given label are issues. A label
    that no row has is never suggested.

    >>> found = find_label_issues(np.array([0, 0, 0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]))
    >>> found.rows.tolist(), found.suggested.tolist()
    ([2], [1])
    """
    rows, labels = probabilities.shape
    sums = np.bincount(given, weights=probabilities[np.arange(rows), given], minlength=labels)
    present = np.bincount(given, minlength=labels)
    thresholds = np.where(present > 0, sums / np.maximum(present, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    sure = confident.max(axis=1) >= 0
    counts: Int[Array, "labels labels"] = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(counts, (given[sure], suggested[sure]), 1)
    issues = np.flatnonzero(sure & (suggested != given))
    margins = probabilities[issues, suggested[issues]] - probabilities[issues, given[issues]]
    order = np.argsort(-margins, kind="stable")
    return LabelIssues(issues[order], suggested[issues][order], margins[order], counts)


def check_label_issues(
    rows: TextRows,
    places: Int[Array, "judged"],
    given: Int[Array, "judged"],
    probabilities: Float[Array, "judged labels"],
    names: Sequence[str],
) -> Iterator[Finding]:
    """The rows whose label looks wrong, with the predicted one. The rows at `places` were judged; `given` and the columns
    of `probabilities` count the labels as `names` does."""
    issues = find_label_issues(given, probabilities)
    if not len(issues.rows):
        return
    positions = places[issues.rows].tolist()
    doubts = zip(positions[:MOST_ROWS], issues.rows.tolist(), issues.suggested.tolist(), strict=False)
    lines = [
        f"row {rows.numbers[place]}: '{names[given[i]]}', predicted '{names[label]}' ({probabilities[i, label]:.0%}): {rows.excerpt(place)}"
        for place, i, label in doubts
    ]
    message = (
        f"{of_all(len(positions), len(places))} have another label than the model predicts, which is as sure of it as it is on average "
        "where that label stands (confident learning). The most doubtful come first. This is fair only where the model was not "
        "trained on these rows: it has learnt the labels of those, the wrong ones too."
    )
    yield replace(rows.finding("warning", "Labels that look wrong", message, positions), examples=tuple(lines))
