"""Questions with choices, as they come out of any source, and what a cell with choices means."""

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.holdout import Division
from bertworks.data.question_examples import BadQuestionError
from bertworks.data.table import Table

if TYPE_CHECKING:
    from bertworks.data.choice_answers import AnswerForm
    from bertworks.data.choice_columns import ChoiceColumns


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """A text, and the texts of which one goes with it."""

    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class ChoiceData:
    """Questions with choices that were read."""

    questions: list[ChoiceQuestion]
    answers: list[int] | None
    """The number of each right choice, from 0; None where answers were not asked for."""
    groups: list[Hashable]
    """What questions that are held out together have in common: the context, or else text and choices."""
    table: Table
    """The rows that were kept."""
    columns: "ChoiceColumns"
    form: "AnswerForm | None"
    """How the answers are written; None where they were not asked for."""
    accounting: Accounting
    """Questions handed in, and those left out with the reason."""
    name: str
    """The source, for messages."""
    notes: tuple[str, ...] = ()
    """Which columns and answers were understood how."""

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def right(self) -> list[int]:
        """The answers, of data that were read with them."""
        assert self.answers is not None
        return self.answers

    def __iter__(self) -> Iterator[Any]:
        """What is learnt from, row by row."""
        return zip(self.questions, self.answers or repeat(None), strict=False)

    @property
    def division(self) -> Division:
        """How the questions may be divided: those of a context together."""
        return Division(self.groups, together=True)

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str) -> "ChoiceData":
        """Some of the questions."""
        return replace(
            self,
            questions=[self.questions[i] for i in chosen],
            answers=None if self.answers is None else [self.answers[i] for i in chosen],
            groups=[self.groups[i] for i in chosen],
            table=self.table.take(chosen),
            accounting=accounting,
            name=name,
        )


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of one question."""

    texts: tuple[str, ...]
    names: tuple[str, ...] = ()
    """What the source calls them ("A", "B" …), where it does."""


def choices_of(value: Any) -> Choices:
    """The choices that a cell holds: a list of texts, such a list as JSON, or texts with names, in either of the forms of the hub.

    Raises `BadQuestionError` where they cannot be understood, one is empty, or there are fewer than two.

    >>> choices_of(["tea", "rice"]).texts, choices_of('["tea", "rice"]').texts
    (('tea', 'rice'), ('tea', 'rice'))
    >>> choices_of({"label": ["A", "B"], "text": ["tea", "rice"]})
    Choices(texts=('tea', 'rice'), names=('A', 'B'))
    >>> choices_of([{"label": "A", "text": "tea"}, {"label": "B", "text": "rice"}])
    Choices(texts=('tea', 'rice'), names=('A', 'B'))
    """
    value = _from_json(value) if isinstance(value, str) else value
    names: Sequence[Any] = ()
    match value:
        case {"text": list(texts), **others}:
            given = others.get("label")
            names = given if isinstance(given, list) else ()
        case [dict(), *_] if all(isinstance(each, dict) and "text" in each for each in value):
            texts = [each["text"] for each in value]
            names = [each["label"] for each in value] if all(each.get("label") is not None for each in value) else ()
        case list():
            texts = value
        case _:
            raise BadQuestionError("choices that cannot be understood", f"a list of texts is wanted, not {value!r:.60}")
    if names and len(names) != len(texts):
        raise BadQuestionError("choices and their names differ in number", f"{len(texts)} texts, {len(names)} names")
    return Choices(checked_choices(texts), tuple(str(name) for name in names))


def choices_of_cells(cells: Sequence[Any]) -> Choices:
    """The choices that stand in cells of their own; the last of them may be empty, so that questions may have fewer.

    >>> choices_of_cells(["tea", "rice", None, ""]).texts
    ('tea', 'rice')
    """
    told = [place for place, cell in enumerate(cells) if not _is_empty(cell)]
    return Choices(checked_choices(cells[: told[-1] + 1 if told else 0]))


def checked_choices(texts: Sequence[Any]) -> tuple[str, ...]:
    """Choices as texts; numbers are written out. Raises `BadQuestionError` for an empty one, and for fewer than two."""
    if len(texts) < 2:
        raise BadQuestionError("fewer than two choices", f"{len(texts)} {'is' if len(texts) == 1 else 'are'} there")
    for place, text in enumerate(texts):
        if _is_empty(text) or isinstance(text, bool) or not isinstance(text, str | int | float):
            raise BadQuestionError("a choice that is empty or no text", f"choice {place + 1} is {text!r:.40}")
    return tuple(str(text) for text in texts)


def _is_empty(cell: Any) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadQuestionError(
            "choices that cannot be understood", f'{text!r:.40} is no list: write ["…", "…"], or a column for each choice'
        ) from None
