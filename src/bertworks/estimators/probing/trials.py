"""One probe of one encoder: fine-tuned on a task with a seed, or its frozen features classified."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.data.sampler import cut_by_tokens
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.encoder import Encoder
from bertworks.estimators.probing.data import TaskRows
from bertworks.estimators.probing.tasks import MAX_TOKENS, SETTINGS, ProbeTask
from bertworks.evaluation.baselines import linear_probe
from bertworks.inference import save_model
from bertworks.inference.models import new_model
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress, StepReport


@dataclass(frozen=True)
class Trial:
    """What is probed, and how."""

    task: ProbeTask
    encoder: Path
    seed: int
    machine: Mapping[str, Any]
    """device, precision and threads, as `TextClassifier` takes them."""


class StepsOnly(Progress):
    """Hands on how far a training is, but not what it says of itself: a probe has dozens of them."""

    def __init__(self, other: Progress) -> None:
        self._other = other

    def start(self, steps: int, done: int) -> None:
        self._other.start(steps, done)

    def step(self, report: StepReport) -> None:
        self._other.step(report)

    def message(self, text: str) -> None:
        self._other.message(text)

    def finish(self) -> None:
        self._other.finish()


def fine_tune(trial: Trial, rows: TaskRows, folder: Path, progress: Progress | None) -> dict[str, Any]:
    """Trains with the settings of all probes, going on with what `folder` holds, and evaluates the weights of the last step:
    nothing is chosen on the rows that are evaluated on. Returns the metrics."""
    started, task = time.perf_counter(), trial.task
    limit = read_description(trial.encoder)[2].max_tokens
    classifier = TextClassifier(
        trial.encoder,
        kind=task.kind,
        overflow="truncate",
        max_tokens=min(MAX_TOKENS, limit),
        calibrate=False,
        epochs=task.epochs,
        seed=trial.seed,
        output=folder,
        progress=False if progress is None else StepsOnly(progress),
        **SETTINGS,
        **trial.machine,
    )
    classifier.fit(rows.texts, rows.labels, resume=True)
    metrics = classifier.evaluate(rows.held_texts, rows.held_labels, intervals=False)
    if task.positive:
        metrics["f1"] = next(row["f1"] for row in metrics["per_class"] if str(row["label"]).lower() in task.positive)
    return {
        **{name: value for name, value in metrics.items() if isinstance(value, int | float)},
        "training": with_reading(classifier.accounting_, rows.read).to_dict(),
        "evaluation": with_reading(Accounting.from_dict(metrics["accounting"]), rows.held_read).to_dict(),
        "precision": classifier.machine_.precision,
        "seconds": round(time.perf_counter() - started, 1),
    }


def classify_features(trial: Trial, rows: TaskRows) -> dict[str, Any]:
    """A logistic regression on the mean of the frozen encoder's last states. Returns the metrics, with those of each label."""
    started = time.perf_counter()
    encoder = Encoder(trial.encoder, **trial.machine)
    features, seen = mean_features(encoder, rows.texts)
    held, held_seen = mean_features(encoder, rows.held_texts)
    metrics = linear_probe(features, rows.labels, held, rows.held_labels)
    return {
        **{name: value for name, value in metrics.items() if isinstance(value, int | float) or name == "per_class"},
        "training": with_reading(seen, rows.read).to_dict(),
        "evaluation": with_reading(held_seen, rows.held_read).to_dict(),
        "precision": encoder.machine.precision,
        "seconds": round(time.perf_counter() - started, 1),
    }


def mean_features(encoder: Encoder, texts: Sequence[str]) -> tuple[Float[Array, "texts hidden"], Accounting]:
    """The mean of each text's token states, special tokens included; longer texts are cut to 128 tokens, and counted."""
    task = TextClassification("single", max_tokens=min(MAX_TOKENS, encoder.max_tokens), overflow="truncate")
    batch, seen = task.encode(texts, None, encoder.tokenizer)
    parts = cut_by_tokens(batch.lengths, encoder.machine.token_budget)
    means = np.concatenate([_means(encoder, batch.take(part)) for part in parts])
    in_order = np.empty_like(means)
    in_order[np.concatenate(parts)] = means
    return in_order, seen


def _means(encoder: Encoder, batch: PackedBatch) -> Float[Array, "sequences hidden"]:
    sums: Array = np.add.reduceat(encoder(batch).packed.hidden.astype(np.float64), batch.offsets[:-1], axis=0)
    return sums / batch.lengths[:, None]


def write_twin(encoder: Path, folder: Path, seed: int) -> Path:
    """A model folder of the same shape and tokenizer whose weights, drawn from `seed`, have learnt nothing."""
    twin = new_model(read_description(encoder)[0], {}, seed=seed)
    with atomic_folder(folder, replace=True) as writing:
        save_model(writing, twin)
        Tokenizer.load(encoder).save(writing)
    return folder


def fingerprint_of_shape(encoder: Path) -> str:
    """A hash of all that decides what a twin is: the encoder's description and its tokenizer. How much dropout the model's file asks for
    does not matter: a probe has its own."""
    shape = _without_dropout(asdict(read_description(encoder)[2]))
    told = json.dumps([shape, Tokenizer.load(encoder).fingerprint()], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _without_dropout(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _without_dropout(value) for name, value in values.items() if "dropout" not in name}
    return [_without_dropout(value) for value in values] if isinstance(values, list | tuple) else values


def forget(*folders: Path) -> None:
    """Removes what a trial left behind, whose result is kept elsewhere; their parent too, where nothing else is in it."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folders[0].parent.rmdir()
