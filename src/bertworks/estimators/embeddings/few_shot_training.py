"""One training of a few-shot classifier and its run folder: the rows, the model, what it is worth, and the files that say so."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bertworks.checkpoints.files import write_json
from bertworks.data.inspection import Inspection
from bertworks.errors import CheckpointError, DataError, SettingsError, TrainingError
from bertworks.estimators import classification_training, runs
from bertworks.estimators.data_settings import DataSettings, Rows
from bertworks.estimators.embeddings.few_shot import FewShotClassifier
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, told_of, write_files
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress

CONTRASTIVE = "contrastive"
"""Where the training of the encoder on pairs lies in the run folder: what it learnt, step by step, and its checkpoints until it ends."""


@dataclass(frozen=True)
class FewShotSettings(DataSettings):
    """What to train and to validate on: texts with one label each."""

    kind: Literal["single"] = "single"


def train_one(
    folder: Path,
    data: DataSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material[Rows],
    *,
    resume: bool = False,
) -> TrainReport:
    """Trains, evaluates and writes all files of the run folder."""
    rows = material.rows
    classifier = FewShotClassifier(**{**settings, "output": folder / CONTRASTIVE, "progress": progress or False})
    _write_settings(folder, classifier, data, {name: settings[name] for name in _training_names() if name in settings})
    try:
        with told_of(folder, folder / CONTRASTIVE):
            classifier.fit(rows.texts, rows.labels, classes=rows.further_classes, resume=resume)
    except (CheckpointError, DataError, SettingsError, TrainingError):  # which the same settings meet again
        if not (folder / CONTRASTIVE).exists():  # there is nothing to resume
            runs.forget_unbegun(folder)
        raise
    _write_settings(folder, classifier, data, classifier.about_["training"] or classifier.training_config().to_dict())
    metrics, accounting, found = classification_training.judged(classifier, material, folder)
    classifier.save(folder / "model", replace=True)
    shutil.rmtree(folder / CONTRASTIVE / "model", ignore_errors=True)  # which the classifier's holds, too
    taught = getattr(classifier.encoder_, "result_", None)
    report = TrainReport(
        folder=folder,
        headline=classifier.task_.metrics().headline,
        metrics=metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=0 if taught is None else taught.state.step,
        seconds=0.0 if taught is None else taught.state.seconds,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def _write_settings(folder: Path, classifier: FewShotClassifier, data: DataSettings, training: Mapping[str, Any]) -> None:
    own = {
        name: value
        for name, value in classifier.get_params().items()
        if name in classifier._own_names() and name not in ("output", "progress")
    }
    runs.write_settings(folder, {classifier.settings_table: own, "training": training, "data": data.to_dict()})


def _training_names() -> list[str]:
    return [f.name for f in fields(TrainingConfig)]


def _inspect(rows: Rows, validation: Rows | None, settings: Mapping[str, Any]) -> Inspection:
    """Raises `SettingsError` for pairs of texts, which a sentence encoder does not read, before anything is computed."""
    if rows.texts and isinstance(rows.texts[0], tuple):
        raise SettingsError(
            f"{rows.name} has pairs of texts, and few-shot classifiers read single ones: name the column with text (--text)"
        )
    return classification_training.inspect(rows, validation, settings)


TRAINING = TaskTraining(
    "few-shot",
    FewShotClassifier,
    FewShotSettings,
    read=FewShotSettings.read,
    inspect=_inspect,
    train_one=train_one,
)
