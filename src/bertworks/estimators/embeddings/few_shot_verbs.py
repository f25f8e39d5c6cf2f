"""What `train` and `explain` do for classes from a few texts each; the other verbs are those of text classification."""

import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bertworks.checkpoints.files import write_json
from bertworks.data.faults import OnBadRows
from bertworks.errors import CheckpointError, DataError, SettingsError, TrainingError
from bertworks.estimators import row_results, runs
from bertworks.estimators.assessment import compare_with_baselines
from bertworks.estimators.data_settings import DataSettings, with_reading
from bertworks.estimators.embeddings.few_shot import FewShotClassifier
from bertworks.estimators.embeddings.few_shot_explanation import explain_few_shot
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.one_training import Material, TrainReport, read_material, read_report, write_files
from bertworks.estimators.train_arguments import check_names, new_run_folder, refuse_beside_resume, seed_of, with_model
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.explain import Kind
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress

__all__ = ["explain", "train"]

_READING = ("split", "text", "label", "shuffle_seed", "limit", "on_bad_rows", "encoding", "delimiter")


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
    label: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    resume: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainReport:
    """Trains a few-shot classifier on texts with one label each, read as text classification reads them, and keeps everything in a
    run folder.

    The arguments are those of `verbs.train`; `settings` are parameters of `FewShotClassifier` and fields of `TrainingConfig`. With
    `resume`, a run that was interrupted is begun again with its own settings, and ends in the same bits: it takes minutes.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "label": label, "shuffle_seed": shuffle_seed, "limit": limit}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    if resume is not None:
        refuse_beside_resume(DataSettings(), reading, {"output": output, "model": model, **settings})
        return _resume(Path(resume), data, validation, progress)
    if data is None:
        raise SettingsError("there is nothing to train on: name a file, a folder or a data set")
    check_names(settings, "few-shot", FewShotClassifier, _READING)
    folder = new_run_folder(output, data)
    settings = with_model(settings, model=model)
    chosen = DataSettings(source=data, validation=validation, kind="single", **reading).resolved()
    chosen = replace(chosen, validation_seed=seed_of(settings))
    return _train(folder, chosen, settings, progress, _material(chosen, settings, progress))


def _resume(folder: Path, data: Any, validation: Any, progress: Progress | None) -> TrainReport:
    stored = runs.read_settings(folder)
    if runs.is_finished(folder):
        return read_report(folder)
    chosen = DataSettings.from_dict(stored["data"], data, validation)
    settings = {**stored.get(FewShotClassifier.settings_table, {}), **stored.get("training", {})}
    return _train(folder, chosen, settings, progress, _material(chosen, settings, progress))


def _material(data: DataSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material:
    """Raises `SettingsError` for pairs of texts, which a sentence encoder does not read, before anything is computed."""
    material = read_material(data, settings, progress)
    if material.rows.texts and isinstance(material.rows.texts[0], tuple):
        raise SettingsError(
            f"{material.rows.name} has pairs of texts, and few-shot classifiers read single ones: name the column with text (--text)"
        )
    return material


def _train(folder: Path, data: DataSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material) -> TrainReport:
    """Trains, evaluates and writes all files of the run folder."""
    rows, validation = material.rows, material.validation
    classifier = FewShotClassifier(**{**settings, "progress": progress or False})
    _write_settings(folder, classifier, data, {name: settings[name] for name in _training_names() if name in settings})
    try:
        classifier.fit(rows.texts, rows.labels)
    except (CheckpointError, DataError, SettingsError, TrainingError):  # which the same settings meet again: there is nothing to resume
        runs.forget_unbegun(folder)
        raise
    _write_settings(folder, classifier, data, classifier.about_["training"] or classifier.training_config().to_dict())
    accounting = {"training": with_reading(classifier.accounting_, rows.accounting)}
    found: dict[str, Any] = {}
    if validation is not None:
        assessed = classifier.assess(validation.texts, validation.labels, results=folder / row_results.FILE)
        accounting["validation"] = with_reading(assessed.accounting, validation.accounting)
        judged = compare_with_baselines(classifier.task_, rows.texts, rows.labels, validation.texts, validation.labels)
        mistakes = [{**mistake, "row": int(validation.numbers[mistake["row"]])} for mistake in assessed.mistakes]
        found = {"baselines": judged, "calibration": None, "mistakes": mistakes}
    classifier.save(folder / "model", replace=True)
    taught = getattr(classifier.encoder_, "result_", None)
    report = TrainReport(
        folder=folder,
        headline=classifier.task_.metrics().headline,
        metrics=None if validation is None else assessed.metrics,
        accounting={name: seen.to_dict() for name, seen in accounting.items()},
        steps=0 if taught is None else taught.state.step,
        seconds=0.0 if taught is None else taught.state.seconds,
        findings=found,
    )
    write_json(folder / runs.INSPECTION, material.inspection.to_dict())
    write_files(report)
    return report


def _write_settings(folder: Path, classifier: FewShotClassifier, data: DataSettings, training: Mapping[str, Any]) -> None:
    own = {name: value for name, value in classifier.get_params().items() if name in classifier._own_names() and name != "progress"}
    runs.write_settings(folder, {classifier.settings_table: own, "training": training, "data": data.to_dict()})


def _training_names() -> list[str]:
    return [f.name for f in fields(TrainingConfig)]


# ---- explain


def explain(
    model: str | Path,
    text: str,
    *,
    target: Any = None,
    kind: Kind | None = None,
    layer: int | None = None,
    head: int | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explains a model's class of `text` (`FewShotClassifier.explain`); all else is as in `verbs.explain.explain`."""
    started = time.perf_counter()
    classifier: FewShotClassifier = load(model, device=device, precision=precision, threads=threads)
    explanation = explain_few_shot(classifier, text, target=target, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
