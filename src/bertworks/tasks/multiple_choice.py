"""Multiple choice: which of several texts goes with a text (Devlin et al. 2019, section 4.4; Zellers et al. 2018).

The text and each of its choices are a sequence; the head scores each, and the softmax is over the choices of one question.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.choices import ChoiceMetrics
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.task import SMOKE_TEXTS, Scores
from bertworks.tokenization import Overflow, Tokenizer

HEAD = "choices"


@dataclass(frozen=True)
class MultipleChoice:
    """The settings, and the text side."""

    max_tokens: int = 512
    """Longest sequence, special tokens included."""
    overflow: Overflow = "truncate"
    """What happens to a text that is too long together with a choice: "truncate" takes from the longer of the two, which is
    counted; "head_tail" keeps beginning and end; "error" refuses. (Windows of one choice cannot be compared with another's.)"""

    name = "multiple_choice"
    imitation = "choice_divergence"

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {HEAD: ("multiple_choice", 1)}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        return {HEAD: ("choice", {})}

    def encode(
        self, questions: Sequence[ChoiceQuestion], tokenizer: Tokenizer, answers: Sequence[int] | None = None, *, first_row: int = 0
    ) -> tuple[PackedBatch, Accounting]:
        """All choices of all questions as sequences of one packed batch; question `i` is group `i`. Targets stand in it where
        the numbers of the right choices are given. `first_row` is the number of the first question in messages.

        Raises `DataError` where a question has fewer than two choices, or no choice of such a number.
        """
        counts = np.array([len(question.choices) for question in questions], dtype=np.int64)
        if (counts < 2).any():
            raise DataError(f"row {first_row + int(np.argmin(counts))} has {int(counts.min())} choices: two are needed at least")
        groups = np.repeat(np.arange(len(questions)), counts)
        within = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
        texts = [question.text for question in questions for _ in question.choices]
        choices = [choice for question in questions for choice in question.choices]
        numbers = (first_row + groups).tolist()
        rows = tokenizer.encode_batch(texts, choices, max_tokens=self.max_tokens, overflow=self.overflow, offsets=False, first_row=numbers)
        encodings = [row[0] for row in rows]
        targets = {} if answers is None else {HEAD: choice_labels(counts, answers, first_row)}
        batch = PackedBatch.from_sequences(
            [e.ids for e in encodings], [e.segment_ids for e in encodings], groups=groups, keys=(groups << 20) | within, targets=targets
        )
        seen = Accounting(rows=len(questions), sequences=batch.sequences, tokens=batch.tokens)
        cut = np.array([e.truncated_tokens for e in encodings], dtype=np.int64)
        seen.truncated_rows, seen.truncated_tokens = len(np.unique(groups[cut > 0])), int(cut.sum())
        seen.unknown_tokens = sum(e.unknown_tokens for e in encodings)
        return batch, seen

    def probabilities(self, scores: Float[Array, "sequences 1"], batch: PackedBatch) -> list[Float[Array, "choices"]]:
        """The probability of each choice of each question."""
        out = []
        for values in np.split(scores[:, 0].astype(np.float64), np.flatnonzero(np.diff(batch.groups)) + 1):
            shares = np.exp(values - values.max())
            out.append(shares / shares.sum())
        return out

    def metrics(self, replicates: int = 0) -> ChoiceMetrics:
        """Empty metrics; with `replicates`, with confidence intervals."""
        return ChoiceMetrics(replicates=replicates)

    def update_metrics(self, metrics: ChoiceMetrics, batch: PackedBatch, scores: Scores) -> None:
        right = np.split(batch.targets[HEAD] % 2, np.flatnonzero(np.diff(batch.groups)) + 1)
        metrics.update([int(marks.argmax()) for marks in right], self.probabilities(scores[HEAD], batch))

    # ---- settings and folders

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        task = from_stored(cls, settings, "multiple choice")
        problems = task.contradictions()
        if problems:
            raise SettingsError(f"multiple choice: {'; '.join(problems)}")
        return task

    def contradictions(self) -> list[str]:
        """What is wrong with the settings, in words; empty where all is well."""
        out = ["max_tokens is below 1"] if self.max_tokens < 1 else []
        windows = (
            "overflow cannot be 'window': windows of one choice cannot be compared with another's; choose truncate, head_tail or error"
        )
        return out + ([windows] if self.overflow == "window" else [])

    def config_changes(self) -> dict[str, Any]:
        return {}

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], [], max_tokens=self.max_tokens, overflow=self.overflow)

    def smoke_inputs(self) -> list[Any]:
        first, second, third = SMOKE_TEXTS
        return [{"text": first, "choices": [second, third]}, {"text": second, "choices": [third, first]}]

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """The probabilities of two choices each."""
        questions = []
        for value in inputs:
            sound = isinstance(value, dict) and isinstance(value.get("text"), str) and isinstance(value.get("choices"), list)
            if not sound or not all(isinstance(choice, str) for choice in value["choices"]):
                raise DataError(f"a case's input is {value!r:.60}, not a text with its choices")
            questions.append(ChoiceQuestion(value["text"], tuple(value["choices"])))
        task = MultipleChoice(self.max_tokens, "truncate")  # the inputs may be longer than the texts that the model was made for
        batch, _ = task.encode(questions, tokenizer)
        return [values.tolist() for values in task.probabilities(score(batch)[HEAD], batch)]


def choice_labels(counts: Sequence[int] | Array, answers: Sequence[int], first_row: int = 0) -> Array:
    """The labels of the choices of questions, as the loss "choice" reads them: twice the question's number, and 1 more for
    the right choice. Raises `DataError` for an answer that is no number of a choice; `first_row` is the number of the first question
    in its message.

    >>> choice_labels([2, 3], [1, 0]).tolist()
    [0, 1, 3, 2, 2]
    """
    if len(answers) != len(counts):
        raise DataError(f"{len(counts)} questions but {len(answers)} answers: give the number of the right choice for each")
    out = []
    for row, (count, answer) in enumerate(zip(counts, answers, strict=True)):
        if isinstance(answer, bool) or not isinstance(answer, int | np.integer) or not 0 <= answer < count:
            raise DataError(
                f"row {first_row + row}: the answer is {answer!r}, but a number from 0 to {count - 1} is wanted: that of the right choice"
            )
        out += [2 * row + (place == answer) for place in range(count)]
    return np.array(out, dtype=np.int64)
