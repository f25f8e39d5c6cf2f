"""`bertworks embed`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_lines, refuse_options_of_file
from bertworks.errors import SettingsError

_NOTHING = "there is nothing to embed: give a text in quotes, --file, or pipe texts in (cat texts.txt | bertworks embed …)"


def embed(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or hub name.", show_default=False)],
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts; without any and without --file, each line of standard input is one.", show_default=False),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Embed a column of a file, folder or data set.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the vectors here: .npy, or .parquet with the other columns of the file."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="What stands before each text: the name of one of the model's prompts, or a text.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16, int8 or binary (a bit a feature).", metavar="NAME")] = "float32",
    dimensions: Annotated[int | None, typer.Option("--dimensions", help="Keep so many features, of models trained for that.")] = None,
    overflow: Annotated[
        str | None,
        typer.Option(
            "--overflow",
            help="Texts longer than the model reads; as it was saved, else in windows.",
            metavar="window|head_tail|truncate|error",
        ),
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
    """Turn texts into vectors that are near where texts mean the same.

    Without --output each text is printed as a line of JSON with its vector.

    Examples: bertworks embed runs/pairs-1 "A fine day." · bertworks embed MODEL --file docs.csv --text body -o vectors.parquet ·
    cat lines.txt | bertworks embed MODEL -o vectors.npy
    """
    if texts and file is not None:
        raise SettingsError("give either texts or --file, not both")
    arguments = {k: v for k, v in locals().items() if k not in ("json", "texts", "file")}
    if file is not None and output is None and not json:
        raise SettingsError("the vectors of a file are written to a file: name it with --output, or ask for --json")
    if file is None:
        refuse_options_of_file(embed, arguments)
        rows = texts or piped_lines(_NOTHING)
        arguments["texts"] = rows
    else:
        arguments["file"] = file
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.embeddings.verbs import embed as run
    from bertworks.estimators.embeddings.verbs import rounded

    with show.row_bar("embedding") as progress:
        report = run(**arguments, progress=progress)
    if report.vectors is not None and file is None:
        for row, vector in zip(rows, rounded(report.vectors), strict=True):
            show.print_json({"text": row, "vector": vector})
        show.lines(Console(stderr=True), report.notes + report.accounting.lines()[1:])
        return
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.heading(console, f"{report.accounting.rows:,} texts → {report.output} ({report.width:,} values each, {report.seconds:.1f} s)")
    show.lines(console, report.notes + report.accounting.lines())
