"""`read_questions`: questions on contexts, with the answers that stand there, from any source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bertworks.data.columns import listed
from bertworks.data.faults import OnBadRows, check_on_bad_rows
from bertworks.data.question_examples import BadQuestionError, Gathered, QuestionData, QuestionExample, answers_of, checked_example
from bertworks.data.squad import opened_squad, questions_of
from bertworks.data.table import Table, read_table
from bertworks.errors import DataError, nearest

QUESTION_NAMES = ("question", "query")
CONTEXT_NAMES = ("context", "passage", "paragraph", "document", "text")
ANSWER_NAMES = ("answers", "answer", "answer_text")
START_NAMES = ("answer_start", "answer_starts", "start")
ID_NAMES = ("id", "qid", "question_id")
"""Names of columns, the surest first."""


def read_questions(
    source: Any,
    *,
    split: str | None = None,
    question: str | None = None,
    context: str | None = None,
    answers: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    require_answers: bool = True,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> QuestionData:
    """Reads questions from a SQuAD file (v1.1 or v2.0), or from any table or list of rows that `read_table` reads.

    A row has a question, a context and, in `answers`, what the hub's copies have ({"text": [...], "answer_start": [...]}), or
    a list of such with one answer each; or in `answer` a text and in `answer_start` its place, which may be missing. `question`,
    `context` and `answers` name columns that are called otherwise. Without an answer (empty, null) a question is one that
    its context does not answer. A list may hold `QuestionExample`s too.

    With `require_answers` (training, evaluation) it must be told of every question whether it has an answer; without
    it nothing need be. Raises `DataError` that names file, article or row, and question, unless bad ones are to be dropped.

    >>> read_questions([{"question": "Who sang?", "context": "A blackbird sang.", "answer": "A blackbird"}]).examples[0].answers
    (GoldAnswer(text='A blackbird', start=None),)
    """
    check_on_bad_rows(on_bad_rows)
    slices: dict[str, Any] = {"split": split, "shuffle_seed": shuffle_seed, "limit": limit}
    squad = opened_squad(source, encoding)
    if squad is not None:
        return questions_of(squad, str(source), require_answers=require_answers, on_bad_rows=on_bad_rows, **slices)
    if isinstance(source, Sequence) and not isinstance(source, str) and any(isinstance(row, QuestionExample) for row in source):
        return _of_examples(source, require_answers, **slices)
    table = read_table(source, encoding=encoding, delimiter=delimiter, on_bad_rows=on_bad_rows, **slices)
    return _of_table(table, _Columns.of(table, question, context, answers, require_answers), require_answers, on_bad_rows)


# ---- rows and columns


@dataclass(frozen=True)
class _Columns:
    question: str
    context: str
    answers: str | None
    start: str | None
    id: str | None
    title: str | None
    impossible: str | None

    @classmethod
    def of(cls, table: Table, question: str | None, context: str | None, answers: str | None, require_answers: bool) -> "_Columns":
        chosen = {
            "question": _column(table, "question", question, QUESTION_NAMES, ask=True),
            "context": _column(table, "context", context, CONTEXT_NAMES, ask=True),
            "answers": _column(table, "answers", answers, ANSWER_NAMES, ask=require_answers),
        }
        others = {"start": START_NAMES, "id": ID_NAMES, "title": ("title",), "impossible": ("is_impossible",)}
        return cls(**chosen, **{name: _column(table, name, None, names, ask=False) for name, names in others.items()})  # type: ignore[arg-type]

    @property
    def used(self) -> dict[str, str]:
        return {name: column for name, column in vars(self).items() if column is not None}


_OPTIONS = {"question": "text", "context": "pair", "answers": "label"}
"""What the command line calls the columns."""


def _column(table: Table, what: str, named: str | None, usual: Sequence[str], *, ask: bool) -> str | None:
    names = table.data.column_names
    if named is not None:
        if names.count(named) != 1:
            raise DataError(f"{table.name} has no column '{named}', or several; it has {listed(table)}.{nearest(named, names)}")
        return named
    lower = {name.lower(): name for name in names if names.count(name) == 1}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None and ask:
        option = _OPTIONS[what]
        raise DataError(
            f'{table.name} has no column named {" or ".join(usual)}: name it with {what}="…" (--{option} …); it has {listed(table)}'
        )
    return found


def _of_table(table: Table, columns: _Columns, require_answers: bool, on_bad_rows: OnBadRows) -> QuestionData:
    gathered = Gathered(table.name, on_bad_rows)
    for number, row in zip(table.rows.tolist(), _rows(table, columns), strict=True):
        identity = str(row.get("id") or number)
        gathered.add(number, f"row {number} (the first is 0), question {identity[:80]}", partial(_of_row, row, identity, columns))
    used = columns.used
    unused = [name for name in table.data.column_names if name not in used.values()]
    notes = ["columns: " + ", ".join(f"{what} '{name}'" for what, name in used.items())]
    return gathered.data([*notes, *([f"columns not used: {', '.join(unused)}"] if unused else [])], table.dropped)


def _rows(table: Table, columns: _Columns) -> Iterator[dict[str, Any]]:
    used = columns.used
    for batch in table.data.select(list(used.values())).to_batches(max_chunksize=4096):
        yield from (dict(zip(used, row, strict=True)) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _of_row(row: Mapping[str, Any], identity: str, columns: _Columns) -> QuestionExample:
    answers = None if columns.answers is None else answers_of(row["answers"], row.get("start"))
    if str(row.get("impossible")).lower() in ("true", "1"):
        if answers:
            raise BadQuestionError("answers to a question that is marked as impossible")
        answers = ()
    return checked_example(row["question"], row["context"], answers, identity, str(row.get("title") or ""))


def _of_examples(source: Sequence[Any], require_answers: bool, **slices: Any) -> QuestionData:
    odd = next((i for i, row in enumerate(source) if not isinstance(row, QuestionExample)), None)
    if odd is not None:
        raise DataError(f"row {odd} is {type(source[odd]).__name__}, not a QuestionExample as others are: give one kind of rows")
    if require_answers and any(example.answers is None for example in source):
        raise DataError("some questions do not tell their answers: give them, or () where the context has none")
    return Gathered("(in memory)", "error", list(source), list(range(len(source)))).data().sliced(**slices)
