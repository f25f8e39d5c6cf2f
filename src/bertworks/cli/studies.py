"""`bertworks tune`, `cross-validate` and `learning-curve`: several trainings, one table."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.options import with_options_of
from bertworks.cli.train import parse_weights, train
from bertworks.errors import SettingsError

_ELSEWHERE = ("data", "output", "resume", "seeds", "json")
_NO_VALIDATION = ("validation", "validation_split", "validation_fraction")

_Data = Annotated[str, typer.Argument(help="Labelled data, as for train.", show_default=False)]


def _output(usual: str) -> Any:
    return Annotated[Path | None, typer.Option("--output", "-o", help=f"Folder of the study; by default runs/NAME-{usual}.")]


@with_options_of(train, without=_ELSEWHERE)
def tune(
    data: _Data,
    output: _output("tune") = None,  # type: ignore[valid-type]
    search: Annotated[str, typer.Option("--search", help="grid, or optuna (an extra package).")] = "grid",
    grid: Annotated[str, typer.Option("--grid", help="small, paper, or values to try: learning_rate=1e-4,5e-5;epochs=2,3")] = "small",
    trials: Annotated[int | None, typer.Option("--trials", help="Train so many times at most; 12 for optuna.")] = None,
    json: options.Json = False,
    **settings: Any,
) -> None:
    """Search for good settings: train with several, keep the best model, show the table.

    The grid "paper" is that of the BERT paper (learning rate, batch size, epochs); "small" has the rates of small models.
    After Ctrl-C, the same command goes on.

    Example: bertworks tune reviews.csv --grid "learning_rate=1e-4,5e-5;epochs=2,4"
    """
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.tune import GRIDS
    from bertworks.estimators.verbs.tune import tune as run

    values = grid if grid in GRIDS or "=" not in grid else _grid(grid)
    found = run(data, output=output, search=search, grid=values, trials=trials, progress=TerminalProgress(), **_given(settings))
    _show(found, json, strong=found.best.name)


@with_options_of(train, without=(*_ELSEWHERE, *_NO_VALIDATION))
def cross_validate(
    data: _Data,
    output: _output("cross-validation") = None,  # type: ignore[valid-type]
    folds: Annotated[int, typer.Option("--folds", help="Number of parts, each of which is left out once.")] = 5,
    json: options.Json = False,
    **settings: Any,
) -> None:
    """Cross-validation: every row is answered once by a model that was not trained on it.

    Shows the mean and deviation of the metrics, and for classification the rows whose label looks wrong. After Ctrl-C, the
    same command goes on.

    Example: bertworks cross-validate reviews.csv --folds 5
    """
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.cross_validate import cross_validate as run

    _show(run(data, output=output, folds=folds, progress=TerminalProgress(), **_given(settings)), json)


@with_options_of(train, without=_ELSEWHERE)
def learning_curve(
    data: _Data,
    output: _output("learning-curve") = None,  # type: ignore[valid-type]
    shares: Annotated[str, typer.Option("--shares", help="Shares of the training rows, with commas in between.")] = "0.1,0.25,0.5,1",
    json: options.Json = False,
    **settings: Any,
) -> None:
    """Learning curve: what more rows would bring. Trains on growing shares of the rows. After Ctrl-C, the same command goes on.

    Example: bertworks learning-curve reviews.csv --shares 0.25,0.5,1
    """
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.learning_curve import learning_curve as run

    parts = _numbers(shares, "--shares")
    _show(run(data, output=output, shares=parts, progress=TerminalProgress(), **_given(settings)), json)


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """The options of `train` that were given."""
    chosen = options.given(settings, train)
    if chosen.get("class_weights") is not None:
        chosen["class_weights"] = parse_weights(chosen["class_weights"])
    return chosen


def _grid(text: str) -> dict[str, list[float]]:
    """`learning_rate=1e-4,5e-5;epochs=2,3` as a dictionary; whole numbers stay whole."""
    parts = (part.split("=", 1) for part in text.split(";") if part.strip())
    grid = {part[0].strip().replace("-", "_"): _numbers(part[-1], "--grid") for part in parts}
    return {name: [int(v) if v == int(v) and name != "epochs" else v for v in values] for name, values in grid.items()}


def _numbers(text: str, option: str) -> list[float]:
    try:
        values = [float(value) for value in text.split(",") if value.strip()]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise SettingsError(f"{option} takes numbers with commas in between, not '{text}'")
    return values


def _show(found: Any, json: bool, strong: str | None = None) -> None:
    from rich.console import Console

    from bertworks.cli import output as show

    if json:
        show.print_json(found.to_dict())
        return
    console, table = Console(), found.table()
    show.heading(console, f"{len(found.trials)} trainings in {found.seconds:,.0f} s; everything is in {found.folder}")
    show.print_columns(console, table, strong=next((i for i, row in enumerate(table) if row[0] == strong), None))
    show.lines(console, ["", *found.lines])
