"""`bertworks zero-shot`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options
from bertworks.cli.texts import piped_lines, refuse_options_of_file
from bertworks.errors import SettingsError

_NOTHING = "there is nothing to sort: give a text in quotes, --file, or pipe texts in (cat texts.txt | bertworks zero-shot …)"


def zero_shot(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or hub name of a sentence encoder.", show_default=False)],
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts; without any and without --file, each line of standard input is one.", show_default=False),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            help='A label and its description, "sports=a text about sport" (repeat it for each); a label alone describes itself.',
            metavar="LABEL=TEXT",
        ),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Sort every row of a file, folder or data set.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table of --file here, with the labels and all similarities.")
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
    """Sort texts into labels that you describe, without any training: each gets the label whose description is nearest in meaning.

    An answer is a line: label, similarity to its description and the text, with tabs between them. The similarity is no probability.
    An empty text has no answer: of a file such rows are left out and counted.

    Example: bertworks zero-shot MODEL "The match was lost." --labels "sports=a text about sport" --labels "food=a text about food"
    """
    arguments = {k: v for k, v in locals().items() if k not in ("json", "texts", "labels")}
    if texts and file is not None:
        raise SettingsError("give either texts or --file, not both")
    if file is None:
        refuse_options_of_file(zero_shot, arguments)
        arguments["texts"] = texts or piped_lines(_NOTHING)
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.embeddings.zero_shot import zero_shot as run

    with show.row_bar("embedding") as progress:
        report = run(**arguments, labels=labels or [], progress=progress)
    if output is None:
        for answer in report.predictions:
            show.print_json(answer.to_dict()) if json else typer.echo(answer.line)
    elif json:
        show.print_json(report.to_dict())
        return
    console = Console(stderr=output is None)
    if output is not None:
        show.heading(console, f"{report.accounting.rows:,} rows → {report.output} ({report.seconds:.1f} s)")
        show.lines(console, [f"{name}: {count:,}" for name, count in report.counts.most_common(20)])
    show.lines(console, report.notes + report.accounting.lines()[output is None :])
