"""How the answers of a column are written (a number from 0 or 1, a letter, the choice itself), and which choice each means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bertworks.data.choice_examples import Choices
from bertworks.data.question_examples import BadQuestionError
from bertworks.errors import DataError

Kind = Literal["number", "letter", "name", "text"]

_NUMBER, _LETTER = re.compile(r"-?\d{1,9}"), re.compile(r"[A-Za-z]")
_MISSING = (None, "", "-1")
"""What stands where no answer is known; -1 as the hub's hidden test sets have it."""
_SHORT: tuple[Kind, ...] = ("letter", "number")
"""Forms that a choice itself may look like."""


@dataclass(frozen=True)
class AnswerForm:
    """How answers are written."""

    kind: Kind
    first: int = 0
    """The number of the first choice, where answers are numbers."""

    @property
    def line(self) -> str:
        """The form in words."""
        if self.kind == "number":
            return f"answers are numbers of choices, counted from {self.first}"
        words = {"letter": "letters (A is the first choice)", "name": "the names of the choices", "text": "the texts of the choices"}
        return f"answers are {words[self.kind]}"


def form_of(values: Sequence[Any], choices: Sequence[Choices | None], *, first: int | None, numbered: int | None, name: str) -> AnswerForm:
    """The form in which most of the answers are written. `choices` are those of each question, None where they are not known.

    `first` says whether numbers count from 0 or 1; else it is seen from the numbers themselves: a 0 tells, and a number that is as
    great as there are choices; else `numbered` tells, the number in the first choice's column.

    Raises `DataError`, which begins with the `name` of the source, where the answers can be understood in two ways.

    >>> rows = [Choices(("tea", "rice", "wine"))] * 2
    >>> [form_of(values, rows, first=None, numbered=None, name="x").line for values in (["B", "a"], [1, 3])]
    ['answers are letters (A is the first choice)', 'answers are numbers of choices, counted from 1']
    """
    told = [
        (written(value), each) for value, each in zip(values, choices, strict=True) if each is not None and written(value) not in _MISSING
    ]
    counts: dict[Kind, int] = {
        "name": sum(value in each.names for value, each in told),
        "text": sum(value in _stripped(each) for value, each in told),
        "letter": sum(_LETTER.fullmatch(value or "") is not None for value, _ in told),
        "number": sum(_NUMBER.fullmatch(value or "") is not None for value, _ in told),
    }
    kind = max(counts, key=lambda kind: counts[kind])
    if not counts[kind]:
        return AnswerForm("text")
    if kind == "number":
        numbers = [(int(value), each) for value, each in told if value is not None and _NUMBER.fullmatch(value)]
        return AnswerForm("number", _first(numbers, first, numbered, name))
    other = next((one for one in _SHORT if kind == "text" and counts[one] == counts["text"]), None)
    return AnswerForm(kind) if other is None else _text_or(other, told, first, name)


def _text_or(other: Kind, told: Sequence[tuple[str | None, Choices]], first: int | None, name: str) -> AnswerForm:
    """Whether answers that are choices, but look like letters or numbers of choices, are that: where they mean a choice each, too.

    Raises `DataError` where they mean other choices, and nothing says that they are meant.
    """
    text, starts = AnswerForm("text"), (0, 1) if other == "number" and first is None else (first or 0,)
    readings = [form for form in (AnswerForm(other, start) for start in starts) if all(_meant(form, *each) is not None for each in told)]
    if readings and other == "number" and first is not None:
        return readings[0]
    if all(_meant(form, *each) == _meant(text, *each) for form in readings for each in told):
        return text
    remedy = "write letters, A for the first, or give first_choice (--first-choice)" if other == "number" else "write numbers from 0 on"
    raise DataError(
        f"{name}: the answers may be {other}s of choices, or the choices themselves, which are {other}s too, and the two differ: {remedy}"
    )


def _first(told: Sequence[tuple[int, Choices]], first: int | None, numbered: int | None, name: str) -> int:
    if first is not None:
        return first
    if any(number == 0 for number, _ in told):
        return 0
    if any(number == len(each.texts) for number, each in told):
        return 1
    if numbered is not None:
        return numbered
    raise DataError(
        f"{name}: the answers are numbers of choices, but none is 0 and none that of a last choice, so that it cannot be told whether they "
        "count from 0 or from 1: say it with first_choice=0 or first_choice=1 (--first-choice), or write letters"
    )


def number_of(form: AnswerForm, value: Any, choices: Choices) -> int:
    """The number of the choice, from 0, that an answer means. Raises `BadQuestionError` where it means none, or several."""
    told, count = written(value), len(choices.texts)
    if told in _MISSING:
        raise BadQuestionError("no answer", f"it is {value!r:.40}")
    found = _meant(form, told, choices)
    if found is None:
        ways = {
            "number": f"a number from {form.first} to {form.first + count - 1} is wanted ({form.line})",
            "letter": f"a letter from A to {chr(ord('A') + count - 1)} is wanted",
            "name": f"one of {', '.join(choices.names[:8])} is wanted",
            "text": "a choice word by word, its letter or its number is wanted",
        }
        raise BadQuestionError("an answer that is none of the choices", f"{told!r:.40} of {count} choices; {ways[form.kind]}")
    if form.kind == "text" and _stripped(choices).count(told or "") > 1:
        raise BadQuestionError(
            "an answer that is several choices", f"{told!r:.40} stands there {_stripped(choices).count(told or '')} times"
        )
    return found


def _meant(form: AnswerForm, told: str | None, choices: Choices) -> int | None:
    """The number of the choice that a written answer means; None where it means none."""
    count = len(choices.texts)
    match form.kind:
        case "number":
            number = int(told) - form.first if told is not None and _NUMBER.fullmatch(told) else -1
        case "letter":
            number = ord(told.lower()) - ord("a") if told is not None and _LETTER.fullmatch(told) else -1
        case "name":
            number = choices.names.index(told) if told in choices.names else -1
        case "text":
            number = _stripped(choices).index(told) if told in _stripped(choices) else -1
    return number if 0 <= number < count else None


def written(value: Any) -> str | None:
    """An answer as a text without white space around it; None where there is none.

    >>> written(2.0), written(" B "), written(float("nan"))
    ('2', 'B', None)
    """
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _stripped(choices: Choices) -> list[str]:
    return [text.strip() for text in choices.texts]
