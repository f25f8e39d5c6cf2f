"""Explanations of choices: what the words of a question and of all of its choices add to the log-probability of one of these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.data.choice_answers import AnswerForm, number_of
from bertworks.data.choice_examples import Choices
from bertworks.data.question_examples import BadQuestionError
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.choices.rows import question_row
from bertworks.estimators.explanation import BaselineName, resolve_baseline
from bertworks.explain import Answer, Chosen, Explanation, Question, Reading
from bertworks.tasks import Scores
from bertworks.tasks.multiple_choice import HEAD
from bertworks.tasks.multiple_choice import MultipleChoice as Task

if TYPE_CHECKING:
    from bertworks.estimators.multiple_choice import MultipleChoice

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def explain_choice(
    chooser: "MultipleChoice",
    text: str,
    choices: Sequence[str],
    *,
    target: str | int | None = None,
    baseline: BaselineName = "pad",
    **options: Any,
) -> Explanation:
    """See `MultipleChoice.explain`; `options` are those of `Explanation` (`tolerance`, `progress`)."""
    task: Task = chooser.task_
    tokenizer = chooser.tokenizer_
    stands_for_nothing = resolve_baseline(tokenizer, baseline)
    question = question_row((text, choices))
    reading = _read(question.text, question.choices, task, tokenizer)
    (probabilities,), _ = chooser.answer([question])
    names = [_distinct(question.choices, number) for number in range(len(question.choices))]
    chosen = int(probabilities.argmax()) if target is None else _named(question.choices, target)
    return Explanation(
        chooser.loaded_.model,
        chooser.machine_,
        reading,
        answer=Answer(names[int(probabilities.argmax())], dict(zip(names, probabilities.tolist(), strict=True)), name="choice"),
        question=Question(
            name=names[chosen],
            score=f"the log-probability of '{names[chosen]:.40}' among {len(names)} choices",
            quantity=f"P('{names[chosen]:.40}')",
            target=Chosen(HEAD, chosen),
            confidence=lambda scores, variants: _probabilities(task, scores, variants, chosen),
        ),
        baseline=stands_for_nothing,
        window=chosen,
        **options,
    )


def _read(text: str, choices: Sequence[str], task: Task, tokenizer: Any) -> Reading:
    """The question with each choice."""
    rows = tokenizer.encode_batch([text] * len(choices), list(choices), max_tokens=task.max_tokens, overflow=task.overflow)
    names = ["question", *(f"choice {_letter(number)}" for number in range(len(choices)))]
    reading = Reading.beside(text, choices, [row[0] for row in rows], names)
    read = {word.part for word in reading.words}
    empty = next((name for number, name in enumerate(names) if number not in read), None)
    if empty is not None:
        raise DataError(f"the {empty} has no word: there is nothing to explain")
    return reading


def _probabilities(task: Task, scores: Scores, variants: PackedBatch, chosen: int) -> Float[Array, "groups"]:
    """The probability of a choice in each shortened variant of the question with all choices."""
    return np.array([values[chosen] for values in task.probabilities(scores[HEAD], variants)])


def _named(choices: Sequence[str], target: str | int) -> int:
    """The number of the choice that is meant: by its text, its letter or its number from 0, as `predict` gives it.

    Raises `SettingsError` where it is none of them, or several.
    """
    given = Choices(tuple(choices))
    forms = [AnswerForm("number")] if isinstance(target, int) else [AnswerForm("text"), AnswerForm("letter"), AnswerForm("number")]
    for form in forms:
        try:
            return number_of(form, target, given)
        except BadQuestionError:
            continue
    last = len(choices) - 1
    several = sum(choice.strip() == str(target).strip() for choice in choices) > 1
    raise SettingsError(
        f"'{target!s:.60}' is {'several' if several else 'none'} of the choices: name one by its letter (A to {_letter(last)})"
        f" or its number (0 to {last}){'' if several else ', or give its text word by word'}"
    )


def _distinct(choices: Sequence[str], number: int) -> str:
    """A choice as it is told: its text, with its letter where others have the same."""
    text = choices[number]
    return text if choices.count(text) == 1 else f"{text} ({_letter(number)})"


def _letter(number: int) -> str:
    """What a choice is called: its letter, or its number where letters do not reach."""
    return _LETTERS[number] if number < len(_LETTERS) else str(number)
