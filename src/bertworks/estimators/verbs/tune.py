"""`tune`: a small search for settings, each trial a training of its own."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bertworks.errors import MissingExtraError, SettingsError, nearest
from bertworks.estimators import runs
from bertworks.estimators.studies import Study, StudyReport, Trial, TrialResult, headline_of, shown, study_folder, study_settings
from bertworks.estimators.task_training import TaskTraining
from bertworks.estimators.train_arguments import with_models
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress

PAPER_GRID: dict[str, tuple[Any, ...]] = {
    "learning_rate": (5e-5, 3e-5, 2e-5),
    "batch_size": (16, 32),
    "epochs": (2.0, 3.0, 4.0),
}
"""What Devlin et al. (2019, appendix A.3) chose from."""
SMALL_GRID: dict[str, tuple[Any, ...]] = {**PAPER_GRID, "learning_rate": (3e-4, 1e-4, 5e-5)}
"""The same with the learning rates that small models want (Turc et al. 2019, appendix A)."""
GRIDS = {"paper": PAPER_GRID, "small": SMALL_GRID}
SEARCHES = ("grid", "optuna")
_USUAL_TRIALS = 12
_RANGES: dict[str, tuple[float, float]] = {"learning_rate": (1e-5, 5e-4)}
_CHOICES: dict[str, tuple[Any, ...]] = {"batch_size": (8, 16, 32, 64), "epochs": (2.0, 3.0, 4.0, 6.0)}


def tune(
    data: Any,
    *,
    task: str | None = None,
    output: str | Path | None = None,
    search: str = "grid",
    grid: str | Mapping[str, Sequence[Any]] = "small",
    trials: int | None = None,
    model: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> StudyReport:
    """Trains with several settings on the same rows, and keeps the model that is best on the validation rows.

    `search` is "grid", every combination of `grid` ("paper": learning rate, batch size and epochs of Devlin et al. 2019,
    "small": the same with the rates of small models; or settings with the values to try), of which `trials` takes the
    first so many; or "optuna", `trials` (by default 12) of a tree-structured Parzen estimator (Bergstra et al. 2011).
    `task` and `settings` are those of `train`: for text classification fields of `DataSettings`, parameters of `TextClassifier` and of
    `TrainingConfig`, the same in every trial; what is set is not searched for. A study that was interrupted goes on with the same call;
    its folder is by default `runs/<name of the data>-tune`, with a table in trials.csv and the best model in `model`.

    Choosing the best of many flatters it: evaluate the model on rows that took no part.

    Raises `SettingsError` for settings that do not exist or cannot be tried, `DataError` as `train` does.
    """
    if search not in SEARCHES:
        raise SettingsError(f"search is 'grid' or 'optuna', not {search!r}.{nearest(search, SEARCHES)}")
    if trials is not None and (not isinstance(trials, int) or trials < 1):
        raise SettingsError(f"trials is a number of trainings, at least 1, not {trials!r}")
    training, reading, usual = study_settings("tune", data, task, model, settings)
    seed, count = int(usual.get("seed", 0)), trials or _USUAL_TRIALS
    about: dict[str, Any] = {"kind": "tune", "search": search, "trials": trials}
    done: list[TrialResult] = []
    if search == "grid":
        tried = _grid(grid, training, usual)
        about["grid"] = {name: list(values) for name, values in tried.items()}
        proposals: Iterator[dict[str, Any]] = itertools.islice(_combinations(tried), trials)
    else:
        _require_optuna()
        about["trials"] = count
        spaces = _unset({**_RANGES, **_CHOICES}, usual)
        proposals = (_proposal(done, seed, spaces) for _ in range(count))
    study = Study(study_folder(output, data, "tune"), training, reading, usual, about, progress=progress)
    study.run(
        (
            Trial(f"trial-{i:03d}", differs, with_models({**usual, **differs}, differs.get("model")), study.material)
            for i, differs in enumerate(proposals, 1)
        ),
        done,
    )
    best = max(done, key=lambda trial: trial.score)
    runs.copy_model(best.folder / "model", study.folder / "model")
    headline = headline_of(done)
    told = ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in best.differs.items())
    lines = [f"best of {len(done)}: {best.name} ({told}), {headline.replace('_', ' ')} {best.score:.4f}"]
    fixed = [f"{name.replace('_', ' ')} {shown(usual[name])}" for name in PAPER_GRID if name in usual and name not in best.differs]
    if fixed and (search == "optuna" or isinstance(grid, str)):
        lines.append(f"not searched for, as it was set: {', '.join(fixed)}")
    if len(done) > 1:
        lines.append("the best of several trials looks better than it is: evaluate it on rows that took no part")
    return study.report(done, headline, lines)


def _grid(grid: str | Mapping[str, Sequence[Any]], training: TaskTraining, usual: Mapping[str, Any]) -> Mapping[str, Sequence[Any]]:
    if isinstance(grid, str):
        if grid not in GRIDS:
            raise SettingsError(f"there is no grid '{grid}'.{nearest(grid, GRIDS)} There are: {', '.join(GRIDS)}")
        return _unset(GRIDS[grid], usual)
    if not grid or not all(grid.values()):
        raise SettingsError("a grid needs a setting with values to try, as {'learning_rate': [1e-4, 5e-5]}")
    for name in grid:
        if name not in training.known:
            raise SettingsError(f"there is no setting '{name}' to try.{nearest(name, training.known)}")
        if training.implied({name: True}):
            raise SettingsError(f"{name} decides what is learnt, which is the same in every trial: take it out of the grid")
        if name in usual:
            raise SettingsError(f"{name} is set to {shown(usual[name])}, and the grid would try other values: leave out one of the two")
    for differs in _combinations(grid):
        TrainingConfig(**{f.name: differs[f.name] for f in fields(TrainingConfig) if f.name in differs})
    return grid


def _unset(tried: Mapping[str, Sequence[Any]], usual: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """What is to be tried, less the settings that have a value. Raises `SettingsError` where none is left."""
    left = {name: values for name, values in tried.items() if name not in usual}
    if not left:
        raise SettingsError(f"{', '.join(tried)} are all set, so there is nothing to search for: leave out one of them")
    return left


def _combinations(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination, the last setting changing fastest."""
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def _require_optuna() -> None:
    if find_spec("optuna") is None:
        raise MissingExtraError.for_package("optuna", "tune", "search='optuna'")


def _proposal(done: Sequence[TrialResult], seed: int, ranges: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What a tree-structured Parzen estimator tries next of some `ranges`, a function of the results so far and of the seed: so a study
    that is resumed proposes what it would have proposed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces: dict[str, Any] = {name: optuna.distributions.CategoricalDistribution(values) for name, values in ranges.items()}
    spaces |= {name: optuna.distributions.FloatDistribution(*_RANGES[name], log=True) for name in ranges if name in _RANGES}
    sampler = optuna.samplers.TPESampler(seed=seed * 10_007 + len(done), n_startup_trials=4)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for result in done:
        study.add_trial(optuna.trial.create_trial(params=result.differs, distributions=spaces, value=result.score))
    proposed = study.ask(spaces).params
    return {name: float(f"{value:.3g}") if name in _RANGES else value for name, value in proposed.items()}  # as it is shown
