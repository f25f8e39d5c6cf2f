"""Tasks: one file each, the text side whole. To add one, add a file and register its name."""

from bertworks.tasks.registry import TASKS, task_from_settings
from bertworks.tasks.task import Scores, Task

__all__ = ["TASKS", "Scores", "Task", "task_from_settings"]
