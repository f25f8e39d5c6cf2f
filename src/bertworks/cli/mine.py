"""`bertworks mine`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def mine(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or hub name of a sentence encoder.", show_default=False)],
    file: Annotated[str, typer.Argument(help="The texts: a file, folder or data set.", show_default=False)],
    against: Annotated[
        str | None, typer.Option("--against", help="Find pairs between FILE and this one: translations, of a model of several languages.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the pairs here, as train --task embeddings --objective ranking reads them.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", min=1, help="Keep the best so many pairs; by default 1000 of one file, all of two.")
    ] = None,
    least: Annotated[
        float | None, typer.Option("--least", help="Lowest similarity of a pair, 0 by default; of two files the lowest margin, 1.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=1, help="Two files: nearest texts on the other side that a margin compares with.")
    ] = 4,
    text: options.TextColumn = None,
    against_text: Annotated[
        str | None,
        typer.Option("--against-text", help="Column of the text in --against.", metavar="COLUMN", rich_help_panel="Data"),
    ] = None,
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
    """Find pairs of texts that say the same: the nearest within a file, or translations between two.

    A line is a pair: its score, the numbers of the two rows, and the two texts, with tabs between them. The score within a file is the
    similarity; of two files it is the margin of Artetxe & Schwenk 2019, and each text is in one pair at most. --split, --limit and the
    like hold for both files; rows without a text are left out and counted.

    Examples: bertworks mine MODEL questions.csv --least 0.8 · bertworks mine MODEL english.txt --against german.txt --least 1.05
    --output pairs.csv · bertworks train pairs.csv --task embeddings --objective ranking
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.embeddings.mining import mine as run

    with show.row_bar("embedding") as progress:
        report = run(**arguments, progress=progress)
    if output is None:
        for pair in report.pairs:
            show.print_json(pair.to_dict()) if json else typer.echo(pair.line)
    elif json:
        show.print_json(report.to_dict())
        return
    console = Console(stderr=output is None)
    if output is not None:
        show.heading(console, f"{len(report.pairs):,} pairs of {report.accounting.rows:,} texts → {report.output} ({report.seconds:.1f} s)")
    show.lines(console, report.notes + report.accounting.lines()[output is None :])
    if output is not None and report.pairs:
        show.lines(console, [f"bertworks train {shlex.quote(str(report.output))} --task embeddings --objective ranking"])
