"""`MultipleChoice`: which of several texts goes with a text."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.choices.explanation import explain_choice
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.rows import held_out_columns
from bertworks.estimators.taught_estimator import SHARE, TEMPERATURE, TaughtEstimator
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.tasks.multiple_choice import HEAD
from bertworks.tasks.multiple_choice import MultipleChoice as Task
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.training.progress import Progress

QUESTIONS_AT_ONCE = 1024


class MultipleChoice(TaughtEstimator):
    """Chooses, for a text, the one of several texts that goes with it: the answer to a question, the end of a story.

    Parameters (besides every field of `TrainingConfig`): `model`, a model folder, a hub name or None for the default encoder;
    `revision` of a hub name; `max_tokens`, longest sequence, None for the model's limit; `overflow`, what happens to longer
    ones ("truncate", which is counted, "head_tail" or "error"); `new_tokens`; `teacher`, `teacher_share` and `temperature` as of
    `TextClassifier`; `output`, a run folder; `progress`.

    >>> from bertworks import MultipleChoice
    >>> MultipleChoice(epochs=2)
    MultipleChoice(epochs=2)
    """

    settings_table = "multiple_choice"
    _estimator_type = "classifier"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        max_tokens: int | None = None,
        overflow: Overflow = "truncate",
        new_tokens: Sequence[str] = (),
        teacher: str | Path | None = None,
        teacher_share: float = SHARE,
        temperature: float = TEMPERATURE,
        output: str | Path | None = None,
        progress: bool | Progress = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.model = model
        self.revision = revision
        self.max_tokens = max_tokens
        self.overflow = overflow
        self.new_tokens = new_tokens
        self.teacher = teacher
        self.teacher_share = teacher_share
        self.temperature = temperature
        self.output = output
        self.progress = progress

    def fit(
        self,
        texts: Iterable[str],
        choices: Iterable[Sequence[str]],
        answers: Iterable[int],
        *,
        validation: tuple[Iterable[str], Iterable[Sequence[str]], Iterable[int]] | None = None,
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on texts, the choices of each (they need not be equally many), and the number of the right one, from 0.

        `validation`, `resume` and `provenance` are as in `TextClassifier.fit`. Raises `SettingsError` for wrong parameters,
        `DataError` for data that cannot be learnt from.
        """
        self.training_config()
        questions, right = _questions(texts, choices), list(answers)
        if not questions:
            raise DataError("there are no questions to train on")
        columns = held_out_columns(validation, "questions", "choices", "answers")
        held_out = None if columns is None else (_questions(*columns[:2]), list(columns[2]))
        return self._train(
            self._task,
            lambda task, tokenizer: task.encode(questions, tokenizer, right),
            rows=len(questions),
            validation=None if held_out is None else lambda task, tokenizer: _encode(task, tokenizer, *held_out),
            resume=resume,
            provenance=provenance,
        )

    def _task(self, limit: int) -> Task:
        task = Task(self._limited(limit), self.overflow)
        if task.contradictions():
            raise SettingsError(task.contradictions()[0])
        return task

    def predict_proba(self, texts: Iterable[str], choices: Iterable[Sequence[str]]) -> list[Float[Array, "choices"]]:
        """For each text the probability of each of its choices."""
        return self.answer(_questions(texts, choices))[0]

    def predict(self, texts: Iterable[str], choices: Iterable[Sequence[str]]) -> Int[Array, "rows"]:
        """For each text the number of the most probable choice, from 0."""
        return np.array([int(values.argmax()) for values in self.predict_proba(texts, choices)], dtype=np.int64)

    def evaluate(
        self, texts: Iterable[str], choices: Iterable[Sequence[str]], answers: Iterable[int], *, intervals: bool = True
    ) -> dict[str, Any]:
        """Accuracy and log-loss with 95 % confidence intervals, the accuracy of guessing, and the accounting of the texts."""
        questions, right = _questions(texts, choices), list(answers)
        if len(questions) != len(right):
            raise DataError(f"{len(questions)} questions but {len(right)} answers: give the number of the right choice for each")
        metrics, seen = self._require("task_").metrics(DEFAULT_REPLICATES if intervals else 0), Accounting()
        for start in range(0, len(questions), QUESTIONS_AT_ONCE):
            part = slice(start, start + QUESTIONS_AT_ONCE)
            probabilities, accounting = self.answer(questions[part], right[part], first_row=start)
            metrics.update(right[part], probabilities)
            seen += accounting
        return {**metrics.compute(), "accounting": seen.to_dict()}

    def score(self, texts: Iterable[str], choices: Iterable[Sequence[str]], answers: Iterable[int]) -> float:
        """The accuracy."""
        return float(self.evaluate(texts, choices, answers, intervals=False)["accuracy"])

    def explain(self, text: str, choices: Sequence[str], *, target: str | int | None = None, baseline: BaselineName = "pad") -> Explanation:
        """Why the model takes this choice: attention maps, what each word of the question and of all choices adds to the
        log-probability of the choice, and whether that is faithful. All is computed when it is asked for.

        Explained is log P, in nats, of the softmax over all choices, which are followed from no words to all words together, by
        integrated gradients (Sundararajan et al. 2017). The score of a choice by itself would say nothing: what raises all of
        them changes no answer. The words of the question, which stand beside every choice, are told once, and the words of the
        other choices speak for or against this one. Without words log P is about -log of the number of choices, that of a guess.

        `target` is another choice to explain than the one taken: its text, its letter (A is the first) or its number from 0.
        The attention, `[heads, length, length]` of each layer, is that of question and choice in one sequence; that of the
        choice `i` is `heads(layer, window=i)`. `baseline` as in `TextClassifier.explain`. Raises `SettingsError` for a target
        that is none of the choices, `DataError` for fewer than two choices, or a text without words.
        """
        self._require("task_")
        return explain_choice(self, text, choices, target=target, baseline=baseline)

    def answer(
        self, questions: Sequence[ChoiceQuestion], answers: Sequence[int] | None = None, *, first_row: int = 0
    ) -> tuple[list[Float[Array, "choices"]], Accounting]:
        """The probabilities of the choices of each question, and what became of the texts; all questions are computed at once.
        `first_row` is the number of the first one in messages.

        Raises `DataError` where one of the `answers` is no number of a choice.
        """
        task = self._require("task_")
        if not questions:
            return [], Accounting()
        data, seen = task.encode(questions, self.tokenizer_, answers, first_row=first_row)
        return task.probabilities(self._scores(data)[HEAD], data), seen


def _encode(task: Task, tokenizer: Tokenizer, questions: list[ChoiceQuestion], answers: list[int]) -> Any:
    return task.encode(questions, tokenizer, answers)


def _questions(texts: Iterable[str], choices: Iterable[Sequence[str]]) -> list[ChoiceQuestion]:
    """Raises `DataError` where texts and choices do not belong together, or are no text."""
    if isinstance(texts, str):
        raise DataError("expected a list of texts, got one string: put it in a list, [text], and its choices in another")
    first, second = list(texts), list(choices)
    if len(first) != len(second):
        raise DataError(f"{len(first)} texts but {len(second)} lists of choices: give one list for each text")
    for row, (text, of_row) in enumerate(zip(first, second, strict=True)):
        sound = isinstance(text, str) and isinstance(of_row, Iterable) and not isinstance(of_row, str)
        if not sound or not all(isinstance(choice, str) for choice in of_row):
            raise DataError(f"row {row}: a text and a list of its choices are wanted, not {text!r:.40} and {of_row!r:.40}")
    return [ChoiceQuestion(text, tuple(of_row)) for text, of_row in zip(first, second, strict=True)]
