"""The task of a model folder, and whether weights, tokenizer and task of one folder belong together."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertworks.architectures import read_description
from bertworks.architectures.architecture import TRANSITIONS, required
from bertworks.checkpoints.files import open_tensors, read_json
from bertworks.checkpoints.sentence_layout import has_layout
from bertworks.data.tag_schemes import scheme_of_tags
from bertworks.errors import CheckpointError, SettingsError, nearest
from bertworks.estimators.embeddings.folder import as_laid_out
from bertworks.inference import LoadedModel
from bertworks.tasks import StoredTask, task_from_settings
from bertworks.tasks.embedding import SentenceEmbedding
from bertworks.tasks.fill_mask import FillMask
from bertworks.tasks.multiple_choice import MultipleChoice
from bertworks.tasks.question_answering import QuestionAnswering
from bertworks.tasks.tagging import USUAL_JOINERS, Tagging
from bertworks.tasks.text_classification import PROBLEM_TYPES, Label, TextClassification
from bertworks.tokenization import Tokenizer

SETTINGS = "bertworks.json"
FEW_SHOT = "few_shot.json"
"""What says that a folder is a few-shot classifier, which has a sentence encoder's folder in it."""
_MOST_LABELS = 1_000_000
_COPY = "copy or download the model again"


def read_task(folder: Path) -> tuple[StoredTask, dict[str, Any]]:
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
        if isinstance(task, SentenceEmbedding):
            task = as_laid_out(task, folder)
        return task, about if isinstance(about, dict) else {}
    if has_layout(folder):
        return as_laid_out(SentenceEmbedding(), folder), {}
    if is_few_shot(folder):
        raise CheckpointError(
            f"{folder} is a few-shot classifier: use it as bertworks.load('{folder}'), or name the sentence encoder in it, "
            f"{folder / 'encoder'}"
        )
    config, _, encoder = read_description(folder)
    if not os.path.lexists(folder / "config.json"):  # bert_config.json, which says nothing of heads
        _require_pretraining_heads(folder)
    classes = config.get("architectures")
    names = [str(name)[:60] for name in classes[:4]] if isinstance(classes, list) else []
    for ending, task_of in _BY_CLASS.items():
        if any(name.endswith(ending) for name in names):
            return task_of(config, folder, encoder.max_tokens), {}
    raise CheckpointError(
        f"{folder} is no finished model (config.json says {', '.join(names) or 'nothing'}): "
        f"train one from it, as in bertworks.TextClassifier('{folder}').fit(texts, labels)"
    )


def task_name(folder: Path) -> str:
    """What the task of a model folder is called: the name in `tasks.TASKS`, or "few_shot". Raises as `read_task` does."""
    return "few_shot" if is_few_shot(folder) else read_task(folder)[0].name


def is_few_shot(folder: Path) -> bool:
    """Whether a folder is a few-shot classifier's, by the file of its settings."""
    return os.path.lexists(folder / FEW_SHOT) and not os.path.lexists(folder / SETTINGS)


def _require_pretraining_heads(folder: Path) -> None:
    """Raises `CheckpointError` for a folder of google-research/bert with another head, or none, than those of pretraining."""
    with open_tensors(folder) as files:
        if not any(name.startswith("cls.predictions.") for name in files):
            raise CheckpointError(
                f"{folder}: its bert_config.json does not say what it was trained for, and it has no head for masked words: "
                f"'bertworks convert {folder} -o NEW' finds out by its weights and writes it down"
            )


def _classification(config: dict[str, Any], folder: Path, max_tokens: int) -> TextClassification:
    labels = stored_labels(config, folder)
    problem = config.get("problem_type") or ("regression" if len(labels) == 1 else "single_label_classification")
    if not isinstance(problem, str) or problem not in PROBLEM_TYPES:
        hint = nearest(str(problem), PROBLEM_TYPES)
        raise CheckpointError(
            f"{folder}: config.json has an unknown problem_type '{problem!s:.60}'; known: {', '.join(PROBLEM_TYPES)}.{hint}"
        )
    kind = PROBLEM_TYPES[problem]
    return TextClassification(kind, () if kind == "number" else labels, pairs=None, max_tokens=max_tokens)


def _fill_mask(config: dict[str, Any], folder: Path, max_tokens: int) -> FillMask:
    return FillMask(max_tokens, required(config, "vocab_size"))


def _tagging(config: dict[str, Any], folder: Path, max_tokens: int) -> Tagging:
    labels = tuple(str(label) for label in stored_labels(config, folder))
    with open_tensors(folder) as files:
        has_transitions = TRANSITIONS in files
    return Tagging(labels, scheme_of_tags(labels), max_tokens=max_tokens, joiners=USUAL_JOINERS, transitions=has_transitions)


_BY_CLASS: dict[str, Callable[[dict[str, Any], Path, int], StoredTask]] = {
    "ForSequenceClassification": _classification,
    "ForTokenClassification": _tagging,
    "ForQuestionAnswering": lambda config, folder, max_tokens: QuestionAnswering(max_tokens=max_tokens),
    "ForMultipleChoice": lambda config, folder, max_tokens: MultipleChoice(max_tokens),
    "ForMaskedLM": _fill_mask,
    "BertForPreTraining": _fill_mask,
    "AlbertForPreTraining": _fill_mask,
}
"""By the end of a class name of `transformers`: from config.json, the folder and the model's limit to a task."""


def stored_labels(config: dict[str, Any], folder: Path) -> tuple[Label, ...]:
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


def check_fit(folder: Path, loaded: LoadedModel, tokenizer: Tokenizer, task: StoredTask | None = None) -> None:
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
        task.check_room(tokenizer)
    except SettingsError as error:
        raise CheckpointError(f"{folder / SETTINGS}: {error}; {_COPY}") from error
