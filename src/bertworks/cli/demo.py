"""`bertworks demo`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder; the next free name where it exists.")] = Path("runs/demo"),
    model: Annotated[str | None, typer.Option("--model", "-m", help="Encoder to start from: a folder or hub name.")] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Passes over the reviews.")] = None,
    device: options.Device = "auto",
    precision: options.TrainingPrecision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Train, test and use a small classifier, offline."""
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.demo import demo as run

    console = Console()
    if not json:
        show.lines(console, ["Fine-tuning a small encoder on 752 labelled reviews, then testing it on 251 others."])
    settings = {"model": model, "epochs": epochs, "device": device, "precision": precision, "threads": threads}
    report = run(output, progress=TerminalProgress(), **{k: v for k, v in settings.items() if v is not None})
    if json:
        show.print_json(report.to_dict())
        return
    show.print_metrics(console, f"test ({report.test.metrics['rows']} reviews never seen)", report.test.metrics, report.test.headline)
    show.heading(console, f"“{report.prediction.text}” → {report.prediction.prediction} ({report.prediction.score:.1%})")
    show.heading(console, f"done in {report.seconds:.0f} s")
    folder = report.training.folder
    places = {
        "the run": folder,
        "its model": folder / "model",
        "its report": folder / "report.html",
        "its settings": folder / "config.toml",
    }
    show.lines(console, [f"{name + ':':14}{path}" for name, path in places.items()])
    show.heading(console, "Try next")
    show.lines(console, report.next_steps)
