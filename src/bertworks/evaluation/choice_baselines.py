"""What simple rules reach where one of several choices is right, so that a model's accuracy can be told from nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bertworks.evaluation.intervals import wilson_interval
from bertworks.evaluation.metrics import require_rows

GUESSING, LONGEST, PLACE = "guessing", "the longest choice", "the most frequent place"


def choice_baselines(
    choices: Sequence[Sequence[str]], answers: Sequence[int], training_answers: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """The accuracy, with its 95 % interval, of guessing (what is to be expected of it), of the longest choice (in characters, the
    first of equals), and of the place at which most answers of the training data stand (the last choice where there are fewer).

    Raises `DataError` where there is no question.

    >>> found = choice_baselines([["yes", "no"], ["a", "b", "all of it", "c"]], [0, 2], training_answers=[1, 1, 0])
    >>> {name: metrics["accuracy"] for name, metrics in found.items()}
    {'guessing': 0.375, 'the longest choice': 1.0, 'the most frequent place': 0.0}
    """
    require_rows(len(answers))
    longest = [max(range(len(texts)), key=lambda place: len(texts[place])) for texts in choices]
    counts = Counter(training_answers)
    place = min(counts, key=lambda place: (-counts[place], place), default=0)
    found = {
        GUESSING: sum(1 / len(texts) for texts in choices) / len(choices),
        LONGEST: _accuracy(longest, answers),
        PLACE: _accuracy([min(place, len(texts) - 1) for texts in choices], answers),
    }
    rows = len(answers)
    return {
        name: {"accuracy": value, "rows": rows, "intervals": {"accuracy": list(wilson_interval(value, rows))}}
        for name, value in found.items()
    }


def _accuracy(predicted: Sequence[int], answers: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(predicted, answers, strict=True)) / len(answers)
