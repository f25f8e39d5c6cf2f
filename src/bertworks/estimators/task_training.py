"""What `train` does for every task: one training, or several that differ in their seed only, in a run folder that is begun, gone on
with or read. A task says what is its own (`TaskTraining`)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from bertworks.data.inspection import Inspection
from bertworks.errors import BertworksError, DataError, SettingsError, nearest
from bertworks.estimators import runs
from bertworks.estimators.base import Estimator
from bertworks.estimators.data_settings import IN_MEMORY, DataSettings, named
from bertworks.estimators.fingerprints import fingerprint_of_rows
from bertworks.estimators.several_seeds import train_seeds
from bertworks.estimators.train_arguments import checked_seeds, new_run_folder, refuse_beside_resume, seed_of, with_models
from bertworks.estimators.train_report import TrainReport, read_report
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress

Rows = TypeVar("Rows")


@dataclass(frozen=True)
class Material(Generic[Rows]):
    """The rows of a training, and what a look at them found."""

    rows: Rows
    validation: Rows | None
    inspection: Inspection

    @property
    def fingerprints(self) -> dict[str, str]:
        """By which trainings that go on know that their rows are the same."""
        return {name: fingerprint_of_rows(rows) for name, rows in vars(self).items() if name != "inspection" and rows is not None}

    def require_same(self, stored: Mapping[str, Any], folder: Path) -> None:
        """Raises `DataError` where the trainings in `folder` were begun with other rows."""
        odd = [name for name, print_ in self.fingerprints.items() if stored.get(name, print_) != print_]
        if odd:
            what = f"{folder} holds trainings on other data (changed since: {', '.join(odd)})"
            raise DataError(f"{what}: choose another folder, or delete it")


@dataclass(frozen=True)
class TaskTraining:
    """What tells the `train` of one task from that of another."""

    task: str
    """What `--task` calls it."""
    estimator: type[Estimator]
    data: type[DataSettings]
    read: Callable[[Any], tuple[Any, Any, list[str]]]
    """From settings of the data to rows to train on, rows to validate on, and what a person should know about them, in lines."""
    inspect: Callable[[Any, Any, Mapping[str, Any]], Inspection]
    """The look at the two sets of rows, with the settings of the training."""
    train_one: Callable[..., TrainReport]
    """Trains, evaluates and writes all files of the run folder: (folder, data settings, settings, progress, material, resume=)."""
    report: type[TrainReport] = TrainReport
    found: tuple[str, ...] = ()
    """Parameters of the estimator that the data decide, again where a run goes on."""
    validated: Callable[[Any, Any], bool] = lambda data, rows: True
    """Whether rows like those that are trained on, of such data settings, can be validated on."""
    implied: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda settings: {}
    """Fields of the data settings that the settings of a training decide, where they are not given."""
    named_by: Callable[[Any], Any] = lambda data: data
    """What of its data a run folder is named by that was given no name."""

    def train(
        self,
        data: Any,
        reading: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        output: str | Path | None,
        model: str | Path | None,
        validation: Any,
        resume: str | Path | None,
        seeds: int,
        progress: Progress | None,
    ) -> TrainReport:
        """See `verbs.train.train`; `reading` are fields of the data settings."""
        if resume is not None:
            refuse_beside_resume(self.data(), reading, {"output": output, "model": model, **settings}, seeds)
            return self._resume(Path(resume), data, validation, progress)
        if data is None:
            raise SettingsError("there is nothing to train on: name a file, a folder or a data set")
        self.check_names(settings, [*reading, "validation", "seeds"])
        checked_seeds(seeds)
        folder = new_run_folder(output, self.named_by(data))
        settings = with_models(settings, model)
        chosen = self.data_settings(data, {"validation": validation, **reading}, settings)
        material = self.material(chosen, settings, progress)
        if seeds == 1:
            return self.train_one(folder, chosen, settings, progress, material)
        if material.validation is None:
            raise SettingsError(f"several seeds are compared on validation data, but there are none: {how_to_validate(chosen)}")
        about = {"count": seeds, **material.fingerprints}
        runs.write_settings(folder, {"seeds": about, self.estimator.settings_table: settings, "data": chosen.to_dict()})
        try:
            return self._train_seeds(folder, chosen, settings, seeds, progress, material)
        except BertworksError:
            runs.forget_unbegun(folder)
            raise

    def _resume(self, folder: Path, data: Any, validation: Any, progress: Progress | None) -> TrainReport:
        stored = runs.read_settings(folder)
        if "study" in stored:
            kind = str(stored["study"].get("kind", "study")).replace("_", "-")
            raise SettingsError(
                f"{folder} holds several trainings: go on with them by the same command that began them (bertworks {kind} …)"
            )
        stored_validation = stored["data"].get("validation")
        if validation is not None and stored_validation not in (IN_MEMORY, named(validation)):
            raise SettingsError("a run is resumed with its own validation data: leave out validation (--validation)")
        if runs.is_finished(folder):
            return self._finished(folder)
        chosen, settings = self.data.from_dict(stored["data"], data, validation), self._own(stored)
        material = self.material(chosen, settings, progress)
        if "seeds" in stored:
            material.require_same(stored["seeds"], folder)
            return self._train_seeds(folder, chosen, settings, stored["seeds"]["count"], progress, material)
        return self.train_one(folder, chosen, settings, progress, material, resume=True)

    def material(self, data: DataSettings, settings: Mapping[str, Any], progress: Progress | None) -> Material[Any]:
        """Reads the rows and looks through them. Raises `DataError` for data with which a training cannot be right."""
        rows, validation, lines = self.read(data)
        if progress is not None:
            progress.facts("data", lines)
        found = self.inspect(rows, validation, settings)
        if progress is not None:
            progress.facts("inspection", [f"{f.level}: {f.title.lower()}: {f.message}" for f in found.findings if f.level != "note"])
        found.raise_if_wrong()
        return Material(rows, validation, found)

    def _train_seeds(
        self,
        folder: Path,
        data: DataSettings,
        settings: Mapping[str, Any],
        count: int,
        progress: Progress | None,
        material: Material[Any],
    ) -> TrainReport:
        def train(one: Path, seed: int) -> TrainReport:
            return self.train_in(one, data, {**settings, "seed": seed}, progress, material)

        return train_seeds(folder, train, settings.get("seed", 0), count, progress)

    def train_in(
        self, folder: Path, data: DataSettings, settings: Mapping[str, Any], progress: Progress | None, material: Material[Any]
    ) -> TrainReport:
        """One of several trainings: read where it is finished, gone on with where it was begun, else begun."""
        if runs.is_finished(folder):
            return self._finished(folder)
        if (folder / runs.SETTINGS).exists():
            return self.train_one(folder, data, self._own(runs.read_settings(folder)), progress, material, resume=True)
        return self.train_one(folder, data, settings, progress, material)

    def data_settings(self, source: Any, reading: Mapping[str, Any], settings: Mapping[str, Any]) -> DataSettings:
        """Where the rows of a training with these settings come from; `reading` are fields of the data settings."""
        more = {name: value for name, value in self.implied(settings).items() if reading.get(name) is None}
        return replace(self.data(source=source, **{**reading, **more}).resolved(), validation_seed=seed_of(settings))

    @property
    def known(self) -> list[str]:
        """The names of settings: parameters of the estimator that a run does not set itself, and fields of `TrainingConfig`."""
        own = [name for name in self.estimator._own_names() if name not in ("output", "progress", *self.found)]
        return [*own, *(field.name for field in fields(TrainingConfig))]

    def check_names(self, settings: Mapping[str, Any], reading: Iterable[str], verb: str = "train") -> None:
        """Raises `SettingsError` for a setting that does not exist, before any data are read; `reading`, arguments of the verb, may have
        been meant."""
        known = self.known
        for name in settings:
            if name not in known:
                hint = nearest(name, [*reading, "output", *known]) or " Leave it out"
                raise SettingsError(f"{verb} has no option '{name}' for the task '{self.task}'.{hint}")

    def _finished(self, folder: Path) -> TrainReport:
        return self.report(**vars(read_report(folder)))

    def _own(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What the estimator of a run was made with, as its config.toml says."""
        own = {name: value for name, value in stored.get(self.estimator.settings_table, {}).items() if name not in self.found}
        return {**own, **stored.get("training", {})}


def how_to_validate(data: DataSettings) -> str:
    """What to do where there is nothing to validate on."""
    return "name some" if data.validation_fraction > 0 else "name some, or hold out a part"
