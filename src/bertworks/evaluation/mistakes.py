"""The mistakes that a model is surest of: where labels are wrong, texts are odd, or the model has learnt something false."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.checks import Kind, checked_kind, checked_label_rows, checked_label_sets, checked_labels, checked_numbers


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction."""

    row: int
    target: Any
    """The row's label or number; for several labels, whether the row has `label`."""
    prediction: Any
    """What was predicted instead, in the same terms."""
    size: float
    """The probability of the wrong label, or of the wrong decision on `label`; for numbers the absolute error."""
    label: Any = None
    """Several labels: the one that was decided wrongly."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold, where labels are such."""
        return asdict(self)


class ConfidentMistakes:
    """Keeps the `count` worst mistakes while rows stream by.

    The worst are the wrong predictions of the highest probability; for several labels, which are decided one by one,
    the decisions whose probability is farthest from the truth; for numbers the largest absolute errors. Of equally bad
    ones the lower row comes first, then the earlier label. Texts can be looked up by the row.

    Raises `DataError` where labels are not distinct, `SettingsError` for an unknown kind or a count below 1.

    >>> mistakes = ConfidentMistakes("single", ["no", "yes"], count=1)
    >>> mistakes.update(np.arange(3), np.array([0, 0, 1]), np.array([[0.4, 0.6], [0.1, 0.9], [0.0, 1.0]]))
    >>> mistakes.worst
    [Mistake(row=1, target='no', prediction='yes', size=0.9, label=None)]
    """

    def __init__(self, kind: Kind, labels: Sequence[Hashable] = (), *, count: int = 20) -> None:
        if count < 1:
            raise SettingsError(f"count must be at least 1, not {count}")
        self.kind = checked_kind(kind)
        self.labels = () if kind == "number" else checked_labels(labels)
        self.count = count
        self.worst: list[Mistake] = []
        """The mistakes so far, the worst first; fewer than `count` where no more were made."""

    def update(
        self,
        rows: Int[Array, "rows"],
        targets: Shaped[Array, "rows ..."],
        outputs: Real[Array, "rows ..."],
        thresholds: Float[Array, "labels"] | float = 0.5,
    ) -> None:
        """Adds a batch; `rows` are the rows' numbers, targets and outputs what the metrics of the kind take.

        Raises `DataError` where they do not fit.
        """
        rows = np.asarray(rows)
        if rows.shape != (len(targets),):
            raise DataError(f"{len(targets)} targets, but row numbers of shape {rows.shape}: one for each target")
        if self.kind == "single":
            found = self._of_label_rows(rows, *checked_label_rows(targets, outputs, len(self.labels)))
        elif self.kind == "multi":
            found = self._of_label_sets(rows, *checked_label_sets(targets, outputs, thresholds, len(self.labels)))
        else:
            found = self._of_numbers(rows, *checked_numbers(targets, outputs))
        # A stable sort keeps earlier labels first.
        self.worst = sorted([*self.worst, *found], key=lambda mistake: (-mistake.size, mistake.row))[: self.count]

    def merge(self, other: "ConfidentMistakes") -> None:
        """Adds the mistakes of other rows that `other` has seen; raises `DataError` where its kind or labels differ."""
        if (other.kind, other.labels) != (self.kind, self.labels):
            raise DataError("mistakes of different kinds or labels cannot be merged")
        self.worst = sorted([*self.worst, *other.worst], key=lambda mistake: (-mistake.size, mistake.row))[: self.count]

    def _of_label_rows(
        self, rows: Int[Array, "rows"], targets: Int[Array, "rows"], probabilities: Real[Array, "rows labels"]
    ) -> list[Mistake]:
        predicted = probabilities.argmax(axis=1)
        wrong = np.flatnonzero(predicted != targets)
        sizes = probabilities[wrong, predicted[wrong]].astype(np.float64)
        return [
            Mistake(int(rows[i]), self.labels[targets[i]], self.labels[predicted[i]], float(size))
            for i, size in self._largest(wrong, sizes, rows[wrong])
        ]

    def _of_label_sets(
        self,
        rows: Int[Array, "rows"],
        targets: Bool[Array, "rows labels"],
        probabilities: Real[Array, "rows labels"],
        thresholds: Float[Array, "*labels"],
    ) -> list[Mistake]:
        wrong = np.flatnonzero((probabilities >= thresholds) != targets)  # indices of decisions, row by row
        sizes = np.abs(targets.astype(np.float64) - probabilities).reshape(-1)[wrong]
        found = []
        for i, size in self._largest(wrong, sizes, rows[wrong // len(self.labels)]):
            row, label = divmod(i, len(self.labels))
            found.append(Mistake(int(rows[row]), bool(targets[row, label]), not targets[row, label], size, self.labels[label]))
        return found

    def _of_numbers(self, rows: Int[Array, "rows"], targets: Float[Array, "rows"], predictions: Float[Array, "rows"]) -> list[Mistake]:
        wrong = np.flatnonzero(targets != predictions)
        sizes = np.abs(targets - predictions)[wrong]
        return [
            Mistake(int(rows[i]), float(targets[i]), float(predictions[i]), size) for i, size in self._largest(wrong, sizes, rows[wrong])
        ]

    def _largest(
        self, wrong: Int[Array, "mistakes"], sizes: Float[Array, "mistakes"], rows: Int[Array, "mistakes"]
    ) -> list[tuple[int, float]]:
        """Indices and sizes of the largest mistakes, in order; `wrong` are the indices of all, ascending."""
        order = np.lexsort((rows, -sizes))[: self.count]
        return list(zip(wrong[order].tolist(), sizes[order].tolist(), strict=True))
