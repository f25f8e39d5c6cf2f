"""One training of a sentence encoder and its run folder: rows, model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.hub import resolve
from bertworks.data.inspection import Inspection
from bertworks.estimators import runs
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.embeddings.data_settings import EmbeddingRows, EmbeddingSettings
from bertworks.estimators.embeddings.folder import read_text_side
from bertworks.estimators.embeddings.inspection import inspect_embedding_rows
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.embeddings.training import teacher_vectors
from bertworks.estimators.first_look import longest_read
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, write_files
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress

_ENCODER = ("model", "revision", "pooling", "layers_from", "dense", "activation", "normalize")
_READING = ("overflow", "max_tokens", "stride", "prompt")
_MACHINE = ("device", "precision", "threads", "token_budget", "seed")


def train_one(
    folder: Path,
    data: EmbeddingSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material[EmbeddingRows],
    *,
    resume: bool = False,
) -> TrainReport:
    """Trains, evaluates the model that was kept beside the one that it came from, and writes the run's files."""
    rows, held = material.rows, material.validation
    objective = data.objective_for(rows)
    encoder = SentenceEncoder(**{**settings, "objective": objective, "output": folder, "progress": progress or False})
    imitates = objective == "distillation"
    validation: tuple[Any, Any] | None = None if held is None else (held.texts, held.scores)
    if imitates and held is not None and held.scores is None and len(held.texts[0]) == 1:
        told = teacher_vectors(encoder.teacher, [row[0] for row in held.texts], encoder.device, encoder.precision)
        validation = (held.texts, told)
    encoder.fit(rows.texts, rows.scores, validation=validation, resume=resume, provenance=data.to_dict())
    accounting = {"training": with_reading(encoder.accounting_, rows.accounting)}
    metrics, found = None, dict[str, Any]()
    if held is not None and validation is not None:
        seen = encoder.validation_accounting_ or Accounting()
        accounting["validation"] = with_reading(seen, held.accounting)
        if imitates and validation[1] is not held.scores:
            best = encoder.about_["validation"] or {}
            metrics = {"rows": len(held.texts), "cosine": best.get("cosine")}
        else:
            metrics = _judged(encoder, held)
            untrained = {name: value for name, value in settings.items() if name in (*_ENCODER, *_READING, *_MACHINE)}
            before, size = SentenceEncoder(**untrained), encoder.dimensions
            before.dimensions = None if size is None or size > before.width else size
            found = {"baselines": {"the model before training": _judged(before, held)}}
    report = TrainReport(
        folder=folder,
        headline=encoder.objective_.metrics().headline,
        metrics=metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=encoder.result_.state.step,
        seconds=encoder.result_.state.seconds,
        pairs=len(rows.texts[0]) > 1,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def _judged(encoder: SentenceEncoder, held: EmbeddingRows) -> dict[str, Any]:
    found = encoder.evaluate(held.texts, held.scores)
    return {name: value for name, value in found.items() if name != "accounting"}


def _inspect(rows: EmbeddingRows, validation: EmbeddingRows | None, settings: Mapping[str, Any]) -> Inspection:
    model = settings.get("model")
    folder = model_path(resolve(model, revision=settings.get("revision")))
    task = read_text_side(folder)
    told: dict[str, Any] = {} if settings.get("overflow") is None else {"overflow": settings["overflow"]}
    if settings.get("max_tokens") is not None:
        told["max_tokens"] = longest_read(settings["max_tokens"], read_description(folder)[2].max_tokens)
    name = "the default encoder" if model is None else str(model)
    return inspect_embedding_rows(rows, validation, task=replace(task, **told), tokenizer=Tokenizer.load(folder), model_name=name)


TRAINING = TaskTraining(
    "embeddings",
    SentenceEncoder,
    EmbeddingSettings,
    read=EmbeddingSettings.read_rows,
    inspect=_inspect,
    train_one=train_one,
    found=("objective",),
    validated=lambda data, rows: data.objective_for(rows) != "simcse",
    implied=lambda settings: {} if settings.get("teacher") is None else {"objective": "distillation"},
)
