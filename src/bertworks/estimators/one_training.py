"""One training and its run folder: the rows, the classifier, what it is worth, and the files that say so."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.sentence_layout import has_layout
from bertworks.data.inspection import Inspection
from bertworks.errors import Interrupted, TrainingError
from bertworks.estimators import row_results, runs
from bertworks.estimators.assessment import compare_with_baselines
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import DataSettings, Rows, with_reading
from bertworks.estimators.first_look import first_look
from bertworks.estimators.reports import read_run, write_model_card, write_report
from bertworks.training.progress import Progress


@dataclass(frozen=True)
class SeedResult:
    """One of several trainings that differ in their seed only."""

    seed: int
    folder: Path
    score: float
    """The main metric on the validation data."""


@dataclass(frozen=True)
class TrainReport:
    """What a training left behind."""

    folder: Path
    """The run folder."""
    headline: str
    """Name of the main metric."""
    metrics: dict[str, Any] | None
    """All metrics of the validation data, of the kept model; None without validation data."""
    accounting: dict[str, Any]
    """What became of the rows: `training`, and `validation` where there is such data."""
    steps: int
    seconds: float
    """Time spent in training, over all sessions of the run."""
    pairs: bool = False
    findings: dict[str, Any] = field(default_factory=dict)
    """What else is known of the kept model by the validation data: `baselines`, `calibration` and `mistakes`."""
    seeds: list[SeedResult] = field(default_factory=list)
    """Each training of several; the best is the one whose model was kept."""
    was_finished: bool = False
    """Whether the run had nothing left to do."""

    @property
    def model(self) -> Path:
        """The folder of the finished model."""
        return self.folder / "model"

    @property
    def mean_and_deviation(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the main metric over the seeds (n - 1 in the denominator)."""
        scores = [result.score for result in self.seeds]
        return (mean(scores), stdev(scores)) if len(scores) > 1 else None

    @property
    def next_steps(self) -> list[str]:
        """Commands to go on with."""
        return runs.vector_steps(self.folder) if has_layout(self.model) else runs.next_steps(self.folder, self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as metrics.json and `--json` have them."""
        out: dict[str, Any] = {"folder": str(self.folder), "model": str(self.model), "headline": self.headline, "validation": self.metrics}
        out |= self.findings
        if self.seeds:
            out["seeds"] = [{"seed": r.seed, "folder": str(r.folder), self.headline: r.score} for r in self.seeds]
            spread = self.mean_and_deviation
            out |= {} if spread is None else {"mean": spread[0], "standard_deviation": spread[1]}
        return out | {"steps": self.steps, "seconds": self.seconds, "pairs": self.pairs, "accounting": self.accounting}


@dataclass(frozen=True)
class Material:
    """The rows of a training, and what a look at them found."""

    rows: Rows
    validation: Rows | None
    inspection: Inspection


def read_material(data: DataSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material:
    """Reads the rows and looks through them. Raises `DataError` for data with which a training cannot be right."""
    rows, validation, lines = data.read()
    if progress is not None:
        progress.facts("data", lines)
    chosen = {name: settings.get(name) for name in ("model", "revision", "max_tokens")}
    found = first_look(rows, validation, **chosen)
    if progress is not None:
        progress.facts("inspection", [f"{f.level}: {f.title.lower()}: {f.message}" for f in found.findings if f.level != "note"])
    found.raise_if_wrong()
    return Material(rows, validation, found)


def train_one(
    folder: Path, data: DataSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material, *, resume: bool = False
) -> TrainReport:
    rows, validation = material.rows, material.validation
    options: dict[str, Any] = {**settings, "kind": data.kind, "output": folder, "progress": progress or False}
    classifier = TextClassifier(**options)
    held = None if validation is None else (validation.texts, validation.labels)
    classifier.fit(rows.texts, rows.labels, validation=held, resume=resume, provenance=data.to_dict())
    accounting = {"training": with_reading(classifier.accounting_, rows.accounting)}
    found: dict[str, Any] = {}
    if validation is not None:
        assessed = classifier.assess(validation.texts, validation.labels, results=folder / row_results.FILE)
        accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
        judged = compare_with_baselines(classifier.task_, rows.texts, rows.labels, validation.texts, validation.labels)
        mistakes = [{**mistake, "row": int(validation.numbers[mistake["row"]])} for mistake in assessed.mistakes]
        found = {"baselines": judged, "calibration": classifier.about_["calibration"], "mistakes": mistakes}
    report = TrainReport(
        folder=folder,
        headline=classifier.task_.metrics().headline,
        metrics=None if validation is None else assessed.metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=classifier.result_.state.step,
        seconds=classifier.result_.state.seconds,
        pairs=classifier.task_.pairs,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def train_in(folder: Path, data: DataSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material) -> TrainReport:
    """One of several trainings of a study: read where it is finished, gone on with where it was begun, else begun."""
    if runs.is_finished(folder):
        return read_report(folder)
    if (folder / runs.SETTINGS).exists():
        return train_one(folder, data, own_settings(runs.read_settings(folder)), progress, material, resume=True)
    return train_one(folder, data, settings, progress, material)


@contextmanager
def told_of(folder: Path, part: Path) -> Iterator[None]:
    """An interruption or fault of the training in `part` says how to go on with the whole in `folder`."""
    try:
        yield
    except (Interrupted, TrainingError) as stopped:
        raise type(stopped)(str(stopped).replace(str(part), str(folder))) from stopped.__cause__


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the classifier of a run was made with, as its config.toml says."""
    return {**settings.get("classifier", {}), **settings.get("training", {})}


def write_files(report: TrainReport) -> None:
    values = report.to_dict()
    for seed in values.get("seeds", []):
        seed["folder"] = Path(seed["folder"]).name  # a run folder can be moved
    runs.write_results(report.folder, {k: v for k, v in values.items() if k not in ("folder", "model", "accounting")}, report.accounting)
    write_model_card(report.model, read_run(report.folder))
    write_report(report.folder)


def read_report(folder: Path) -> TrainReport:
    metrics, accounting = runs.read_results(folder)
    headline = metrics["headline"]
    seeds = [SeedResult(row["seed"], folder / row["folder"], row[headline]) for row in metrics.get("seeds", [])]
    return TrainReport(
        folder=folder,
        headline=headline,
        metrics=metrics["validation"],
        accounting=accounting,
        steps=metrics["steps"],
        seconds=metrics["seconds"],
        pairs=metrics["pairs"],
        findings={name: metrics[name] for name in ("baselines", "calibration", "mistakes") if name in metrics},
        seeds=seeds,
        was_finished=True,
    )
