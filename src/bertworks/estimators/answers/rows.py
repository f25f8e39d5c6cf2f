"""What users hand in as questions, contexts and answers, as a list of examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertworks.data.question_examples import BadQuestionError, QuestionExample, answers_of
from bertworks.data.questions import read_questions
from bertworks.errors import DataError
from bertworks.estimators.rows import plain_list


def question_examples(
    questions: Any, contexts: Any = None, answers: Any = None, *, purpose: str = "", require_answers: bool = False
) -> list[QuestionExample]:
    """Examples of three columns, or, where `questions` alone is given, of any source that `read_questions` reads.

    One context serves all questions where it is a string. Raises `DataError` that begins with the `purpose` and names the row.
    """
    told = f"{purpose}: " if purpose else ""
    if contexts is None:
        return _of_source(questions, answers, told, require_answers)
    if isinstance(questions, str):
        raise DataError(f"{told}expected a list of questions, got one string: put it in a list, [question], or call answer")
    rows = plain_list(questions, "questions")
    of_rows = [contexts] * len(rows) if isinstance(contexts, str) else plain_list(contexts, "contexts")
    given = [None] * len(rows) if answers is None else plain_list(answers, "answers")
    if not len(rows) == len(of_rows) == len(given):
        raise DataError(f"{told}{len(rows)} questions, {len(of_rows)} contexts and {len(given)} answers: give one of each for each")
    if require_answers and answers is None:
        raise DataError(f"{told}there are no answers: give those of each question, None where its context has none")
    found = []
    for row, (question, context, answer) in enumerate(zip(rows, of_rows, given, strict=True)):
        for what, text in (("question", question), ("context", context)):
            if not isinstance(text, str):
                raise DataError(f"{told}row {row}: the {what} is {text!r:.40} ({type(text).__name__}), not a string")
        try:
            found.append(QuestionExample(question, context, None if answers is None else answers_of(answer), str(row)))
        except BadQuestionError as error:
            raise DataError(f"{told}row {row}: {error}") from None
    return found


def _of_source(source: Any, answers: Any, told: str, require_answers: bool) -> list[QuestionExample]:
    if answers is not None:
        raise DataError(f"{told}answers are given, but no contexts: give questions, contexts and answers")
    if isinstance(source, Sequence) and not isinstance(source, str) and source and all(isinstance(row, str) for row in source):
        raise DataError(f"{told}questions are given, but no contexts: give both, or examples that have both")
    if not isinstance(source, str | Path) and hasattr(source, "__len__") and not len(source):
        return []
    return read_questions(source, require_answers=require_answers).examples


def fitting(examples: Sequence[QuestionExample], unanswerable: bool, purpose: str) -> None:
    """Raises `DataError` where a model that always gives an answer is to learn, or be tuned, on questions without one."""
    count = 0 if unanswerable else sum(not example.answerable for example in examples)
    if count:
        raise DataError(
            f"{purpose}: {count:,} of {len(examples):,} questions have no answer in their context, which unanswerable=False rules out: "
            "leave it out, or leave them out"
        )
