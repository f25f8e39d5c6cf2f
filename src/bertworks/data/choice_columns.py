"""Which columns are the question, its choices and the answer: guessed only where there is no doubt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from bertworks.data.columns import listed
from bertworks.data.table import Table
from bertworks.errors import DataError, nearest

QUESTION_NAMES = ("question", "question_stem", "stem", "query", "prompt", "premise", "goal", "ctx", "startphrase", "sentence", "text")
CONTEXT_NAMES = ("context", "passage", "article", "paragraph", "support", "story")
"""Names of a text that is read before the question; of the question itself where there is no other."""
LIST_NAMES = ("choices", "options", "endings", "candidates", "alternatives")
# fmt: off
ANSWER_NAMES = (
    "answer", "label", "answerkey", "answer_key", "answer_index", "answer_idx", "correct", "correct_answer", "correct_choice",
    "correct_option", "gold", "target",
)
# fmt: on
_ONE_OF = re.compile(
    r"(?P<stem>choice|option|opt|ending|candidate|alternative|answer|solution|sol|)(?P<gap>[ _-]?)(?P<place>\d{1,2}|[a-z])"
)
"""The name of a column that holds one choice: ending0, choice_a, Option 1, A."""
_OPTIONS = {"question": "text", "choices": "choices", "answers": "label"}
"""What the command line calls the columns."""


@dataclass(frozen=True)
class ChoiceColumns:
    """The columns that are used."""

    question: str
    context: str | None
    choices: tuple[str, ...]
    """One column of lists, or a column for each choice, in their order."""
    answers: str | None
    first: int | None = None
    """The number in the name of the first choice's column, where these are numbered."""

    @property
    def used(self) -> list[str]:
        """All of them."""
        return [name for name in (self.question, self.context, *self.choices, self.answers) if name is not None]

    def lines(self, table: Table) -> list[str]:
        """Which columns are used for what, and which are not used."""
        context = "" if self.context is None else f", context '{self.context}' (read before the question)"
        choices = f"choices {', '.join(repr(name) for name in self.choices)}"
        answers = "" if self.answers is None else f", answer '{self.answers}'"
        unused = [name for name in table.data.column_names if name not in self.used]
        return [f"columns: question '{self.question}'{context}, {choices}{answers}"] + (
            [f"columns not used: {', '.join(unused)}"] if unused else []
        )


def choice_columns(
    table: Table, *, question: str | None, context: str | None, choices: Sequence[str] | None, answers: str | None, with_answers: bool
) -> ChoiceColumns:
    """The columns as given, the others guessed by well-known names (case does not matter). A context is guessed only where
    `question` is not given. A single name in `choices` may be the beginning of several columns: ending for ending0, ending1 ….

    Raises `DataError` naming all columns and the argument to pass where one is missing or a guess is not safe.
    """
    of_choices, first = _choices(table, choices)
    for name in (question, context, answers):
        if name is not None:
            _check(table, name)
    taken = {*of_choices, *(name for name in (question, context, answers) if name is not None)}
    found = _named(table, QUESTION_NAMES, taken)
    contexts = _named(table, CONTEXT_NAMES, taken)
    if question is None:
        asked = found or contexts
        if len(asked) != 1:
            raise _ask(table, "question", asked)
        question = asked[0]
        context = contexts[0] if context is None and found and len(contexts) == 1 else context
    if with_answers and answers is None:
        told = _named(table, ANSWER_NAMES, {*taken, question})
        if len(told) != 1:
            raise _ask(table, "answers", told)
        answers = told[0]
    columns = ChoiceColumns(question, context, of_choices, answers if with_answers else None, first)
    if len(set(columns.used)) < len(columns.used):
        raise DataError(f"{table.name}: question, context, choices and answers must be different columns, not {', '.join(columns.used)}")
    return columns


def _check(table: Table, name: str) -> None:
    names = table.data.column_names
    if names.count(name) != 1:
        raise DataError(f"{table.name} has no column '{name}', or several; it has {listed(table)}.{nearest(name, names)}")


def _named(table: Table, usual: Sequence[str], taken: set[str]) -> list[str]:
    """The columns with usual names, the surest name first."""
    names = table.data.column_names
    lower = {name.lower(): name for name in names if names.count(name) == 1 and name not in taken}
    return [lower[name] for name in usual if name in lower]


def _choices(table: Table, given: Sequence[str] | None) -> tuple[tuple[str, ...], int | None]:
    """The columns of the choices, and the number in the first one's name."""
    groups = _groups(table)
    if given is not None:
        if len(given) == 1 and given[0] not in table.data.column_names:
            stem = given[0].lower().rstrip(" _-")
            chosen = [group for (name, _, _), group in groups.items() if stem in (name, f"{name}s")]
            if len(chosen) == 1:
                return _in_order(chosen[0])
        for name in given:
            _check(table, name)
        places = [_ONE_OF.fullmatch(name.lower()) for name in given[:1]]
        first = places[0]["place"] if places and places[0] is not None and len(given) > 1 else ""
        return tuple(given), int(first) if first in ("0", "1") else None
    lists = [name for name in _named(table, LIST_NAMES, set()) if _may_hold_lists(table, name)]
    if len(lists) + len(groups) != 1:
        raise _ask(table, "choices", [*lists, *(" + ".join(_in_order(group)[0]) for group in groups.values())])
    return (tuple(lists), None) if lists else _in_order(next(iter(groups.values())))


def _groups(table: Table) -> dict[tuple[str, str, bool], dict[int, str]]:
    """Columns that are named alike but for a number or letter that counts on: two at least, from 0, 1 or a."""
    groups: dict[tuple[str, str, bool], dict[int, str]] = {}
    for name in table.data.column_names:
        match = _ONE_OF.fullmatch(name.lower())
        if match is None or (not match["stem"] and (match["gap"] or match["place"].isdigit())):
            continue
        place = match["place"]
        number = int(place) if place.isdigit() else ord(place) - ord("a")
        groups.setdefault((match["stem"], match["gap"], place.isdigit()), {})[number] = name
    return {key: group for key, group in groups.items() if len(group) > 1 and _counts_on(sorted(group), 1 if key[2] else 0)}


def _counts_on(numbers: list[int], most: int) -> bool:
    return numbers[0] <= most and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _in_order(group: dict[int, str]) -> tuple[tuple[str, ...], int | None]:
    places = sorted(group)
    return tuple(group[place] for place in places), places[0] if group[places[0]][-1:].isdigit() else None


def _may_hold_lists(table: Table, name: str) -> bool:
    kind = table.data.schema.field(name).type
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_struct, pa.types.is_string, pa.types.is_large_string)
    return any(test(kind) for test in tests)


def _ask(table: Table, what: str, candidates: Sequence[str]) -> DataError:
    state = f"could be {' or '.join(candidates)}" if candidates else "cannot be told by name"
    more = ", once for each where each has a column of its own" if what == "choices" else ""
    verb = "the choices" if what == "choices" else "the question" if what == "question" else "the answer"
    return DataError(
        f'{table.name}: {verb} {state}; the columns are {listed(table)}. Name the column with {_OPTIONS[what]}="…" '
        f"(--{_OPTIONS[what]} …{more})"
    )
