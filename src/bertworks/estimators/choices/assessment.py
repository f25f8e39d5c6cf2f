"""What a model that chooses is worth: accuracy and log-loss with intervals, its surest mistakes, and every answer on request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.choice_examples import ChoiceData, ChoiceQuestion
from bertworks.estimators.multiple_choice import QUESTIONS_AT_ONCE, MultipleChoice
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES


@dataclass(frozen=True)
class Assessment:
    """What was found on a set of questions with answers."""

    metrics: dict[str, Any]
    """All metrics, with `intervals`."""
    accounting: Accounting
    mistakes: list[dict[str, Any]]
    """The surest wrong answers, the surest first; `row` is the number of the row in its source."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """Every question's answer beside the right one, where they were asked for."""


def assess(
    model: MultipleChoice,
    data: ChoiceData,
    *,
    replicates: int = DEFAULT_REPLICATES,
    mistakes: int = 20,
    results: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Assessment:
    """Evaluates a model, some questions at a time. `progress` is called with the number of questions done since the last call."""
    metrics, seen = model.task_.metrics(replicates), Accounting()
    worst: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    numbers = data.table.rows.tolist()
    for start in range(0, len(data), QUESTIONS_AT_ONCE):
        part = slice(start, start + QUESTIONS_AT_ONCE)
        questions, right = data.questions[part], data.right[part]
        probabilities, accounting = model.answer(questions, right, first_row=start)
        metrics.update(right, probabilities)
        for number, question, answer, values in zip(numbers[part], questions, right, probabilities, strict=True):
            if int(values.argmax()) != answer:
                worst.append(_mistake(number, question, answer, values))
            if results:
                told.append(_result(number, question, answer, values))
        worst = sorted(worst, key=lambda mistake: (-mistake["confidence"], mistake["row"]))[:mistakes]
        seen += accounting
        if progress is not None:
            progress(len(questions))
    return Assessment(metrics.compute(), seen, worst, told)


def _mistake(number: int, question: ChoiceQuestion, answer: int, values: Float[Array, "choices"]) -> dict[str, Any]:
    """A mistake as reports show it."""
    chosen = int(values.argmax())
    told = {"label": question.choices[answer], "prediction": question.choices[chosen], "confidence": float(values[chosen])}
    return {"row": number, "text": question.text, **told}


def _result(number: int, question: ChoiceQuestion, answer: int, values: Float[Array, "choices"]) -> dict[str, Any]:
    chosen = int(values.argmax())
    told = {"label": question.choices[answer], "prediction": question.choices[chosen], "answer": answer, "choice": chosen}
    return {"row": number, "text": question.text, **told, "score": float(values[chosen]), "probabilities": values.tolist()}
