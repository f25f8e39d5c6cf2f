"""What a training left behind: its report, as it is written into the run folder and read from it again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.sentence_layout import has_layout
from bertworks.errors import CheckpointError, Interrupted, TrainingError
from bertworks.estimators import runs
from bertworks.estimators.reports import read_run, write_model_card, write_report
from bertworks.training.run import RunFolder


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


@contextmanager
def told_of(folder: Path, part: Path) -> Iterator[None]:
    """An interruption or fault of the training in `part` says how to go on with the whole in `folder`."""
    try:
        yield
    except (Interrupted, TrainingError) as stopped:
        raise type(stopped)(str(stopped).replace(str(part), str(folder))) from stopped.__cause__


@contextmanager
def telling_what_is_left(folder: Path) -> Iterator[None]:
    """Adds to an error of the disk, once a training has ended, that only its results are missing, and how to get them."""
    try:
        yield
    except CheckpointError as error:
        raise TrainingError(f"{error}. What was trained is kept; go on with: {RunFolder(folder).command}") from error


def write_files(report: TrainReport) -> None:
    """Writes accounting.json, the model's card, the report, and metrics.json, by which the run is finished, last."""
    values = report.to_dict()
    for seed in values.get("seeds", []):
        seed["folder"] = Path(seed["folder"]).name  # a run folder can be moved
    metrics = {k: v for k, v in values.items() if k not in ("folder", "model", "accounting")}
    with telling_what_is_left(report.folder):
        write_json(report.folder / runs.ACCOUNTING, report.accounting)
        record = read_run(report.folder, json.loads(json.dumps(metrics)))
        write_model_card(report.model, record)
        write_report(report.folder, record)
        write_json(report.folder / runs.METRICS, metrics)


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
