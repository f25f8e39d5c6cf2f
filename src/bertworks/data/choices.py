"""`read_choices`: questions with choices, from any source."""

import json
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bertworks.accounting import Accounting
from bertworks.data.choice_answers import AnswerForm, form_of, number_of
from bertworks.data.choice_columns import ANSWER_NAMES, LIST_NAMES, QUESTION_NAMES, ChoiceColumns, choice_columns
from bertworks.data.choice_examples import ChoiceData, ChoiceQuestion, Choices, choices_of, choices_of_cells
from bertworks.data.faults import OnBadRows
from bertworks.data.files import split_suffixes
from bertworks.data.question_examples import BadQuestionError, bad_question, no_question
from bertworks.data.squad import beginning
from bertworks.data.table import Table, read_table
from bertworks.errors import SettingsError


def read_choices(
    source: Any,
    *,
    split: str | None = None,
    question: str | None = None,
    context: str | None = None,
    choices: str | Sequence[str] | None = None,
    answers: str | None = None,
    first: int | None = None,
    with_answers: bool = True,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> ChoiceData:
    """Reads questions with choices from any table or list of rows that `read_table` reads.

    A row has a question, perhaps a context, which is read before it, and its choices: a list in one column (in CSV as JSON), or
    columns of their own, of which the last may be empty. Their number may differ from row to row. The answer is the number of the
    right choice, from 0 or 1 (`form_of` finds out; `first` says it), its letter, its name where choices have names, or its text.
    `question`, `context`, `choices` and `answers` name columns that are called otherwise.

    Raises `DataError` that names source and row for what cannot be understood, unless such rows are to be dropped.

    >>> rows = [{"question": "What is hot?", "choices": ["tea", "ice"], "answer": "A"}]
    >>> read_choices(rows).questions[0], read_choices(rows).answers
    (ChoiceQuestion(text='What is hot?', choices=('tea', 'ice')), [0])
    """
    if first not in (None, 0, 1):
        raise SettingsError(f"first_choice is the number of the first choice in answers, 0 or 1, not {first!r}")
    slices: dict[str, Any] = {"split": split, "shuffle_seed": shuffle_seed, "limit": limit}
    table = read_table(source, encoding=encoding, delimiter=delimiter, on_bad_rows=on_bad_rows, **slices)
    given = [choices] if isinstance(choices, str) else choices
    columns = choice_columns(table, question=question, context=context, choices=given, answers=answers, with_answers=with_answers)
    form = None if columns.answers is None else _form(table, columns, first)
    return _read(table, columns, form, on_bad_rows)


def is_choices(source: Any) -> bool:
    """Whether a source is unmistakably one of questions with choices: JSON lines, or a list of rows. Does not raise."""
    if isinstance(source, list | tuple) and len(source):
        return _has_choices(source[0])
    if isinstance(source, str | Path) and split_suffixes(Path(source))[1] in (".jsonl", ".ndjson"):
        try:
            return _has_choices(json.loads(beginning(source).partition("\n")[0]))
        except (ValueError, RecursionError):
            return False
    return False


def _has_choices(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    names = {str(name).lower(): value for name, value in row.items()}
    lists = [names[name] for name in LIST_NAMES if isinstance(names.get(name), list | dict)]
    return bool(lists) and not names.keys().isdisjoint(QUESTION_NAMES) and not names.keys().isdisjoint(ANSWER_NAMES)


def _form(table: Table, columns: ChoiceColumns, first: int | None) -> AnswerForm:
    """How the answers are written, by all rows of the source, also where only a slice of them is read."""
    data = table.data if table.whole is None else table.whole
    assert columns.answers is not None
    choices: list[Choices | None] = []
    for cells in _cells(data, columns.choices):
        try:
            choices.append(_choices(cells))
        except BadQuestionError:
            choices.append(None)
    return form_of(data[columns.answers].to_pylist(), choices, first=first, numbered=columns.first, name=table.name)


def _cells(data: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(data[name].to_pylist() for name in names), strict=True))


def _choices(cells: tuple[Any, ...]) -> Choices:
    return choices_of(cells[0]) if len(cells) == 1 else choices_of_cells(cells)


def _read(table: Table, columns: ChoiceColumns, form: AnswerForm | None, on_bad_rows: OnBadRows) -> ChoiceData:
    questions: list[ChoiceQuestion] = []
    groups: list[Hashable] = []
    answers, kept, dropped = [], [], Counter(table.dropped)
    texts = [name for name in (columns.context, columns.question) if name is not None]
    told = [None] * len(table) if columns.answers is None else table.data[columns.answers].to_pylist()
    rows = zip(table.rows.tolist(), _cells(table.data, texts), _cells(table.data, columns.choices), told, strict=True)
    for place, (number, parts, cells, answer) in enumerate(rows):
        try:
            text, choices = _text(texts, parts), _choices(cells)
            if form is not None:
                answers.append(number_of(form, answer, choices))
        except BadQuestionError as error:
            if on_bad_rows == "error":
                raise bad_question(f"{table.name}, row {number} (the first is 0)", error) from None
            dropped[error.reason] += 1
            continue
        questions.append(ChoiceQuestion(text, choices.texts))
        groups.append(questions[-1] if columns.context is None or _is_empty(parts[0]) else parts[0])
        kept.append(place)
    if not questions:
        raise no_question(table.name, dropped)
    seen = Accounting(rows=len(questions) + dropped.total(), dropped=dropped, notes=Counter(table.notes))
    notes = (*columns.lines(table), *([] if form is None else [form.line]))
    return ChoiceData(
        questions=questions,
        answers=None if form is None else answers,
        groups=groups,
        table=table.take(np.array(kept)),
        columns=columns,
        form=form,
        accounting=seen,
        name=table.name,
        notes=notes,
    )


def _text(names: Sequence[str], parts: Sequence[Any]) -> str:
    """The question, after its context where it has one; contexts may be empty. Raises `BadQuestionError` where one is no text."""
    told = [(name, part) for name, part in zip(names, parts, strict=True) if name == names[-1] or not _is_empty(part)]
    for name, part in told:
        if not isinstance(part, str) or not part.strip():
            raise BadQuestionError("a question that is empty or no text", f"its '{name}' is {part!r:.40}")
    return " ".join(part.strip() for _, part in told) if len(told) > 1 else str(told[0][1])


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
