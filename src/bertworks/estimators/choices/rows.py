"""What users hand in as a question with its choices."""

from typing import Any

from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.errors import DataError


def question_row(row: Any) -> ChoiceQuestion:
    """A question with its choices, of a pair of a text and a list of texts. Raises `DataError` for anything else."""
    if isinstance(row, ChoiceQuestion):
        return row
    match row:
        case (str() as text, list() | tuple() as choices) if len(choices) > 1 and all(isinstance(choice, str) for choice in choices):
            return ChoiceQuestion(text, tuple(choices))
    raise DataError(f"this model chooses: give a question and its choices, two at least, not {row!r:.60}")
