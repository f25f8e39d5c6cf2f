"""One training of a model that chooses and its run folder: the questions, the model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.checkpoints.files import write_json
from bertworks.data.choice_examples import ChoiceData
from bertworks.data.writing import write_table
from bertworks.estimators import row_results, runs
from bertworks.estimators.choices.assessment import assess
from bertworks.estimators.choices.data_settings import ChoiceSettings
from bertworks.estimators.choices.inspection import inspect_choices
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.multiple_choice import MultipleChoice
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, write_files
from bertworks.evaluation.choice_baselines import choice_baselines
from bertworks.training.progress import Progress


class ChoiceTrainReport(TrainReport):
    """What the training of a model that chooses left behind."""

    @property
    def next_steps(self) -> list[str]:
        """Commands to go on with."""
        return runs.choice_steps(self.folder)


def train_one(
    folder: Path,
    data: ChoiceSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material[ChoiceData],
    *,
    resume: bool = False,
) -> TrainReport:
    """Trains, evaluates and writes all files of the run folder."""
    questions, validation = material.rows, material.validation
    model = MultipleChoice(**{**settings, "output": folder, "progress": progress or False})
    held = None if validation is None else _columns(validation)
    model.fit(*_columns(questions), validation=held, resume=resume, provenance=data.to_dict())
    accounting = {"training": with_reading(model.accounting_, questions.accounting)}
    found: dict[str, Any] = {}
    metrics = None
    if validation is not None:
        assessed = assess(model, validation, results=True)
        metrics = assessed.metrics
        accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
        write_table(pa.Table.from_pylist(assessed.results), folder / row_results.FILE)
        judged = choice_baselines([question.choices for question in validation.questions], validation.right, questions.right)
        found = {"baselines": judged, "calibration": None, "mistakes": assessed.mistakes}
    report = ChoiceTrainReport(
        folder=folder,
        headline="accuracy",
        metrics=metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=model.result_.state.step,
        seconds=model.result_.state.seconds,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def _columns(data: ChoiceData) -> tuple[list[str], list[tuple[str, ...]], list[int]]:
    return [question.text for question in data.questions], [question.choices for question in data.questions], data.right


TRAINING = TaskTraining(
    "choices",
    MultipleChoice,
    ChoiceSettings,
    read=ChoiceSettings.read_choices,
    inspect=lambda questions, validation, settings: inspect_choices(questions, validation),
    train_one=train_one,
    report=ChoiceTrainReport,
)
