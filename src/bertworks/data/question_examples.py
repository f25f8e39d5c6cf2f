"""Questions on contexts with their answers, as they come out of any source, and what is wrong with some."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.faults import OnBadRows
from bertworks.data.holdout import Division
from bertworks.data.splits import check_taking, parse_split
from bertworks.errors import DataError


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """An answer as somebody marked it."""

    text: str
    start: int | None = None
    """Where it begins in the context, in characters from 0; None where that is not told."""


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question, the text that may hold its answer, and the answers that are right.

    >>> QuestionExample("Who sang?", "A blackbird sang.", (GoldAnswer("A blackbird", 0),)).answerable
    True
    """

    question: str
    context: str
    answers: tuple[GoldAnswer, ...] | None = ()
    """Empty where the context does not answer the question; None where nothing is told."""
    id: str = ""
    """What the question is called in files of predictions."""
    title: str = ""
    """The article that the context is from."""

    @property
    def answerable(self) -> bool:
        """Whether it has an answer."""
        return bool(self.answers)

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"question {self.id[:80]}" + (f" (article '{self.title[:60]}')" if self.title else "")


@dataclass(frozen=True)
class QuestionData:
    """Questions that were read."""

    examples: list[QuestionExample]
    name: str
    """The source, for messages."""
    accounting: Accounting
    """Questions handed in, and those left out with the reason."""
    rows: Int[Array, "questions"]
    """The number of each question in its source, from 0: that of its row, or in a SQuAD file how many stand before it."""
    notes: tuple[str, ...] = ()
    """Columns that were used and not used, say."""

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Any]:
        """What is learnt from, row by row."""
        return iter(self.examples)

    @property
    def division(self) -> Division:
        """How the questions may be divided: those of a context together."""
        return Division([example.context for example in self.examples], together=True)

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str) -> "QuestionData":
        """Some of the questions."""
        return replace(self, examples=[self.examples[i] for i in chosen], accounting=accounting, name=name, rows=self.rows[chosen])

    def sliced(self, *, split: str | None, shuffle_seed: int | None, limit: int | None) -> "QuestionData":
        """The part that a split without a name takes, as `read_table` takes it of a table. Raises `DataError` where that is nothing,
        `SettingsError` for a limit below 1."""
        check_taking(shuffle_seed, limit)
        order: Int[Array, "questions"] = np.arange(len(self))
        if shuffle_seed is not None:
            order = np.random.Generator(np.random.PCG64(shuffle_seed)).permutation(len(self))
        taken = []
        for part in parse_split(split):
            if part.name:
                raise DataError(
                    f"{self.name} is one file without splits, so there is no split '{part.name}'. Give a slice only, such as '[:2000]'"
                )
            taken.append(order[slice(*part.bounds(len(self)))])
        chosen = np.concatenate(taken)[:limit]
        if not len(chosen):
            raise DataError(f"the split '{split}' of {self.name} holds no question")
        dropped = self.accounting.dropped
        return self.part(chosen, Accounting(rows=len(chosen) + dropped.total(), dropped=dropped), self.name)

    @property
    def unanswerable(self) -> int:
        """Questions that are told to have no answer."""
        return sum(example.answers == () for example in self.examples)


