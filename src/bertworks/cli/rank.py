"""`bertworks rank`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def rank(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or hub name of a classifier of pairs.", show_default=False)],
    query: Annotated[str, typer.Argument(help="What the passages are to go with.", show_default=False)],
    file: Annotated[str, typer.Option("--file", "-f", help="The passages: a file, folder or data set.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows of --file here, the best first, with their rank and score.")
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", "-k", min=1, help="Keep the best so many; by default all.")] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Label that says that a passage fits; of two labels the second, unless said.", metavar="LABEL"),
    ] = None,
    text: options.TextColumn = None,
    split: options.Split = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Sort passages by how well they go with a query, by a model of pairs that reads each of them together with it.

    A line is a passage: its score, the number of its row, and its text, with tabs between them. To find some among many, search
    first, and rank what is found.

    Example: bertworks rank runs/pairs-1 "who built it" --file passages.csv --top-k 5
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.rank import rank as run

    report = run(**arguments)
    if output is None:
        for row in report.ranked:
            show.print_json(row.to_dict()) if json else typer.echo(row.line)
    elif json:
        show.print_json(report.to_dict())
        return
    console = Console(stderr=output is None)
    if output is not None:
        show.heading(
            console, f"{report.accounting.rows:,} passages, {len(report.ranked):,} kept → {report.output} ({report.seconds:.1f} s)"
        )
    show.lines(console, report.notes + report.accounting.lines()[output is None :])
