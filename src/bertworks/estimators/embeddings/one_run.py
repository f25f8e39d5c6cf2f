"""One training of a sentence encoder and its run folder: rows, model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.embeddings.data_settings import EmbeddingRows, EmbeddingSettings
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.embeddings.training import teacher_vectors
from bertworks.estimators.one_training import TrainReport, write_files
from bertworks.tasks.embedding_objective import ObjectiveName
from bertworks.training.progress import Progress

_UNTRAINED = ("model", "revision", "pooling", "layers_from", "dense", "activation", "normalize", "overflow", "max_tokens", "stride", "seed")
_MACHINE = ("device", "precision", "threads", "token_budget")


@dataclass(frozen=True)
class Material:
    """The rows of a training, and what they are learnt by."""

    rows: EmbeddingRows
    validation: EmbeddingRows | None
    objective: ObjectiveName


def read_material(data: EmbeddingSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material:
    """Reads the rows. Raises `DataError` for data that cannot be learnt from."""
    if settings.get("teacher") is not None and data.objective is None:
        data = type(data)(**{**vars(data), "objective": "distillation"})
    rows, validation, objective, lines = data.read_rows()
    if progress is not None:
        progress.facts("data", lines)
    return Material(rows, validation, objective)


def train_one(
    folder: Path,
    data: EmbeddingSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material,
    *,
    resume: bool = False,
) -> TrainReport:
    """Trains, evaluates the model that was kept beside the one that it came from, and writes the run's files."""
    rows, held = material.rows, material.validation
    options: dict[str, Any] = {**settings, "objective": material.objective, "output": folder, "progress": progress or False}
    encoder = SentenceEncoder(**options)
    imitates = material.objective == "distillation"
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
            untrained = {name: value for name, value in settings.items() if name in (*_UNTRAINED, *_MACHINE)}
            found = {"baselines": {"the model before training": _judged(SentenceEncoder(**untrained), held)}}
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
    write_files(report)
    return report


def _judged(encoder: SentenceEncoder, held: EmbeddingRows) -> dict[str, Any]:
    found = encoder.evaluate(held.texts, held.scores)
    return {name: value for name, value in found.items() if name != "accounting"}


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the encoder of a run was made with, as its config.toml says; what it was trained by is seen by the data again."""
    own = {name: value for name, value in settings.get(SentenceEncoder.settings_table, {}).items() if name != "objective"}
    return {**own, **settings.get("training", {})}
