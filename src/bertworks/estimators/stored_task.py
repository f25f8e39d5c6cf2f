"""The task of a model folder, and whether weights, tokenizer and task of one folder belong together."""

import os
from pathlib import Path
from typing import Any, Literal

from bertworks.architectures import read_description
from bertworks.checkpoints.files import read_json
from bertworks.errors import CheckpointError, SettingsError, nearest
from bertworks.inference import LoadedModel
from bertworks.tasks import task_from_settings
from bertworks.tasks.text_classification import Label, TextClassification
from bertworks.tokenization import Tokenizer

SETTINGS = "bertworks.json"
_KINDS: dict[str, Literal["single", "multi", "number"]] = {
    "regression": "number",
    "single_label_classification": "single",
    "multi_label_classification": "multi",
}
_MOST_LABELS = 1_000_000
_COPY = "copy or download the model again"


def read_task(folder: Path) -> tuple[TextClassification, dict[str, Any]]:
    """The task of a model folder and how it came to be: from bertworks.json, or from config.json as `transformers` writes it.

    Raises `CheckpointError` where neither says what the model is for, or what is said cannot be.
    """
    if os.path.lexists(folder / SETTINGS):
        stored = read_json(folder / SETTINGS)
        about = stored.get("about", {})
        try:
            task = task_from_settings(str(stored.get("task"))[:100], stored.get("settings", {}))
        except (SettingsError, CheckpointError) as error:
            raise CheckpointError(f"{folder / SETTINGS}: {error}{'' if str(error).endswith('?') else '.'} {_COPY.capitalize()}") from error
        return task, about if isinstance(about, dict) else {}
    config, _, encoder = read_description(folder)
    classes = config.get("architectures")
    names = [str(name)[:60] for name in classes[:4]] if isinstance(classes, list) else []
    if not any(name.endswith("ForSequenceClassification") for name in names):
        raise CheckpointError(
            f"{folder} is no finished model (config.json says {', '.join(names) or 'nothing'}): "
            f"train one from it, as in bertworks.TextClassifier('{folder}').fit(texts, labels)"
        )
    labels = _labels(config, folder)
    problem = config.get("problem_type") or ("regression" if len(labels) == 1 else "single_label_classification")
    if not isinstance(problem, str) or problem not in _KINDS:
        hint = nearest(str(problem), _KINDS)
        raise CheckpointError(f"{folder}: config.json has an unknown problem_type '{problem!s:.60}'; known: {', '.join(_KINDS)}.{hint}")
    kind = _KINDS[problem]
    return TextClassification(kind, () if kind == "number" else labels, max_tokens=encoder.max_tokens), {}


def _labels(config: dict[str, Any], folder: Path) -> tuple[Label, ...]:
    """The labels of a config.json that `transformers` wrote, in the order of the outputs."""
    stored = config.get("id2label")
    if stored is None:
        count = config.get("num_labels", 2)
        if type(count) is not int or not 1 <= count <= _MOST_LABELS:
            raise CheckpointError(f"{folder}: config.json: 'num_labels' must be a whole number from 1 to {_MOST_LABELS:,}; {_COPY}")
        return tuple(f"LABEL_{i}" for i in range(count))
    wanted = [str(i) for i in range(len(stored))] if isinstance(stored, dict) else []
    if not wanted or set(stored) != set(wanted) or not all(isinstance(name, Label) for name in stored.values()):
        raise CheckpointError(f"{folder}: config.json: 'id2label' must give each output, from \"0\" on, a name; {_COPY}")
    if len(set(stored.values())) < len(stored):
        raise CheckpointError(f"{folder}: config.json: 'id2label' gives two outputs the same name; {_COPY}")
    return tuple(stored[number] for number in wanted)


def check_fit(folder: Path, loaded: LoadedModel, tokenizer: Tokenizer, task: TextClassification | None = None) -> None:
    """Raises `CheckpointError` where a tokenizer has ids without a row of embeddings, or a task reads more than the model does."""
    rows = loaded.model.spec.embedding.vocabulary
    if tokenizer.vocabulary_size > rows:
        raise CheckpointError(
            f"{folder}: its tokenizer has ids up to {tokenizer.vocabulary_size - 1:,}, but its weights have {rows:,} rows of embeddings: "
            f"they are of different models; {_COPY}"
        )
    if task is None:
        return
    limit = loaded.model.spec.max_tokens
    if task.max_tokens > limit:
        raise CheckpointError(f"{folder / SETTINGS}: max_tokens is {task.max_tokens:,}, but the model reads {limit:,} at most; {_COPY}")
    try:
        tokenizer.encode_batch([], [] if task.pairs else None, max_tokens=task.max_tokens, overflow=task.overflow, stride=task.stride)
    except SettingsError as error:
        raise CheckpointError(f"{folder / SETTINGS}: {error}; {_COPY}") from error


def smoke_texts(folder: Path, inputs: list[Any], pairs: bool) -> list[Any]:
    """The inputs of smoke cases as texts, or as pairs where the task reads those. Raises `CheckpointError` where one is neither."""
    for value in inputs:
        is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)
        if not (is_pair if pairs else isinstance(value, str)):
            wanted = "a pair of texts" if pairs else "a text"
            raise CheckpointError(f"{folder / 'smoke.json'} is damaged: a case's input is {value!r:.60}, not {wanted}; {_COPY}")
    return [tuple(value) if pairs else value for value in inputs]
