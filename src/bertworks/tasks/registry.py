"""Tasks by name: a saved model's folder says which one it is for."""

from collections.abc import Mapping
from typing import Any

from bertworks.errors import CheckpointError, nearest
from bertworks.tasks.embedding import SentenceEmbedding
from bertworks.tasks.fill_mask import FillMask
from bertworks.tasks.multiple_choice import MultipleChoice
from bertworks.tasks.question_answering import QuestionAnswering
from bertworks.tasks.tagging import Tagging
from bertworks.tasks.task import StoredTask
from bertworks.tasks.text_classification import TextClassification

TASKS: dict[str, type[StoredTask]] = {
    TextClassification.name: TextClassification,
    Tagging.name: Tagging,
    FillMask.name: FillMask,
    QuestionAnswering.name: QuestionAnswering,
    MultipleChoice.name: MultipleChoice,
    SentenceEmbedding.name: SentenceEmbedding,
}


def task_from_settings(name: str, settings: Mapping[str, Any]) -> StoredTask:
    """Raises `CheckpointError` for a task that this version does not know."""
    if name not in TASKS:
        hint = nearest(name, TASKS)
        known = f"known: {', '.join(TASKS)}{'.' if hint else ''}{hint}"
        raise CheckpointError(f"this model was saved for the task '{name}', which this version does not know; {known}")
    return TASKS[name].from_settings(settings)