class BadQuestionError(ValueError):
    """A question that cannot be used: the reason as it is counted, and the details."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}{f': {detail}' if detail else ''}")
        self.reason = reason


def answers_of(value: Any, starts: Any = None) -> tuple[GoldAnswer, ...]:
    """The answers that a cell or an argument holds, in whichever form; `starts` are places that stand beside texts.

    Raises `BadQuestionError` where they cannot be understood.

    >>> answers_of({"text": ["noon", "at noon"], "answer_start": [7, 4]})
    (GoldAnswer(text='noon', start=7), GoldAnswer(text='at noon', start=4))
    >>> answers_of(""), answers_of("noon", 7), answers_of([("noon", 7)])
    ((), (GoldAnswer(text='noon', start=7),), (GoldAnswer(text='noon', start=7),))
    """
    value = _plain(value)
    if isinstance(value, str) and value[:1] in ("{", "[") and starts is None:
        with_json = _from_json(value)
        value = value if with_json is None else with_json
    match value:
        case None | "" | [] | ():
            return ()
        case GoldAnswer():
            return (value,)
        case str():
            return (_answer(value, starts),)
        case {"text": text}:
            return _zipped(_plain(text), _plain(value.get("answer_start", starts)))
        case (str() as text, int() as start) if not isinstance(start, bool):
            return (_answer(text, start),)
        case list() | tuple() if _plain(starts) is not None and all(isinstance(each, str) for each in value):
            return _zipped(value, _plain(starts))
        case list() | tuple():
            return tuple(answer for each in value for answer in answers_of(each))
    raise BadQuestionError("answers that cannot be understood", f"{value!r:.60}")


def _zipped(texts: Any, starts: Any) -> tuple[GoldAnswer, ...]:
    if isinstance(texts, str) or texts is None:
        return answers_of(texts, starts)
    places = [None] * len(texts) if starts is None else starts
    if not isinstance(places, list | tuple) or len(places) != len(texts):
        raise BadQuestionError("answers and their places differ in number", f"{len(texts)} texts, answer_start {places!r:.40}")
    return tuple(_answer(text, start) for text, start in zip(texts, places, strict=True))


def _answer(text: Any, start: Any) -> GoldAnswer:
    if not isinstance(text, str) or not text.strip():
        raise BadQuestionError("an answer without a text", f"{text!r:.40}")
    start = None if start is None or start == "" or start != start else start
    if isinstance(start, str) and start.strip().isdecimal():
        start = int(start)
    if isinstance(start, float) and start.is_integer():
        start = int(start)
    if start is not None and (not isinstance(start, int) or isinstance(start, bool) or start < 0):
        raise BadQuestionError("an answer_start that is no place", f"a whole number from 0 on is wanted, not {start!r:.40}")
    return GoldAnswer(text, start)


def _plain(value: Any) -> Any:
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return None if isinstance(value, float) and value != value else value


def _from_json(text: str) -> Any:
    """The object or list of objects that a cell of a CSV file holds; None where it is merely a text that looks so."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(each, dict) for each in value)) else None


def checked_example(question: Any, context: Any, answers: tuple[GoldAnswer, ...] | None, identity: str, title: str = "") -> QuestionExample:
    """Raises `BadQuestionError` where question or context is no text, or an empty one."""
    for what, text in (("question", question), ("context", context)):
        if not isinstance(text, str) or not text.strip():
            raise BadQuestionError(f"a {what} that is empty or no text", f"{text!r:.40}")
    return QuestionExample(question, context, answers, identity, title)


def bad_question(where: str, error: BadQuestionError) -> DataError:
    """What to raise for a bad question where such are an error."""
    return DataError(f'{where}: {error}. Correct it, or leave such questions out with on_bad_rows="drop" (--on-bad-rows drop)')


def no_question(name: str, dropped: Counter[str]) -> DataError:
    """What to raise where no question is left."""
    told = ", ".join(f"{count:,} × {reason}" for reason, count in dropped.items())
    return DataError(f"{name} has no usable question{f': {told}' if told else ''}; name another file, or another split")


@dataclass
class Gathered:
    """Questions as they are read: kept, or left out and counted."""

    name: str
    on_bad_rows: OnBadRows
    examples: list[QuestionExample] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, row: int, where: str, make: Callable[[], QuestionExample]) -> None:
        """Adds the question that `make` makes of a row. Raises `DataError` with `where` it stands if it is bad and such are an error."""
        try:
            self.examples.append(make())
            self.rows.append(row)
        except BadQuestionError as error:
            if self.on_bad_rows == "error":
                raise bad_question(f"{self.name}, {where}", error) from None
            self.dropped[error.reason] += 1

    def data(self, notes: Iterable[str] = (), dropped: Counter[str] | None = None) -> QuestionData:
        """All of them. Raises `DataError` where none is left."""
        dropped = self.dropped + (dropped or Counter())
        if not self.examples:
            raise no_question(self.name, dropped)
        seen = Accounting(rows=len(self.examples) + dropped.total(), dropped=dropped)
        return QuestionData(self.examples, self.name, seen, np.array(self.rows), tuple(notes))
