"""One training of an answerer and its run folder: the questions, the model, what it is worth, and the files that say so."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.checkpoints.files import write_json
from bertworks.data.inspection.findings import by_level
from bertworks.data.question_examples import QuestionData
from bertworks.data.writing import write_table
from bertworks.estimators import row_results, runs
from bertworks.estimators.answers.answerer import QuestionAnswerer
from bertworks.estimators.answers.assessment import compare_with_baselines
from bertworks.estimators.answers.data_settings import QuestionSettings
from bertworks.estimators.answers.inspection import findings_of_lost, findings_of_notes, in_source, inspect_questions
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.task_training import Material, TaskTraining
from bertworks.estimators.train_report import TrainReport, write_files
from bertworks.training.progress import Progress

LOST = "lost_answers.json"
"""The file of a run folder that lists the answers that were not found."""


class AnswerTrainReport(TrainReport):
    """What the training of an answerer left behind."""

    @property
    def next_steps(self) -> list[str]:
        """Commands to go on with."""
        return runs.answer_steps(self.folder)


def train_one(
    folder: Path,
    data: QuestionSettings,
    settings: Mapping[str, Any],
    progress: Progress | None,
    material: Material[QuestionData],
    *,
    resume: bool = False,
) -> TrainReport:
    """Trains, evaluates and writes all files of the run folder."""
    questions, validation = material.rows, material.validation
    answerer = QuestionAnswerer(**{**settings, "output": folder, "progress": progress or False})
    held = None if validation is None else validation.examples
    answerer.fit(questions.examples, validation=held, on_bad_rows=data.on_bad_rows, resume=resume, provenance=data.to_dict())
    accounting = {"training": with_reading(answerer.accounting_, questions.accounting)}
    found: dict[str, Any] = {}
    if validation is not None:
        assessed = answerer.assess(validation.examples, results=True, on_bad_rows=data.on_bad_rows)
        accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
        write_table(pa.Table.from_pylist(assessed.results), folder / row_results.FILE)
        mistakes = [{**mistake, "row": int(validation.rows[mistake["row"]])} for mistake in assessed.mistakes]
        found = {"baselines": compare_with_baselines(validation.examples), "calibration": None, "mistakes": mistakes}
    report = AnswerTrainReport(
        folder=folder,
        headline="f1",
        metrics=None if validation is None else assessed.metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=answerer.result_.state.step,
        seconds=answerer.result_.state.seconds,
        pairs=True,
        findings=found,
    )
    lost = in_source(answerer.lost_answers_, questions)
    write_json(folder / LOST, {"lost_answers": [each.to_dict() for each in lost]})
    more = [*findings_of_lost(lost, len(questions)), *findings_of_notes(answerer.accounting_, len(questions))]
    inspection = replace(material.inspection, findings=by_level([*material.inspection.findings, *more]))
    write_json(folder / runs.INSPECTION, inspection.to_dict())
    write_files(report)
    return report


TRAINING = TaskTraining(
    "answers",
    QuestionAnswerer,
    QuestionSettings,
    read=QuestionSettings.read_questions,
    inspect=lambda questions, validation, settings: inspect_questions(questions, validation),
    train_one=train_one,
    report=AnswerTrainReport,
)
