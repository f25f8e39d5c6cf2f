"""`train`: from a source of labelled texts to a run folder with a finished model."""

import inspect
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from bertworks.checkpoints.files import write_json
from bertworks.data.faults import OnBadRows
from bertworks.data.inspection import Inspection
from bertworks.errors import BertworksError, Interrupted, SettingsError, nearest
from bertworks.estimators import row_results, runs
from bertworks.estimators.assessment import compare_with_baselines
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import DataSettings, Rows, with_reading
from bertworks.estimators.first_look import first_look
from bertworks.estimators.reports import read_run, write_model_card, write_report
from bertworks.training.config import TrainingConfig
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
        return runs.next_steps(self.folder, self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as metrics.json and `--json` have them."""
        out: dict[str, Any] = {"folder": str(self.folder), "model": str(self.model), "headline": self.headline, "validation": self.metrics}
        out |= self.findings
        if self.seeds:
            out["seeds"] = [{"seed": r.seed, "folder": str(r.folder), self.headline: r.score} for r in self.seeds]
            spread = self.mean_and_deviation
            out |= {} if spread is None else {"mean": spread[0], "standard_deviation": spread[1]}
        return out | {"steps": self.steps, "seconds": self.seconds, "pairs": self.pairs, "accounting": self.accounting}


def train(
    data: Any = None,
    *,
    output: str | Path | None = None,
    model: str | Path | None = None,
    validation: Any = None,
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    kind: Literal["auto", "single", "multi", "number"] = "auto",
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    resume: str | Path | None = None,
    seeds: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainReport:
    """Trains a text classifier on any source of labelled texts, and keeps everything in a run folder.

    `data` and the arguments down to `delimiter` are the fields of `DataSettings`; `settings` are parameters of
    `TextClassifier` and fields of `TrainingConfig`. `output` is the run folder, by default the next free
    `runs/<name of the data>-<n>`. With `resume`, the run in that folder goes on with its own settings, and ends in
    the same bits as one that was never interrupted. `seeds` trains so many times, on the same rows, and keeps the
    best model.

    Raises `SettingsError` for wrong arguments, `DataError` for data that cannot be learnt from, `Interrupted` after
    Ctrl-C, once the state is saved.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "kind": kind, "shuffle_seed": shuffle_seed}
    reading |= {"limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    chosen = DataSettings(source=data, validation=validation, **reading)
    if resume is not None:
        usual = DataSettings()
        changed = [name for name, value in {"output": output, "model": model, **settings}.items() if value is not None]
        changed += [name for name, value in reading.items() if value != getattr(usual, name)] + (["seeds"] if seeds != 1 else [])
        if changed:
            raise SettingsError(f"a run is resumed with its own settings: leave out {', '.join(changed)}")
        return _resume(Path(resume), data, validation, progress)
    if data is None:
        raise SettingsError("there is nothing to train on: name a file, a folder or a data set")
    _check_names(settings)
    if not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"seeds is a number of trainings, at least 1, not {seeds!r}")
    folder = runs.free_name(Path("runs") / runs.source_name(data)) if output is None else Path(output)
    if (folder / runs.SETTINGS).exists():
        raise SettingsError(f"{folder} already holds a run: resume it (--resume), choose another folder, or delete it")
    if model is not None:
        settings["model"] = str(Path(model).absolute()) if Path(model).is_dir() else str(model)
    config = TrainingConfig(**{f.name: settings[f.name] for f in fields(TrainingConfig) if f.name in settings})
    chosen = replace(chosen.resolved(), validation_seed=config.seed)
    material = _read(chosen, settings, progress)
    if seeds == 1:
        return _train_one(folder, chosen, settings, progress, material)
    if material.validation is None:
        raise SettingsError("several seeds are compared on validation data, but there are none: name some, or hold out a part")
    runs.write_settings(folder, {"seeds": {"count": seeds}, "classifier": settings, "data": chosen.to_dict()})
    try:
        return _train_seeds(folder, chosen, settings, seeds, progress, material)
    except BertworksError:
        runs.forget_unbegun(folder)
        raise


@dataclass(frozen=True)
class Material:
    """The rows of a training, and what a look at them found."""

    rows: Rows
    validation: Rows | None
    inspection: Inspection


def _read(data: DataSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material:
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


def _train_one(
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
    _write(report)
    return report


def _train_seeds(
    folder: Path, data: DataSettings, settings: Mapping[str, Any], count: int, progress: Progress | None, material: Material
) -> TrainReport:
    reports: list[TrainReport] = []
    results: list[SeedResult] = []
    first = settings.get("seed", 0)
    for seed in range(first, first + count):
        one = folder / f"seed-{seed}"
        if progress is not None:
            progress.facts("seed", [f"{seed} ({seed - first + 1} of {count})"])
        try:
            if runs.is_finished(one):
                report = _read_report(one)
            elif (one / runs.SETTINGS).exists():
                report = _train_one(one, data, _own_settings(runs.read_settings(one)), progress, material, resume=True)
            else:
                report = _train_one(one, data, {**settings, "seed": seed}, progress, material)
        except Interrupted as stopped:
            raise Interrupted(str(stopped).replace(str(one), str(folder))) from None
        reports.append(report)
        results.append(SeedResult(seed, one, float((report.metrics or {})[report.headline])))
    best = max(zip(results, reports, strict=True), key=lambda pair: pair[0].score)[1]
    for name in (row_results.FILE, runs.INSPECTION):
        shutil.copyfile(best.folder / name, folder / name)
    runs.copy_model(best.model, folder / "model")
    seconds = sum(report.seconds for report in reports)
    whole = replace(best, folder=folder, seeds=results, seconds=seconds, steps=sum(report.steps for report in reports), was_finished=False)
    _write(whole)
    return whole


def _resume(folder: Path, data: Any, validation: Any, progress: Progress | None) -> TrainReport:
    settings = runs.read_settings(folder)
    if runs.is_finished(folder):
        return _read_report(folder)
    chosen = DataSettings.from_dict(settings["data"], data, validation)
    material = _read(chosen, settings.get("classifier", {}), progress)
    if "seeds" in settings:
        return _train_seeds(folder, chosen, settings["classifier"], settings["seeds"]["count"], progress, material)
    return _train_one(folder, chosen, _own_settings(settings), progress, material, resume=True)


def _own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the classifier of a run was made with, as its config.toml says."""
    return {**settings.get("classifier", {}), **settings.get("training", {})}


def _write(report: TrainReport) -> None:
    values = report.to_dict()
    for seed in values.get("seeds", []):
        seed["folder"] = Path(seed["folder"]).name  # a run folder can be moved
    runs.write_results(report.folder, {k: v for k, v in values.items() if k not in ("folder", "model", "accounting")}, report.accounting)
    write_model_card(report.model, read_run(report.folder))
    write_report(report.folder)


def _read_report(folder: Path) -> TrainReport:
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


def _check_names(settings: Mapping[str, Any]) -> None:
    """Raises `SettingsError` for an argument that does not exist, before any data are read."""
    own = [name for name in TextClassifier._own_names() if name not in ("output", "progress", "kind")]
    known = [*own, *(f.name for f in fields(TrainingConfig))]
    for name in settings:
        if name not in known:
            raise SettingsError(f"train has no argument '{name}'.{nearest(name, [*inspect.signature(train).parameters, *known])}")
