"""`bertworks evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options

_OF_SOME_TASKS = ("choices", "first_choice", "scheme", "objective", "corpus", "relevance", "max_tokens", "rate", "seed", "results")
"""Options that not every task has."""


def evaluate(
    model: Annotated[str, typer.Argument(help="Run folder or model folder.", show_default=False)],
    data: Annotated[
        str, typer.Argument(help="Labelled data: a file, folder or data set. Pretrained models: text, or a corpus.", show_default=False)
    ],
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    label: options.LabelColumn = None,
    choices: options.ChoiceColumns = None,
    first_choice: options.FirstChoice = None,
    scheme: options.Scheme = None,
    split: options.Split = None,
    shuffle_seed: options.ShuffleSeed = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="Sentence encoders: judge by scores, or by ranking (of partners); seen from DATA."),
    ] = None,
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="Sentence encoders: texts in which DATA, queries, are to find what is relevant.")
    ] = None,
    relevance: Annotated[
        str | None, typer.Option("--relevance", help="Sentence encoders: which text is relevant to which query, by their ids.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=6, help="Pretrained models: length of the sequences that text is cut into; 128.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Pretrained models: share of the tokens that are hidden; 0.15.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Pretrained models: decides which tokens are hidden, and which pairs are made; 0.")
    ] = None,
    mistakes: Annotated[int, typer.Option("--mistakes", help="Show so many of the wrong answers that the model is surest of.")] = 3,
    results: Annotated[
        Path | None, typer.Option("--results", help="Write every answer beside its label to this table (.parquet, .csv, .tsv, .jsonl).")
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Evaluate a model on labelled data, or a pretrained model on text.

    A pretrained model (of pretrain, or bertworks-mini) is judged by how well it guesses hidden tokens: loss in nats, perplexity and
    accuracy, at the same places for every model with its tokenizer; and, if it has a head for that, by pairs of texts: does the
    second follow the first? DATA is then a text file (a blank line ends a document), the folder of a prepared corpus (its held-out
    documents), or a table with a column of texts (--text).

    Examples: bertworks evaluate runs/reviews-1 test.csv · bertworks evaluate runs/pretraining-1 news.txt.gz · bertworks evaluate
    bertworks-mini reviews.csv --text review --limit 500
    """
    arguments = {k: v for k, v in locals().items() if k != "json" and not (k in _OF_SOME_TASKS and v is None)}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs import kinds
    from bertworks.estimators.verbs.evaluate import evaluate as run

    with show.row_bar("evaluating") as progress:
        arguments["progress"] = progress
        searches = corpus is not None or relevance is not None  # of a sentence encoder, or of an encoder that is taken for one
        report = kinds.named("embeddings").call("evaluate", arguments, arguments) if searches else run(**arguments)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    unit = "documents" if "documents" in report.metrics else "rows"
    first, *more = report.accounting.lines()
    show.lines(console, [*report.facts, first, *(line for line in more if unit == "documents" and line not in report.facts)])
    show.print_metrics(console, f"{report.metrics[unit]:,} {unit}", report.metrics, report.headline)
    show.print_mistakes(console, report.mistakes)
