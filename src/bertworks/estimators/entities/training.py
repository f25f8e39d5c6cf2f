"""One training of a recognizer and its run folder: the sentences, the model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks.architectures import read_description
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.hub import resolve
from bertworks.data.inspection import Inspection
from bertworks.estimators import row_results, runs
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.entities.assessment import compare_with_lookup
from bertworks.estimators.entities.data_settings import TaggedRows, TaggedSettings, source_stem
from bertworks.estimators.entities.inspection import inspect_tagged
from bertworks.estimators.entities.recognizer import EntityRecognizer
from bertworks.estimators.first_look import longest_read
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, write_files
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress


def train_one(
    folder: Path,
    data: TaggedSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material[TaggedRows],
    *,
    resume: bool = False,
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


def _inspect(rows: TaggedRows, validation: TaggedRows | None, settings: Mapping[str, Any]) -> Inspection:
    folder = resolve(settings.get("model"), revision=settings.get("revision"))
    limit = longest_read(settings.get("max_tokens"), read_description(folder)[2].max_tokens)
    return inspect_tagged(rows, validation, tokenizer=Tokenizer.load(folder), limit=limit)


TRAINING = TaskTraining(
    "entities",
    EntityRecognizer,
    TaggedSettings,
    read=TaggedSettings.read_tagged,
    inspect=_inspect,
    train_one=train_one,
    found=("scheme",),
    named_by=source_stem,
)
