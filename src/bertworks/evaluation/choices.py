"""Metrics of multiple choice."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.evaluation.bootstrap import Replicates, merge_replicates
from bertworks.evaluation.checks import check_finite
from bertworks.evaluation.intervals import percentile_interval, resampled, wilson_interval
from bertworks.evaluation.metrics import require_rows

_LEAST = 1e-12
"""The smallest probability that a log-loss takes seriously."""


class ChoiceMetrics:
    """Accuracy and log-loss of questions that may have different numbers of choices.

    >>> metrics = ChoiceMetrics()
    >>> metrics.update([0, 1], [np.array([0.5, 0.5]), np.array([0.1, 0.8, 0.1])])
    >>> {name: round(value, 4) for name, value in metrics.compute().items()}
    {'accuracy': 1.0, 'log_loss': 0.4581, 'chance': 0.4167, 'rows': 2}
    """

    headline: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, replicates: int = 0, *, seed: int = 0, first_row: int = 0) -> None:
        """`replicates` are those of the confidence intervals, 0 for none; `first_row` is the number of the first question that
        these metrics will see, where several parts of a set are to be merged."""
        self._sums: Array = np.zeros(4)
        """Questions, hits, losses, shares of guessing."""
        self._replicates = Replicates(replicates, len(self._sums), seed=seed, first_row=first_row) if replicates else None

    def update(self, answers: Sequence[int], probabilities: Sequence[Float[Array, "choices"]]) -> None:
        """Adds questions: the number of the right choice, and the probabilities of all. Raises `DataError` where the two do
        not agree in number, or a probability is NaN."""
        if len(answers) != len(probabilities):
            raise DataError(f"{len(answers)} answers but {len(probabilities)} rows of probabilities")
        check_finite(np.concatenate([np.zeros(0), *probabilities]), "probabilities")
        rows = [
            (1.0, float(int(np.argmax(values)) == answer), -float(np.log(max(float(values[answer]), _LEAST))), 1 / len(values))
            for answer, values in zip(answers, probabilities, strict=True)
        ]
        statistics = np.array(rows).reshape(-1, len(self._sums))
        self._sums = self._sums + statistics.sum(axis=0)
        if self._replicates is not None:
            self._replicates.add(statistics)

    def merge(self, other: "ChoiceMetrics") -> None:
        """Adds the questions that `other` has seen."""
        merge_replicates(self._replicates, other._replicates)
        self._sums = self._sums + other._sums

    def compute(self) -> dict[str, Any]:
        """`accuracy`, `log_loss` in nats, `chance` (the accuracy of guessing) and `rows`; with replicates, `intervals`.

        Raises `DataError` where no question was seen.
        """
        rows = int(self._sums[0])
        require_rows(rows)
        accuracy, loss, chance = (self._sums[1:] / rows).tolist()
        out: dict[str, Any] = {"accuracy": accuracy, "log_loss": loss, "chance": chance, "rows": rows}
        if self._replicates is not None:
            sums = resampled(self._replicates.sums)
            losses = percentile_interval(loss, sums[:, 2] / sums[:, 0], rows)
            out["intervals"] = {"accuracy": list(wilson_interval(accuracy, rows)), "log_loss": list(losses)}
        return out
