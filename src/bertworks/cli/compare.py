"""`bertworks compare`."""

from typing import Annotated

import typer

from bertworks.cli import options


def compare(
    first: Annotated[str, typer.Argument(help="Run folder or model folder.", show_default=False)],
    second: Annotated[str, typer.Argument(help="Another one.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Labelled data that both answer; without it, the validation rows of two runs, if they are the same."),
    ] = None,
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    label: options.LabelColumn = None,
    split: options.Split = None,
    shuffle_seed: options.ShuffleSeed = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "error",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Compare two models on the same rows: is one better, or could that be chance?

    Each metric gets the difference, its 95 % interval (paired bootstrap) and a p-value (approximate randomization;
    for a single label also McNemar's exact test of the accuracy).

    Examples: bertworks compare runs/reviews-1 runs/reviews-2 · bertworks compare runs/reviews-1 old-model --data test.csv
    """
    arguments = {k: v for k, v in locals().items() if k != "json"}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.estimators.verbs.compare import compare as run

    with show.row_bar("comparing") as progress:
        report = run(**arguments, progress=progress)
    if json:
        show.print_json(report.to_dict())
        return
    console = Console()
    show.lines(console, [*report.facts, f"first: {report.first}", f"second: {report.second}"])
    show.heading(console, report.verdict)
    rows = [("", "first", "second", "difference", "95 % interval", "p")]
    metrics = {name: found for name, found in report.comparison.metrics.items() if name != "micro_f1" or report.headline == name}
    for name, found in sorted(metrics.items(), key=lambda item: item[0] != report.headline):
        low, high = found.interval
        interval = f"{low:+.4f} to {high:+.4f}"
        numbers = (f"{found.first:.4f}", f"{found.second:.4f}", f"{found.difference:+.4f}", interval, f"{found.p_value:.3g}")
        rows.append((name.replace("_", " "), *numbers))
    console.print()
    show.print_columns(console, rows, strong=1)
    test = report.comparison.mcnemar
    if test is not None:
        told = f"only the first is right in {test.only_first:,} rows, only the second in {test.only_second:,}"
        show.lines(console, ["", f"{told}: McNemar's p = {test.p_value:.3g}"])
