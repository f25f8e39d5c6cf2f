"""The folders of sentence encoders: sentence-transformers' layout, beside which bertworks.json holds what that cannot."""

from dataclasses import replace
from pathlib import Path

from bertworks.architectures import read_description
from bertworks.checkpoints.files import read_json
from bertworks.checkpoints.sentence_layout import SentenceLayout, has_layout, read_layout
from bertworks.errors import CheckpointError, SettingsError
from bertworks.inference import LoadedModel
from bertworks.inference.models import Storage
from bertworks.inference.vector_models import load_vector_model, save_vector_model
from bertworks.spec import VectorSpec
from bertworks.tasks import StoredTask
from bertworks.tasks.embedding import HEAD, SentenceEmbedding, Similarity

SETTINGS = "bertworks.json"


def as_laid_out(task: SentenceEmbedding, folder: Path) -> SentenceEmbedding:
    """The task with what the folder's files in the layout say of it. Raises `CheckpointError` where they are missing or damaged."""
    if not has_layout(folder):
        raise CheckpointError(f"{folder} is a sentence encoder, but modules.json is missing: copy or download the model again")
    return with_layout(task, read_layout(folder), read_description(folder)[2].max_tokens)


def stored_settings(folder: Path) -> SentenceEmbedding:
    """What a folder's bertworks.json says of a sentence encoder; the usual where there is none."""
    stored = read_json(folder / SETTINGS) if (folder / SETTINGS).exists() else {}
    if stored.get("task") != SentenceEmbedding.name:
        return SentenceEmbedding()
    try:
        return SentenceEmbedding.from_settings(stored.get("settings", {}))
    except SettingsError as error:
        raise CheckpointError(f"{folder / SETTINGS}: {error}; copy or download the model again") from error


def with_layout(task: SentenceEmbedding, layout: SentenceLayout, limit: int) -> SentenceEmbedding:
    """The task with what a layout says of it; `limit` is the longest sequence that the encoder reads."""
    similarity: Similarity = layout.similarity  # type: ignore[assignment]
    return replace(
        task,
        max_tokens=min(limit, layout.max_tokens or limit),
        lower_case=layout.lower_case,
        prompts=layout.prompts,
        default_prompt=layout.default_prompt,
        pools_prompt=layout.spec.pools_prompt,
        is_unit=layout.spec.is_unit,
        similarity=similarity,
    )


def read_text_side(folder: Path) -> SentenceEmbedding:
    """How a sentence encoder made of this folder reads texts: a model as it was saved, or a plain encoder."""
    layout = read_layout(folder) if has_layout(folder) else SentenceLayout()
    return with_layout(stored_settings(folder), layout, read_description(folder)[2].max_tokens)


def read_model(folder: Path, task: StoredTask) -> LoadedModel:
    """The encoder of a folder in the layout, and the modules that follow it."""
    return load_vector_model(folder, HEAD, read_layout(folder))


def write_model(folder: Path, loaded: LoadedModel, task: StoredTask, storage: Storage) -> None:
    """The inverse of `read_model`."""
    assert isinstance(task, SentenceEmbedding)
    layout = SentenceLayout(
        max_tokens=task.max_tokens,
        lower_case=task.lower_case,
        prompts=task.prompts,
        default_prompt=task.default_prompt,
        similarity=task.similarity,
    )
    save_vector_model(folder, loaded, HEAD, layout, storage)


def vector_spec(loaded: LoadedModel) -> VectorSpec:
    """How a loaded sentence encoder makes its vectors."""
    spec = dict(loaded.model.head_items())[HEAD].spec
    assert isinstance(spec, VectorSpec)
    return spec
