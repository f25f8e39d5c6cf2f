"""Tasks by name: a saved model's folder says which one it is for."""

from collections.abc import Mapping
from typing import Any

from bertworks.errors import CheckpointError
from bertworks.tasks.text_classification import TextClassification

TASKS = {TextClassification.name: TextClassification}


def task_from_settings(name: str, settings: Mapping[str, Any]) -> TextClassification:
    """Raises `CheckpointError` for a task that this version does not know."""
    if name not in TASKS:
        raise CheckpointError(f"this model was saved for the task '{name}', which this version does not know; known: {', '.join(TASKS)}")
    return TASKS[name].from_settings(settings)
