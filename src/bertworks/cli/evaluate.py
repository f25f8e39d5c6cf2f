"""`bertworks evaluate`."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options

_OF_SOME_TASKS = ("choices", "first_choice", "corpus", "relevance", "results")
"""Options that not every task has."""


def evaluate(
    model: Annotated[str, typer.Argument(help="Run folder or model folder.", show_default=False)],
    data: Annotated[str, typer.Argument(help="Labelled data: a file, folder or data set.", show_default=False)],
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    label: options.LabelColumn = None,
    choices: options.ChoiceColumns = None,
    first_choice: options.FirstChoice = None,
    split: options.Split = None,
    shuffle_seed: options.ShuffleSeed = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="Sentence encoders: texts in which DATA, queries, are to find what is relevant.")
    ] = None,
    relevance: Annotated[
        str | None, typer.Option("--relevance", help="Sentence encoders: which text is relevant to which query, by their ids.")
    ] = None,
    mistakes: Annotated[int, typer.Option("--mistakes", help="Show so many of the wrong answers that the model is surest of.")] = 3,
    results: Annotated[Path | None, typer.Option("--results", help="Write every answer beside its label to this Parquet file.")] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Evaluate a model on labelled data.

    Example: bertworks evaluate runs/reviews-1 test.csv
    """
    arguments = {k: v for k, v in locals().items() if k != "json" and not (k in _OF_SOME_TASKS and v is None)}
    from rich.console import Console

    from bertworks.cli import output as show

    verbs = "bertworks.estimators.verbs.evaluate" if corpus is None and relevance is None else "bertworks.estimators.embeddings.verbs"
    run = import_module(verbs).evaluate

    with show.row_bar("evaluating") as progress:
        report = run(**arguments, progress=progress)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.lines(console, report.facts + report.accounting.lines()[:1])
    show.print_metrics(console, f"{report.metrics['rows']:,} rows", report.metrics, report.headline)
    show.print_mistakes(console, report.mistakes)
