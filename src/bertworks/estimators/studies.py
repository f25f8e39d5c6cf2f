"""Studies: several trainings that differ in one respect, told as one table; each is a run folder of its own inside the
study's, so that a study that was interrupted goes on where it stopped.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from bertworks.accounting import Accounting
from bertworks.checkpoints.atomic import atomic_write
from bertworks.checkpoints.files import write_json
from bertworks.errors import BertworksError, CheckpointError, SettingsError
from bertworks.estimators import runs
from bertworks.estimators.data_settings import DataSettings
from bertworks.estimators.task_training import Material, TaskTraining, how_to_validate
from bertworks.estimators.train_arguments import with_models
from bertworks.estimators.train_report import told_of
from bertworks.estimators.verbs import kinds
from bertworks.training.distributed import alone
from bertworks.training.progress import Progress

TABLE, RESULTS = "trials.csv", "study.json"


@dataclass(frozen=True)
class Trial:
    """One training of a study."""

    name: str
    """The name of its run folder."""
    differs: dict[str, Any]
    """In what it differs from the others, as the table shows it."""
    settings: Mapping[str, Any]
    material: Material[Any]


@dataclass(frozen=True)
class TrialResult:
    """What a trial reached on its validation rows."""

    name: str
    differs: dict[str, Any]
    score: float
    """The main metric."""
    metrics: dict[str, Any]
    seconds: float
    folder: Path


@dataclass(frozen=True)
class StudyReport:
    """What a study found."""

    folder: Path
    headline: str
    """Name of the main metric."""
    trials: list[TrialResult]
    """In the order of their training."""
    lines: list[str]
    """What it comes to, in words."""

    @property
    def best(self) -> TrialResult:
        """The trial with the highest score; of equal ones the first."""
        return max(self.trials, key=lambda trial: trial.score)

    @property
    def mean_and_deviation(self) -> tuple[float, float]:
        """Mean and standard deviation of the score (n - 1 in the denominator; 0 for one trial)."""
        scores = [trial.score for trial in self.trials]
        return mean(scores), stdev(scores) if len(scores) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Time spent in training."""
        return sum(trial.seconds for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as study.json and `--json` have them."""
        spread = dict(zip(("mean", "standard_deviation"), self.mean_and_deviation, strict=True))
        rows = [{"name": t.name, **t.differs, self.headline: t.score, "seconds": t.seconds, "metrics": t.metrics} for t in self.trials]
        return {"headline": self.headline, "best": self.best.name, **spread, "lines": self.lines, "trials": rows}

    def table(self) -> list[list[str]]:
        """The trials in columns, the names of the columns first."""
        columns = list(self.trials[0].differs)
        head = ["trial", *(name.replace("_", " ") for name in columns), self.headline.replace("_", " "), "seconds"]
        return [
            head,
            *([t.name, *(shown(t.differs[name]) for name in columns), f"{t.score:.4f}", f"{t.seconds:,.0f}"] for t in self.trials),
        ]


class Study:
    """A study's folder, its data and its settings: made once, and read again to go on.

    `about` says what kind of study it is and how it is made up; it is kept in config.toml under `study`. Raises
    `SettingsError` where the folder holds another run, or goes on with other settings than it was begun with.
    """

    def __init__(
        self,
        folder: Path,
        training: TaskTraining,
        data: DataSettings,
        settings: Mapping[str, Any],
        about: Mapping[str, Any],
        *,
        hold_out: bool = True,
        progress: Progress | None = None,
    ) -> None:
        alone()
        self.folder, self.training, self.settings, self.progress = folder, training, dict(settings), progress
        self.data = data if hold_out else replace(data, validation=None, validation_split=None, validation_fraction=0.0)
        wanted = {"study": dict(about), training.estimator.settings_table: self.settings, "data": self.data.to_dict()}
        stored: dict[str, str] = {}
        if (folder / runs.SETTINGS).exists():
            begun = runs.read_settings(folder)
            if "study" not in begun:
                raise SettingsError(f"{folder} already holds a run: choose another folder")
            stored = {name: begun["study"].pop(name) for name in ("rows", "validation") if name in begun["study"]}
            if begun != runs.plain_settings(wanted):
                odd = sorted(name for name in wanted if begun.get(name) != runs.plain_settings(wanted)[name])
                what = f"{folder} holds a study that was begun with other settings ({', '.join(odd)})"
                raise SettingsError(f"{what}: go on with the same, or choose another folder")
        self.material = training.material(self.data, self.settings, progress)
        if hold_out and self.material.validation is None:
            raise SettingsError(f"a study compares trainings on validation data, but there are none: {how_to_validate(self.data)}")
        self.material.require_same(stored, folder)
        self._wanted = {**wanted, "study": {**about, **self.material.fingerprints}}

    def run(self, trials: Iterator[Trial], done: list[TrialResult]) -> list[TrialResult]:
        """Trains what is not finished yet, in order, and adds each result to `done`; a trial is asked for when those
        before it are there, so that a search may look at them."""
        runs.write_settings(self.folder, self._wanted)
        try:
            for trial in trials:
                done.append(self._run_one(trial))  # noqa: PERF401 - `trials` looks at `done`
        except BertworksError:
            if not any(self.folder.glob(f"*/{runs.SETTINGS}")):
                runs.forget_unbegun(self.folder)
            raise
        return done

    def _run_one(self, trial: Trial) -> TrialResult:
        folder = self.folder / trial.name
        if self.progress is not None:
            told = ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in trial.differs.items())
            self.progress.facts("trial", [f"{trial.name}: {told}"])
        with told_of(self.folder, folder):
            report = self.training.train_in(folder, self.data, trial.settings, self.progress, trial.material)
        metrics = report.metrics
        if metrics is None:
            raise CheckpointError(f"{folder} has no validation metrics: delete it, and begin the study again")
        return TrialResult(trial.name, trial.differs, float(metrics[report.headline]), metrics, report.seconds, folder)

    def report(self, done: Sequence[TrialResult], headline: str, lines: list[str]) -> StudyReport:
        """The study's report, written into its folder too."""
        found = StudyReport(self.folder, headline, list(done), lines)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(found.table())
        atomic_write(self.folder / TABLE, text.getvalue().encode())
        write_json(self.folder / RESULTS, found.to_dict())
        return found


def headline_of(results: Sequence[TrialResult]) -> str:
    """The main metric of finished trials."""
    return str(runs.read_results(results[0].folder)[0]["headline"])


def part_of(material: Material[Any], chosen: Any, validation: Any = None) -> Material[Any]:
    """Some of the training rows, with other validation rows if they are given."""
    rows = material.rows.part(np.asarray(chosen), Accounting(rows=len(chosen)), material.rows.name)
    return replace(material, rows=rows, validation=material.validation if validation is None else validation)


def study_settings(
    study: str, data: Any, task: str | None, model: str | Path | None, settings: Mapping[str, Any]
) -> tuple[TaskTraining, DataSettings, dict[str, Any]]:
    """What is trained, where the rows come from, and the settings of the trainings, from those of `train`. Raises `SettingsError` for
    a task or a setting that does not exist; `study` is the verb that was called."""
    kind = kinds.of_data({"task": task, "data": data})
    training, own = kind.training, kind.options("train")
    names = {f.name for f in fields(training.data) if not own or f.name in own} - {"source", "validation_seed"}
    reading = {name: value for name, value in settings.items() if name in names}
    others = {name: value for name, value in settings.items() if name not in names and value is not None}
    training.check_names(others, names, study)
    return training, training.data_settings(data, reading, others), with_models(others, model)


def study_folder(output: str | Path | None, data: Any, kind: str) -> Path:
    """The folder of a study: as named, or runs/NAME-KIND."""
    return Path(output) if output is not None else Path("runs") / f"{runs.source_name(data)}-{kind}"


def shown(value: Any) -> str:
    """A setting as tables have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
