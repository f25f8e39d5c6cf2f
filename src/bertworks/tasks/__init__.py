"""Tasks: one file each, the text side whole. To add one, add a file and register its name."""

from bertworks.tasks.registry import TASKS, task_from_settings
from bertworks.tasks.task import Scores, StoredTask, Task

__all__ = ["TASKS", "Scores", "StoredTask", "Task", "task_from_settings"]
