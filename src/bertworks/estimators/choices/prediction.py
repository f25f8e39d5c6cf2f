"""Which choice a model takes: for questions of the command line, and for the rows of a file, whose other columns are kept."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.data.choices import read_choices
from bertworks.data.faults import OnBadRows
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.estimators.choices.rows import question_row
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.load import load
from bertworks.estimators.multiple_choice import QUESTIONS_AT_ONCE, MultipleChoice
from bertworks.estimators.rows import plain_list
from bertworks.estimators.verbs.predict import PredictionReport

_DIGITS = 6


@dataclass(frozen=True)
class ChoicePrediction:
    """The choice for one question."""

    text: str
    prediction: str
    """The text of the choice."""
    choice: int
    """Its number, from 0."""
    score: float
    """Its probability."""
    probabilities: tuple[tuple[str, float], ...] | None = None
    """Every choice with its probability, where that was asked for."""

    @property
    def line(self) -> str:
        """What the command line shows: the choice, its probability, those of all where they were asked for, and the question."""
        parts = [self.prediction, f"{self.score:.4f}", *(f"{name}={value:.4f}" for name, value in self.probabilities or ()), self.text]
        return "\t".join(" ".join(part.split()) for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out = {"text": self.text, "prediction": self.prediction, "choice": self.choice, "score": self.score}
        if self.probabilities is None:
            return out
        return out | {"choices": [name for name, _ in self.probabilities], "probabilities": [value for _, value in self.probabilities]}


def answers(
    classifier: MultipleChoice,
    rows: Sequence[Any],
    *,
    probabilities: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[list[ChoicePrediction], Accounting]]:
    """The choices for questions, each a text and a list of its choices, some at a time, with what became of the texts. `first_row` is
    the number of the first question in messages."""
    questions = [question_row(row) for row in rows]
    for start in range(0, len(questions), QUESTIONS_AT_ONCE):
        some = questions[start : start + QUESTIONS_AT_ONCE]
        found, seen = classifier.answer(some, first_row=first_row + start)
        yield [_prediction(question, values, probabilities) for question, values in zip(some, found, strict=True)], seen
        if progress is not None:
            progress(start + len(some), len(questions))


def _prediction(question: ChoiceQuestion, values: Float[Array, "choices"], more: bool) -> ChoicePrediction:
    chosen, rounded = int(values.argmax()), [round(float(value), _DIGITS) for value in values]
    all_of_them = tuple(zip(question.choices, rounded, strict=True)) if more else None
    return ChoicePrediction(question.text, question.choices[chosen], chosen, rounded[chosen], all_of_them)


def predict(
    model: str | Path,
    texts: Any = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    probabilities: bool = False,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    choices: str | Sequence[str] | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Chooses for `texts` (pairs of a question and a list of its choices) or for every row of `file`, read as `train` reads it.

    With `output`, the table in `file` is written there with all its columns and further ones: `prediction` (the text of the choice),
    `choice` (its number, from 0), `score` (its probability) and, with `probabilities`, a list of those of all choices. The other
    arguments are those of `verbs.predict`.
    """
    reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    columns = {"split": split, "text": text, "pair": pair, "limit": limit}
    check_given(texts, file, output, reading | columns, "texts (questions, each with its choices) or a file to predict")
    if output is not None:
        check_writable(output)
    chooser: MultipleChoice = load(model, device=device, precision=precision, threads=threads)
    started, read = time.perf_counter(), None
    if file is not None:
        read = read_choices(file, split=split, question=text, context=pair, choices=choices, with_answers=False, limit=limit, **reading)
    found: list[ChoicePrediction] = []
    seen = Accounting()
    rows: Sequence[Any] = plain_list(texts, "texts") if read is None else read.questions
    for some, accounting in answers(chooser, rows, probabilities=probabilities, progress=progress):
        found += some
        seen += accounting
    seen = seen if read is None else with_reading(seen, read.accounting)
    counts = Counter(f"choice {each.choice + 1}" for each in found)
    if output is None or read is None:
        return PredictionReport(found, None, seen, counts, seconds=time.perf_counter() - started)
    table, notes = with_columns(read.table.data, _columns(found))
    return PredictionReport([], write_table(table, output), seen, counts, notes, time.perf_counter() - started)


def _columns(found: Sequence[ChoicePrediction]) -> dict[str, list[Any]]:
    """The columns of the predictions file."""
    columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in found] for name in ("prediction", "choice", "score")}
    if found and found[0].probabilities is not None:
        columns["probabilities"] = [[value for _, value in each.probabilities or ()] for each in found]
    return columns
