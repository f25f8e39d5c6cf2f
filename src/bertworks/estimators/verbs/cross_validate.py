"""`cross_validate`: every row is answered once by a model that was not trained on it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.data.inspection import Finding
from bertworks.data.inspection.confident_learning import check_label_issues
from bertworks.errors import SettingsError
from bertworks.estimators.first_look import text_rows
from bertworks.estimators.row_results import FILE, RowResults, RowResultsWriter
from bertworks.estimators.stored_task import read_task
from bertworks.estimators.studies import Study, StudyReport, Trial, TrialResult, headline_of, part_of, study_folder, study_settings
from bertworks.estimators.verbs.kinds import CLASSIFICATION
from bertworks.tasks.text_classification import TextClassification
from bertworks.training.progress import Progress


def cross_validate(
    data: Any,
    *,
    task: str | None = None,
    folds: int = 5,
    output: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> StudyReport:
    """Trains `folds` times, each time on all rows but a fold's, which it is evaluated on; each class is spread evenly, and questions on
    one context are in one fold.

    The folder (by default `runs/<name of the data>-cross-validation`) keeps the trainings and the table trials.csv; for text
    classification also predictions.parquet, the answer to every row by the model that had not seen it, by which rows whose label looks
    wrong are found (confident learning). `task` and `settings` are those of `train`, but nothing else is held out: early stopping and the
    choice of the best step see the fold that is evaluated, so leave them out where that matters. A study that was
    interrupted goes on with the same call.

    Raises `SettingsError` and `DataError` as `train` does, and for more folds than rows.
    """
    if not isinstance(folds, int) or folds < 2:
        raise SettingsError(f"folds is a number of parts, at least 2, not {folds!r}")
    for name in ("validation", "validation_split", "validation_fraction"):
        if settings.pop(name, None) is not None:
            raise SettingsError(f"{name} has no place here: each fold is validated on in its turn")
    training, reading, usual = study_settings("cross-validate", data, task, model, settings)
    about = {"kind": "cross_validate", "folds": folds}
    study = Study(study_folder(output, data, "cross-validation"), training, reading, usual, about, hold_out=False, progress=progress)
    rows = study.material.rows
    if not training.validated(reading, rows):
        raise SettingsError(f"{rows.name} has nothing to validate on, and so no part of it: train on it with validation data of its own")
    parts = rows.division.folds(folds, int(usual.get("seed", 0)))

    def trials() -> Iterator[Trial]:
        for number, held in enumerate(parts, 1):
            kept = np.setdiff1d(np.arange(len(rows)), held)
            validation = part_of(study.material, held).rows
            material = part_of(study.material, kept, replace(validation, name=f"fold {number} of {rows.name}"))
            yield Trial(f"fold-{number}", {"fold": number, "rows": len(held)}, usual, material)

    done = study.run(trials(), [])
    report = study.report(done, headline_of(done), [])
    mean, deviation = report.mean_and_deviation
    lines = [f"{report.headline.replace('_', ' ')} over {folds} folds: {mean:.4f} ± {deviation:.4f} (mean ± sd)"]
    if training is CLASSIFICATION.training:
        _join(study, done, parts)
        lines += [f"{finding.title.lower()}: {finding.message}" for finding in doubtful_labels(study)]
    return study.report(done, report.headline, lines)


def _join(study: Study, done: list[TrialResult], parts: list[Any]) -> None:
    """The answers of all folds in one file, in the order of the rows: each what its fold's model decided, by thresholds of its own."""
    rows, order = study.material.rows, np.argsort(np.concatenate(parts))
    stored = [RowResults(trial.folder / FILE) for trial in done]
    outputs = np.concatenate([outputs for fold in stored for _, _, outputs in fold.chunks()])
    decided = [answer for fold in stored for answer in fold.predictions()]
    task = read_task(done[0].folder / "model")[0]
    assert isinstance(task, TextClassification), "what a study trains"
    with RowResultsWriter(study.folder / FILE, replace(task, thresholds=None)) as writer:
        writer.add(rows.texts, rows.labels, outputs.reshape(len(outputs), -1)[order], [decided[i] for i in order])


def doubtful_labels(study: Study) -> list[Finding]:
    """Rows whose label looks wrong to the models that had not seen them (single labels only)."""
    stored = RowResults(study.folder / FILE)
    if stored.kind != "single":
        return []
    rows, given, probabilities = zip(*stored.chunks(), strict=True)
    places = np.arange(sum(map(len, rows)))
    names = [str(name) for name in stored.labels]
    return list(check_label_issues(text_rows(study.material.rows), places, np.concatenate(given), np.concatenate(probabilities), names))
