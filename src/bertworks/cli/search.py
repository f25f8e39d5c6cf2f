"""`bertworks search`."""

from pathlib import Path
from typing import Annotated

import typer

from bertworks.cli import options


def search(
    model: Annotated[str, typer.Argument(help="Run folder, model folder or hub name of a sentence encoder.", show_default=False)],
    queries: Annotated[list[str], typer.Argument(help="What is looked for; several queries are answered one after the other.")],
    file: Annotated[str, typer.Option("--file", "-f", help="The texts to search: a file, folder or data set.", show_default=False)],
    vectors: Annotated[
        Path | None, typer.Option("--vectors", help="Their vectors, an .npy file that embed wrote; without it they are embedded first.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="Search by an index in this file, for more than a million texts; it is built where there is no such file, and read "
            "where it is of the same texts and model (pip install 'bertworks[search]').",
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="How many texts to show for each query.")] = 10,
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
    """Find the texts that are nearest in meaning to a query. All of them are compared, unless there is an --index.

    A line is a text: its similarity, the number of its row, and the text, with tabs between them.

    Examples: bertworks search runs/pairs-1 "cold food" --file reviews.csv · bertworks search runs/pairs-1 "cold food" --file
    reviews.parquet --index reviews.faiss
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from bertworks.cli import output as show
    from bertworks.estimators.embeddings.verbs import search as run

    for hit in run(**arguments, tell=lambda line: typer.echo(line, err=True)):
        if json:
            show.print_json(hit.to_dict())
            continue
        if hit.rank == 1 and len(queries) > 1:
            typer.echo(f"# {' '.join(hit.query.split())}")
        typer.echo(f"{hit.score:.4f}\t{hit.row}\t{' '.join(hit.text.split())}")
