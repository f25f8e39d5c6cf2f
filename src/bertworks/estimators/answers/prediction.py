"""Answers to questions: those of a file, pair by pair, or one, and the files that they are written into."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.accounting import Accounting
from bertworks.checkpoints.files import write_json
from bertworks.data.faults import OnBadRows
from bertworks.data.files import decode_text, read_bytes, split_suffixes
from bertworks.data.question_examples import QuestionExample
from bertworks.data.questions import read_questions
from bertworks.data.writing import check_writable, write_table
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.answers.answerer import QuestionAnswerer
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.load import load
from bertworks.estimators.rows import plain_list
from bertworks.estimators.verbs.predict import PredictionReport
from bertworks.tasks.question_answering import Answer, QuestionAnswering

_DIGITS = 6


@dataclass(frozen=True)
class AnswerPrediction:
    """The answer to one question."""

    question: str
    answer: Answer
    candidates: tuple[Answer, ...] = ()
    """The next best, where they were asked for."""
    id: str | None = None

    @property
    def line(self) -> str:
        """What the command line shows: the answer, its score and the question, with tabs between them."""
        parts = [self.answer.text or "(no answer)", f"{self.answer.score:.4f}"]
        parts += [f"{each.text or '(no answer)'}={each.score:.4f}" for each in self.candidates]
        return "\t".join(" ".join(part.split()) for part in [*parts, self.question])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {} if self.id is None else {"id": self.id}
        out |= {"question": self.question, **_rounded(self.answer)}
        return out | ({"candidates": [_rounded(each) for each in self.candidates]} if self.candidates else {})


def _rounded(answer: Answer) -> dict[str, Any]:
    values = {"answer": answer.text, **{name: value for name, value in answer.to_dict().items() if name != "text"}}
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in values.items()}


def answers(
    classifier: QuestionAnswerer,
    rows: Sequence[Any],
    *,
    probabilities: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[list[AnswerPrediction], Accounting]]:
    """The answers for pairs of a question and a context, some at a time; with `probabilities`, the next best ones too. `first_row` is
    the number of the first question in messages."""
    yield from _answered(classifier, [_example(row) for row in rows], probabilities, "error", progress, first_row)


def _answered(
    answerer: QuestionAnswerer,
    examples: Sequence[QuestionExample],
    more: bool,
    on_bad_rows: OnBadRows,
    progress: Callable[[int, int], None] | None,
    first_row: int = 0,
) -> Iterator[tuple[list[AnswerPrediction], Accounting]]:
    done = 0
    for rows, spans, seen in answerer.spans(examples, on_bad_rows=on_bad_rows, first_row=first_row):
        decided = [answerer.task_.decide(found, examples[row].context) for row, found in zip(rows, spans, strict=True)]
        yield [_prediction(examples[row], candidates, more) for row, candidates in zip(rows, decided, strict=True)], seen
        done += seen.rows
        if progress is not None:
            progress(done, len(examples))


def _example(row: Any) -> QuestionExample:
    if not isinstance(row, list | tuple) or len(row) != 2 or not all(isinstance(text, str) for text in row):
        raise DataError(f"this model answers questions: give a question and a context, two texts, not {row!r:.60}")
    return QuestionExample(row[0], row[1])


def _prediction(example: QuestionExample, candidates: Sequence[Answer], more: bool) -> AnswerPrediction:
    return AnswerPrediction(example.question, candidates[0], tuple(candidates[1:5]) if more else (), example.id or None)


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
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Answers `texts` (pairs of a question and a context) or every question of `file`, a SQuAD file or any other source.

    `output` is a table with a row for each question (id, question, answer, start, end, score, answerable), or, with the
    suffix .json, what SQuAD's official evaluations read: an object from ids to answers, "" for none; beside it
    `….no_answer.json` has the doubts that go with it where questions may have no answer. With `probabilities` the next best
    answers are told. The other arguments are those of `verbs.predict`.
    """
    columns = {"split": split, "text": text, "pair": pair, "limit": limit, "encoding": encoding, "delimiter": delimiter}
    check_given(texts, file, output, columns, "texts (question and context) or a file to predict")
    if output is not None:
        check_writable(output)
    answerer: QuestionAnswerer = load(model, device=device, precision=precision, threads=threads)
    started, read = time.perf_counter(), None
    if file is not None:
        reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
        read = read_questions(file, split=split, question=text, context=pair, limit=limit, require_answers=False, **reading)
    examples = [_example(row) for row in plain_list(texts, "texts")] if read is None else read.examples
    found: list[AnswerPrediction] = []
    seen = Accounting()
    for some, accounting in _answered(answerer, examples, probabilities, on_bad_rows, progress):
        found += some
        seen += accounting
    seen = seen if read is None else with_reading(seen, read.accounting)
    counts = Counter("an answer" if each.answer.text else "no answer" for each in found)
    seconds = time.perf_counter() - started
    if output is None:
        return PredictionReport(found, None, seen, counts, seconds=seconds)
    path, notes = _write(found, Path(output), answerer.task_)
    return PredictionReport([], path, seen, counts, notes, seconds)


def _write(found: Sequence[AnswerPrediction], path: Path, task: QuestionAnswering) -> tuple[Path, list[str]]:
    if split_suffixes(path)[1:] != (".json", ""):
        rows = [each.to_dict() for each in found]
        return write_table(pa.Table.from_pylist(rows), path), []
    repeated = [key for key, count in Counter(each.id for each in found).items() if count > 1]
    if repeated:
        raise DataError(
            f"{len(repeated):,} ids stand several times ({repeated[0]}), so that a .json of them would lose answers: write .jsonl"
        )
    write_json(path, {str(each.id): each.answer.text for each in found})
    if not task.unanswerable:
        return path, ["ids and answers, as SQuAD's official evaluations read them"]
    beside = path.with_name(f"{path.stem}.no_answer.json")
    write_json(beside, {str(each.id): 1 - each.answer.answerable for each in found})
    return path, [f"ids and answers, as SQuAD's official evaluations read them; probabilities that there is none: {beside}"]


def answer(
    model: str | Path,
    question: str,
    *,
    context: str | None = None,
    file: str | Path | None = None,
    candidates: int = 1,
    encoding: str = "utf-8",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> list[Answer]:
    """The answer to one question by a context, or by all that a text `file` holds; and the next best, so many in all.

    Raises `SettingsError` where neither, or both, are given, or the model is not one for answers.
    """
    if (context is None) == (file is None):
        raise SettingsError("give either a context (--context) or a file that holds it (--file)")
    if candidates < 1:
        raise SettingsError(f"candidates is a number of answers, at least 1, not {candidates}")
    text = context if file is None else decode_text(read_bytes(Path(file).expanduser()), encoding, str(file))
    answerer = load(model, device=device, precision=precision, threads=threads)
    if not isinstance(answerer, QuestionAnswerer):
        raise SettingsError(f"{model} is a model for {answerer.task_.name.replace('_', ' ')}: name one for question answering")
    return answerer.candidates(question, text or "", candidates)
