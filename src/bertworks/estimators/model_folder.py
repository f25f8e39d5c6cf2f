"""A finished model's folder: weights and config in Hugging Face's layout, tokenizer, task settings, smoke cases."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks import __version__
from bertworks.architectures import naming
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.smoke import SmokeCase, check_smoke, fingerprint, read_smoke, write_smoke
from bertworks.errors import CheckpointError
from bertworks.estimators.stored_task import SETTINGS, check_fit, read_task, smoke_texts
from bertworks.inference import LoadedModel, load_model, save_model, score
from bertworks.nn.machine import MachineChoice, choose
from bertworks.tasks.text_classification import HEAD, TextClassification
from bertworks.tokenization import Tokenizer

_SMOKE_TEXTS = (
    "This movie is fantastic!",
    "The soup was cold, the bill was not.",
    "Nothing in these nine hundred pages made me want to turn one of them, and yet I turned them all, twice.",
)
_SMOKE_TOLERANCE = 1e-4
_DIGITS = 16


def save(
    folder: Path, loaded: LoadedModel, tokenizer: Tokenizer, task: TextClassification, *, about: Mapping[str, Any], replace: bool
) -> None:
    """Writes the folder atomically. `about` is kept as it is: how the model came to be."""
    with atomic_folder(folder, replace=replace) as writing:
        save_model(writing, loaded, config_changes=_label_config(task))
        tokenizer.save(writing)
        write_json(writing / SETTINGS, {"bertworks": __version__, "task": task.name, "settings": task.settings(), "about": dict(about)})
        texts = [(text, "A second text.") if task.pairs else text for text in _SMOKE_TEXTS]
        outputs = smoke_outputs(loaded, tokenizer, task, texts)
        cases = [SmokeCase(list(t) if task.pairs else t, o) for t, o in zip(texts, outputs, strict=True)]
        made = {"bertworks": __version__, "precision": "float32", "files": fingerprint(writing)[:_DIGITS]}
        write_smoke(writing, cases, tolerance=_SMOKE_TOLERANCE, computed_with=made)


def load(folder: Path, *, verify: bool = False) -> tuple[LoadedModel, Tokenizer, TextClassification, dict[str, Any]]:
    """Reads a folder that bertworks or `transformers` saved. With `verify`, its files must be those that were saved, and
    its smoke cases must come out the same."""
    task, about = read_task(folder)
    loaded = load_model(folder, task.heads)
    tokenizer = Tokenizer.load(folder)
    check_fit(folder, loaded, tokenizer, task)
    if verify:
        smoke = read_smoke(folder)
        if smoke is None:
            raise CheckpointError(
                f"{folder} has no smoke.json to verify the model by; load it without verify, and save it again to get one"
            )
        texts = smoke_texts(folder, [case.input for case in smoke.cases], task.pairs)
        with naming(folder):
            check_smoke(smoke, smoke_outputs(loaded, tokenizer, task, texts))
        if smoke.computed_with.get("files", found := fingerprint(folder)[:_DIGITS]) != found:
            raise CheckpointError(
                f"{folder}: the model answers its smoke cases as before, but its files are not those that were saved: a label, "
                "a threshold or another setting changed. Restore the folder from its source, or save it again if the change is meant"
            )
    return loaded, tokenizer, task, about


def smoke_outputs(loaded: LoadedModel, tokenizer: Tokenizer, task: TextClassification, texts: list[Any]) -> list[list[float]]:
    """The probabilities of a few texts, in float32 on the CPU, whatever the model computes in otherwise."""
    machine = choose("cpu", "float32", training=False)
    if task.overflow == "error":
        task = dataclasses.replace(task, overflow="window")  # the smoke texts may be longer than the texts it was made for
    first, second = split_pairs(texts)
    return predict_probabilities(loaded, tokenizer, task, first, second, machine).tolist()  # type: ignore[no-any-return]


def predict_probabilities(
    loaded: LoadedModel, tokenizer: Tokenizer, task: TextClassification, texts: list[str], pairs: list[str] | None, machine: MachineChoice
) -> Any:
    """Probabilities (or numbers) of each row, `[rows, outputs]`."""
    batch, _ = task.encode(texts, pairs, tokenizer)
    loaded.model.to(machine.torch_device).compute_in(machine.dtype)
    scores = score(loaded.model, batch, device=machine.torch_device, token_budget=machine.token_budget)
    return task.probabilities(scores[HEAD], batch)


def split_pairs(texts: list[Any]) -> tuple[list[str], list[str] | None]:
    """Texts, or pairs as (first, second) → two columns."""
    if texts and all(isinstance(t, tuple | list) and len(t) == 2 for t in texts):
        return [t[0] for t in texts], [t[1] for t in texts]
    return texts, None


def _label_config(task: TextClassification) -> dict[str, Any]:
    """Label names and problem type as `transformers` reads them."""
    names = [str(label) for label in task.labels] or ["value"]
    problem = {"single": "single_label_classification", "multi": "multi_label_classification", "number": "regression"}[task.kind]
    return {"id2label": {str(i): n for i, n in enumerate(names)}, "label2id": {n: i for i, n in enumerate(names)}, "problem_type": problem}
