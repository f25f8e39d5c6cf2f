"""`bertworks probe`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def probe(
    model: Annotated[str, typer.Argument(help="Model folder, run folder or hub name.", show_default=False)],
    data: Annotated[Path, typer.Option("--data", help="Folder with the tasks' folders: SST-2, MRPC, STS-B …", show_default=False)],
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="Only these, with commas in between; all by default.", metavar="NAMES")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Train each task so many times, with the seeds 0, 1 …")] = 1,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Take so many training rows of each task, to try things out.", metavar="ROWS")
    ] = None,
    floor: Annotated[
        bool, typer.Option("--floor/--no-floor", help="Train the same shape with random weights too, in the same way.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results; by default runs/NAME-probe, of the model's name.")
    ] = None,
    device: options.Device = "auto",
    precision: options.TrainingPrecision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Probe what an encoder has learnt: fine-tune it on small tasks with fixed settings, beside published models.

    The tasks are sst2, mrpc, stsb, rte, cola (GLUE's layout, or any tables train and dev in folders of these names, with the
    usual names of columns) and agnews-features (train and test in ag_news: a logistic regression on frozen features of 1,200
    descriptions). Those whose files are missing are skipped and named. The table has the published figures of BERT-Tiny to
    BERT-Medium beside it, which are of GLUE's test sets, and what the same shape reaches without pretraining.

    What is finished is kept: after Ctrl-C the same command goes on, and more seeds or tasks only train what is not there.

    Example: bertworks probe runs/pretraining-1 --data glue --seeds 5
    """
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.progress import TerminalProgress
    from bertworks.estimators.verbs.probe import probe as run

    names = None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    settings = {"seeds": seeds, "limit": limit, "floor": floor, "device": device, "precision": precision, "threads": threads}
    report = run(model, data, tasks=names, output=output, progress=TerminalProgress(), **settings)
    if json:
        show.print_json(report.to_dict())
        return
    console, labels = Console(), report.label_table()
    show.heading(console, f"{report.model}, percent{', mean ± sd of ' + str(seeds) + ' seeds' if seeds > 1 else ', one seed'}")
    show.print_columns(console, report.table())
    if labels:
        show.heading(console, "AG News by frozen features")
        show.print_columns(console, labels)
    show.lines(console, ["", *report.lines, f"everything is in {report.folder}"])
