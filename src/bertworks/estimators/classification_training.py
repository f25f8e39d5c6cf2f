"""One training of a text classifier and its run folder: the rows, the model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertworks.accounting import Accounting
from bertworks.checkpoints.files import write_json
from bertworks.data.inspection import Inspection
from bertworks.estimators import row_results, runs
from bertworks.estimators.assessment import compare_with_baselines
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import DataSettings, Rows, check_labels, with_reading
from bertworks.estimators.first_look import first_look
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, telling_what_is_left, write_files
from bertworks.tasks.text_classification import in_order
from bertworks.training.progress import Progress

if TYPE_CHECKING:
    from bertworks.estimators.embeddings.few_shot import FewShotClassifier


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
    rows, validation = material.rows, material.validation
    options: dict[str, Any] = {**settings, "kind": data.kind, "output": folder, "progress": progress or False}
    classifier = TextClassifier(**options)
    held = None if validation is None else (validation.texts, validation.labels)
    more: dict[str, Any] = {"validation": held, "classes": rows.further_classes, "resume": resume, "provenance": data.to_dict()}
    classifier.fit(rows.texts, rows.labels, **more)
    metrics, accounting, found = judged(classifier, material, folder)
    report = TrainReport(
        folder=folder,
        headline=classifier.task_.metrics().headline,
        metrics=metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=classifier.result_.state.step,
        seconds=classifier.result_.state.seconds,
        pairs=classifier.task_.pairs,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def judged(
    classifier: "TextClassifier | FewShotClassifier", material: Material[Rows], folder: Path
) -> tuple[dict[str, Any] | None, dict[str, Accounting], dict[str, Any]]:
    """Metrics of the validation rows, whose answers are written into `folder`, what became of all rows, and what else is found: the
    baselines, the calibration where there is one, the mistakes. Metrics are None, and nothing is found, where there are no such rows."""
    rows, validation = material.rows, material.validation
    accounting = {"training": with_reading(classifier.accounting_, rows.accounting)}
    if validation is None:
        return None, accounting, {}
    with telling_what_is_left(folder):
        assessed = classifier.assess(validation.texts, validation.labels, results=folder / row_results.FILE)
    accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
    baselines = compare_with_baselines(classifier.task_, rows.texts, rows.labels, validation.texts, validation.labels)
    mistakes = [{**mistake, "row": int(validation.numbers[mistake["row"]])} for mistake in assessed.mistakes]
    found = {"baselines": baselines, "calibration": classifier.about_.get("calibration"), "mistakes": mistakes}
    return assessed.metrics, accounting, found


def inspect(rows: Rows, validation: Rows | None, settings: Mapping[str, Any]) -> Inspection:
    """The look at rows before they are trained on, with the tokenizer of the encoder that is trained. Raises `DataError` for a label to
    validate on that the source of the training rows does not have."""
    if validation is not None and rows.kind != "number":
        check_labels(validation.name, validation.numbers, validation.labels, in_order(rows.classes), "the training data")
    return first_look(rows, validation, **{name: settings.get(name) for name in ("model", "revision", "max_tokens")})


TRAINING = TaskTraining(
    "classification", TextClassifier, DataSettings, read=DataSettings.read, inspect=inspect, train_one=train_one, found=("kind",)
)
