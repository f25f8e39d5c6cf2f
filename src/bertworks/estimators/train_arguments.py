"""What the `train` of every task does with its arguments before it reads any data."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bertworks.errors import SettingsError
from bertworks.estimators import runs
from bertworks.estimators.data_settings import DataSettings
from bertworks.training.config import TrainingConfig


def refuse_beside_resume(usual: DataSettings, reading: Mapping[str, Any], others: Mapping[str, Any], seeds: int = 1) -> None:
    """Raises `SettingsError` where anything is set beside `resume`: a run goes on with its own settings, and what is given
    would be passed over. `reading` are fields of `usual`, whose values mean nothing was said; of `others` None does."""
    changed = [name for name, value in others.items() if value is not None]
    changed += [name for name, value in reading.items() if value != getattr(usual, name)] + (["seeds"] if seeds != 1 else [])
    if changed:
        raise SettingsError(f"a run is resumed with its own settings: leave out {', '.join(changed)}")


def new_run_folder(output: str | Path | None, data: Any) -> Path:
    """The folder of a new run, by default the next free `runs/<name of the data>-<n>`. Raises `SettingsError` where it holds one."""
    folder = runs.free_name(Path("runs") / runs.source_name(data)) if output is None else Path(output)
    if (folder / runs.SETTINGS).exists():
        raise SettingsError(f"{folder} already holds a run: resume it (--resume), choose another folder, or delete it")
    return folder


def with_models(settings: Mapping[str, Any], model: str | Path | None) -> dict[str, Any]:
    """The settings with the model, it and a teacher that are folders by their whole path: a run may go on from elsewhere."""
    named = {"model": model, "teacher": settings.get("teacher")}
    given = {name: value for name, value in named.items() if value is not None}
    return {**settings, **{name: str(Path(value).absolute()) if Path(value).is_dir() else str(value) for name, value in given.items()}}


def seed_of(settings: Mapping[str, Any]) -> int:
    """The seed that is set, or the usual one. Raises `SettingsError` that lists all that is wrong with the training settings."""
    return TrainingConfig(**{f.name: settings[f.name] for f in fields(TrainingConfig) if f.name in settings}).seed


def checked_seeds(seeds: int) -> int:
    """Raises `SettingsError` where it is no number of trainings."""
    if not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"seeds is a number of trainings, at least 1, not {seeds!r}")
    return seeds
