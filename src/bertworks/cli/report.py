"""`bertworks report`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    card: Annotated[bool, typer.Option("--card", help="Write the model's card (model/README.md) anew too.")] = False,
    json: options.Json = False,
) -> None:
    """Write the report of a run anew.

    report.html needs no other file and no network; report.md says the same, with its pictures in report/.

    Example: bertworks report runs/reviews-1
    """
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.report import report as write

    written = write(run, card=card)
    if json:
        show.print_json(written.to_dict())
        return
    console = Console()
    show.heading(console, "written")
    show.lines(console, [str(file) for file in written.files])
