"""A finished model's folder: weights and config in Hugging Face's layout, tokenizer, task settings, smoke cases."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bertworks import __version__
from bertworks.architectures import naming
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.smoke import SMOKE, SmokeCase, check_smoke, fingerprint, read_smoke, write_smoke
from bertworks.errors import CheckpointError, DataError
from bertworks.estimators.stored_task import SETTINGS, check_fit, read_task
from bertworks.inference import LoadedModel, load_model, save_model, score
from bertworks.inference.models import FLOAT32, Storage
from bertworks.nn.machine import choose
from bertworks.tasks import StoredTask
from bertworks.tokenization import Tokenizer

_SMOKE_TOLERANCE = 1e-4
_DIGITS = 16

WriteModel = Callable[[Path, LoadedModel, StoredTask, Storage], None]
ReadModel = Callable[[Path, StoredTask], LoadedModel]


def write_model(folder: Path, loaded: LoadedModel, task: StoredTask, storage: Storage) -> None:
    """Writes weights and config.json into a folder."""
    save_model(folder, loaded, config_changes=task.config_changes(), storage=storage)


def read_model(folder: Path, task: StoredTask) -> LoadedModel:
    """The inverse of `write_model`."""
    return load_model(folder, task.heads)


def save(
    folder: Path,
    loaded: LoadedModel,
    tokenizer: Tokenizer,
    task: StoredTask,
    *,
    about: Mapping[str, Any],
    replace: bool,
    storage: Storage = FLOAT32,
    write: WriteModel = write_model,
    read: ReadModel = read_model,
) -> None:
    """Writes the folder atomically. `about` is kept as it is: how the model came to be. `write` and `read` are for models with
    files of their own beside weights and config."""
    with atomic_folder(folder, replace=replace) as writing:
        write(writing, loaded, task, storage)
        tokenizer.save(writing, segments=loaded.model.spec.embedding.segments > 1, max_tokens=loaded.model.spec.max_tokens)
        write_json(writing / SETTINGS, {"bertworks": __version__, "task": task.name, "settings": task.settings(), "about": dict(about)})
        # rounded weights answer otherwise than those that they were rounded from
        write_smoke_cases(writing, loaded if storage.dtype == "float32" else read(writing, task), tokenizer, task)


def write_smoke_cases(folder: Path, loaded: LoadedModel, tokenizer: Tokenizer, task: StoredTask) -> None:
    """Writes smoke.json: what the model of the folder answers to a few inputs, and the fingerprint of the files there."""
    write_cases(folder, task.smoke_inputs(), lambda inputs: smoke_outputs(loaded, tokenizer, task, inputs))


def write_cases(folder: Path, inputs: list[Any], answers: Callable[[list[Any]], Sequence[Any]]) -> None:
    """Writes smoke.json for a model that `answers` inputs with numbers."""
    cases = [SmokeCase(i, o) for i, o in zip(inputs, answers(inputs), strict=True)]
    made = {"bertworks": __version__, "precision": "float32", "files": fingerprint(folder)[:_DIGITS]}
    write_smoke(folder, cases, tolerance=_SMOKE_TOLERANCE, computed_with=made)


def load(folder: Path, *, verify: bool = False, read: ReadModel = read_model) -> tuple[LoadedModel, Tokenizer, StoredTask, dict[str, Any]]:
    """Reads a folder that bertworks or `transformers` saved. With `verify`, its files must be those that were saved, and
    its smoke cases must come out the same."""
    task, about = read_task(folder)
    loaded = read(folder, task)
    tokenizer = Tokenizer.load(folder)
    check_fit(folder, loaded, tokenizer, task)
    if verify:
        check_cases(folder, lambda inputs: smoke_outputs(loaded, tokenizer, task, inputs))
    return loaded, tokenizer, task, about


def check_cases(folder: Path, answers: Callable[[list[Any]], Sequence[Any]]) -> None:
    """Raises `CheckpointError` where a folder has no smoke cases, the model in it `answers` them otherwise than it did, or its files
    are not those that were saved."""
    smoke = read_smoke(folder)
    if smoke is None:
        raise CheckpointError(f"{folder} has no smoke.json to verify the model by; load it without verify, and save it again to get one")
    try:
        outputs = answers([case.input for case in smoke.cases])
    except DataError as error:
        raise CheckpointError(f"{folder / SMOKE} is damaged: {error}; copy or download the model again") from error
    with naming(folder):
        check_smoke(smoke, outputs)
    if smoke.computed_with.get("files", found := fingerprint(folder)[:_DIGITS]) != found:
        raise CheckpointError(
            f"{folder}: the model answers its smoke cases as before, but its files are not those that were saved: a label, "
            "a threshold or another setting changed. Restore the folder from its source, or save it again if the change is meant"
        )


def smoke_outputs(loaded: LoadedModel, tokenizer: Tokenizer, task: StoredTask, inputs: list[Any]) -> list[Any]:
    """What the model answers to a few inputs, in float32 on the CPU, whatever it computes in otherwise."""
    machine = choose("cpu", "float32", training=False)
    loaded.model.to(machine.torch_device).compute_in(machine.dtype)
    answer = partial(score, loaded.model, device=machine.torch_device, token_budget=machine.token_budget)
    return task.smoke_outputs(inputs, tokenizer, answer)
