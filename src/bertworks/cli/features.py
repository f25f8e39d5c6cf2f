"""`bertworks features`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bertworks.cli import options
from bertworks.cli.texts import refuse_options_of_file
from bertworks.errors import SettingsError


def features(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; or --file.", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model folder, run folder or hub name; by default the encoder of bertworks.")
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Read a column of a file, folder or data set.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the features here: .npy, or .parquet with the other columns of the file.")
    ] = None,
    layers: Annotated[
        str, typer.Option("--layers", metavar="NUMBERS", help="Layers, with commas between them: 0 is the embedding, -1 the last layer.")
    ] = "-1",
    combine: Annotated[str, typer.Option("--combine", metavar="concat|sum|mean", help="How several layers become one vector.")] = "concat",
    pooling: Annotated[str, typer.Option("--pooling", metavar="mean|cls|max", help="How tokens become one vector.")] = "mean",
    tokens: Annotated[
        bool,
        typer.Option("--tokens", help="A vector for each token instead of each text; a Parquet file has row, token, start, end, vector."),
    ] = False,
    overflow: Annotated[
        str, typer.Option("--overflow", metavar="window|head_tail|truncate|error", help="Texts longer than the model reads.")
    ] = "window",
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Longest sequence; by default the model's limit.")] = None,
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
    """Hidden states of a frozen encoder as features, for another model to learn from.

    BERT's paper found the last four layers, concatenated, the best features: --layers=-4,-3,-2,-1. For vectors that say how
    alike texts are, see embed.

    Examples: bertworks features --file reviews.csv --text review -o features.parquet ·
    bertworks features --file reviews.csv --text review --tokens -o tokens.parquet
    """
    arguments: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("json", "texts", "file", "layers")}
    if texts and file is not None:
        raise SettingsError("give either texts or --file, not both")
    if file is None:
        refuse_options_of_file(features, arguments)
    if not texts and file is None:
        raise SettingsError("there is nothing to read: give texts in quotes, or --file")
    if file is not None and output is None and not json:
        raise SettingsError("the features of a file are written to a file: name it with --output, or ask for --json")
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.features import features as run

    with show.row_bar("reading") as progress:
        report = run(**arguments, layers=_numbers(layers), texts=texts or None, file=file, progress=progress)
    if report.tokens is not None and not json:
        for row, of_text in zip(texts or [], report.tokens, strict=True):
            rounded = [{**token, "features": [round(value, 6) for value in token["features"]]} for token in of_text.to_list()]
            show.print_json({"text": row, "tokens": rounded})
        show.lines(Console(stderr=True), report.accounting.lines()[1:])
        return
    if report.features is not None and not json:
        for row, values in zip(texts or [], report.features.tolist(), strict=True):
            show.print_json({"text": row, "features": [round(value, 6) for value in values]})
        show.lines(Console(stderr=True), report.accounting.lines()[1:])
        return
    if json:
        show.print_json(report.to_dict())
        return
    console, what = Console(), "a token" if tokens else "each"
    show.heading(console, f"{report.accounting.rows:,} texts → {report.output} ({report.width:,} features {what}, {report.seconds:.1f} s)")
    show.lines(console, report.notes + report.accounting.lines())


def _numbers(layers: str) -> list[int]:
    try:
        return [int(number) for number in layers.split(",")]
    except ValueError:
        raise SettingsError(f"--layers are whole numbers with commas between them, such as -1 or -4,-3,-2,-1; not '{layers}'") from None
