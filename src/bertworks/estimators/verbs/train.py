"""`train`: from a source of labelled texts to a run folder with a finished model."""

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from bertworks.data.faults import OnBadRows
from bertworks.errors import BertworksError, SettingsError, nearest
from bertworks.estimators import runs
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import DataSettings
from bertworks.estimators.launched import launched
from bertworks.estimators.one_training import (
    Material,
    TrainReport,
    own_settings,
    read_material,
    read_report,
    train_in,
    train_one,
)
from bertworks.estimators.several_seeds import train_seeds
from bertworks.estimators.train_arguments import checked_seeds, new_run_folder, refuse_beside_resume, seed_of, with_model
from bertworks.estimators.verbs import kinds
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress


@launched
@kinds.dispatched(kinds.of_training)
def train(
    data: Any = None,
    *,
    task: str | None = None,
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

    `task` says what is to be learnt where the form of the data does not: classification (this), entities … (`kinds.KINDS`).
    Other tasks have a function like this one, with options of their own.

    Several processes that `torchrun` starts train together (`training/leading.py`), and each gets the report; `output` must be
    named then. As such a command is given once for many beginnings, it goes on with the run that it began in `output`.

    Raises `SettingsError` for wrong arguments, `DataError` for data that cannot be learnt from, `Interrupted` after
    Ctrl-C, once the state is saved.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "kind": kind, "shuffle_seed": shuffle_seed}
    reading |= {"limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    chosen = DataSettings(source=data, validation=validation, **reading)
    if resume is not None:
        refuse_beside_resume(DataSettings(), reading, {"output": output, "model": model, **settings}, seeds)
        return _resume(Path(resume), data, validation, progress)
    if data is None:
        raise SettingsError("there is nothing to train on: name a file, a folder or a data set")
    check_names(settings)
    checked_seeds(seeds)
    folder = new_run_folder(output, data)
    settings = with_model(settings, model=model)
    chosen = replace(chosen.resolved(), validation_seed=seed_of(settings))
    material = read_material(chosen, settings, progress)
    if seeds == 1:
        return train_one(folder, chosen, settings, progress, material)
    if material.validation is None:
        raise SettingsError("several seeds are compared on validation data, but there are none: name some, or hold out a part")
    runs.write_settings(folder, {"seeds": {"count": seeds}, "classifier": settings, "data": chosen.to_dict()})
    try:
        return _train_seeds(folder, chosen, settings, seeds, progress, material)
    except BertworksError:
        runs.forget_unbegun(folder)
        raise


def _train_seeds(
    folder: Path, data: DataSettings, settings: Mapping[str, Any], count: int, progress: Progress | None, material: Material
) -> TrainReport:
    def train(one: Path, seed: int) -> TrainReport:
        return train_in(one, data, {**settings, "seed": seed}, progress, material)

    return train_seeds(folder, train, settings.get("seed", 0), count, progress)


def _resume(folder: Path, data: Any, validation: Any, progress: Progress | None) -> TrainReport:
    settings = runs.read_settings(folder)
    if "study" in settings:
        kind = str(settings["study"].get("kind", "study")).replace("_", "-")
        raise SettingsError(f"{folder} holds several trainings: go on with them by the same command that began them (bertworks {kind} …)")
    if runs.is_finished(folder):
        return read_report(folder)
    chosen = DataSettings.from_dict(settings["data"], data, validation)
    material = read_material(chosen, settings.get("classifier", {}), progress)
    if "seeds" in settings:
        return _train_seeds(folder, chosen, settings["classifier"], settings["seeds"]["count"], progress, material)
    return train_one(folder, chosen, own_settings(settings), progress, material, resume=True)


def check_names(settings: Mapping[str, Any]) -> None:
    """Raises `SettingsError` for an argument that does not exist, before any data are read."""
    own = [name for name in TextClassifier._own_names() if name not in ("output", "progress", "kind")]
    known = [*own, *(f.name for f in fields(TrainingConfig))]
    for name in settings:
        if name not in known:
            raise SettingsError(f"train has no argument '{name}'.{nearest(name, [*inspect.signature(train).parameters, *known])}")
