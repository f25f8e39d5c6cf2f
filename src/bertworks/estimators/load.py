"""`bertworks.load`: any saved model; the folder knows its task."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from bertworks.errors import CheckpointError, nearest_beside
from bertworks.estimators import runs
from bertworks.estimators.stored_task import task_name
from bertworks.estimators.task_estimator import model_path

ESTIMATORS = {
    "sentence_embedding": ("bertworks.estimators.embeddings.sentence_encoder", "SentenceEncoder"),
    "text_classification": ("bertworks.estimators.classifier", "TextClassifier"),
    "question_answering": ("bertworks.estimators.answers.answerer", "QuestionAnswerer"),
    "multiple_choice": ("bertworks.estimators.multiple_choice", "MultipleChoice"),
    "tagging": ("bertworks.estimators.entities.recognizer", "EntityRecognizer"),
    "few_shot": ("bertworks.estimators.embeddings.few_shot", "FewShotClassifier"),
    "masked_lm": ("bertworks.estimators.mask_filler", "MaskFiller"),
}
"""By the name of a task: the module and the class that use it."""


def load(folder: str | Path, *, device: str = "auto", precision: str = "auto", threads: int | None = None, verify: bool = False) -> Any:
    """Loads a model folder or the finished model of a run folder, ready to predict: a `TextClassifier`, say; the folder
    knows its task.

    `verify` computes the folder's smoke cases again. Raises `CheckpointError` where the folder is no finished model,
    is damaged, or does not answer as it did when it was saved.
    """
    with suppress(OSError):  # a path that cannot be looked at: reading it says so below
        _require_finished(Path(folder))
    module, name = ESTIMATORS[task_name(model_path(folder))]
    estimator = getattr(import_module(module), name)
    return estimator.load(folder, device=device, precision=precision, threads=threads, verify=verify)


def _require_finished(path: Path) -> None:
    """Raises `CheckpointError` for a run without a model yet, and for a path that does not exist beside ones that do."""
    if (path / "config.toml").exists() and not (path / "model").exists():
        raise CheckpointError(f"the run '{path}' is not finished: there is no model yet. Go on with it: {runs.way_on(path)}")
    if not path.exists() and path.parent != Path() and path.parent.is_dir():
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        told = nearest_beside(path, names) or (f" The folder has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else "")
        raise CheckpointError(f"there is no model folder '{path}'.{told}")
