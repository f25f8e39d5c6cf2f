"""One training of a recognizer and its run folder: the sentences, the model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.architectures import read_description
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.hub import resolve
from bertworks.data.inspection import Inspection
from bertworks.estimators import row_results, runs
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.entities.assessment import compare_with_lookup
from bertworks.estimators.entities.data_settings import TaggedRows, TaggedSettings
from bertworks.estimators.entities.inspection import inspect_tagged
from bertworks.estimators.entities.recognizer import EntityRecognizer
from bertworks.estimators.one_training import TrainReport, read_report, write_files
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress


@dataclass(frozen=True)
class Material:
    """The rows of a training, and what a look at them found."""

    rows: TaggedRows
    validation: TaggedRows | None
    inspection: Inspection


def read_material(data: TaggedSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material:
    """Reads the rows and looks through them. Raises `DataError` for data with which a training cannot be right."""
    rows, validation, lines = data.read_tagged()
    if progress is not None:
        progress.facts("data", lines)
    model = settings.get("model")
    folder = resolve(model, revision=settings.get("revision"))
    limit = read_description(folder)[2].max_tokens
    most = settings.get("max_tokens")
    found = inspect_tagged(rows, validation, tokenizer=Tokenizer.load(folder), limit=limit if most is None else min(limit, most))
    if progress is not None:
        progress.facts("inspection", [f"{f.level}: {f.title.lower()}: {f.message}" for f in found.findings if f.level != "note"])
    found.raise_if_wrong()
    return Material(rows, validation, found)


def train_one(
    folder: Path, data: TaggedSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material, *, resume: bool = False
) -> TrainReport:
    rows, validation = material.rows, material.validation
    options: dict[str, Any] = {**settings, "scheme": rows.scheme, "output": folder, "progress": progress or False}
    recognizer = EntityRecognizer(**options)
    held = None if validation is None else (validation.sentences, validation.labels)
    recognizer.fit(rows.sentences, rows.labels, validation=held, resume=resume, provenance=data.to_dict())
    accounting = {"training": with_reading(recognizer.accounting_, rows.accounting)}
    found: dict[str, Any] = {}
    metrics = None
    if validation is not None:
        assessed = recognizer.assess(validation.sentences, validation.labels, results=folder / row_results.FILE)
        metrics = assessed.metrics
        accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
        judged = compare_with_lookup(recognizer.task_, rows.sentences, rows.truth, validation.sentences, validation.truth)
        mistakes = [{**mistake, "row": int(validation.numbers[mistake["row"]])} for mistake in assessed.mistakes]
        found = {"baselines": judged, "mistakes": mistakes}
    report = TrainReport(
        folder=folder,
        headline=recognizer.task_.metrics().headline,
        metrics=metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=recognizer.result_.state.step,
        seconds=recognizer.result_.state.seconds,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def train_in(folder: Path, data: TaggedSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material) -> TrainReport:
    """One of several trainings: read where it is finished, gone on with where it was begun, else begun."""
    if runs.is_finished(folder):
        return read_report(folder)
    if (folder / runs.SETTINGS).exists():
        return train_one(folder, data, own_settings(runs.read_settings(folder)), progress, material, resume=True)
    return train_one(folder, data, settings, progress, material)


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the recognizer of a run was made with, as its config.toml says; the scheme is found by the data again."""
    own = {name: value for name, value in settings.get(EntityRecognizer.settings_table, {}).items() if name != "scheme"}
    return {**own, **settings.get("training", {})}
