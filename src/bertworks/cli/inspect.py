"""`bertworks inspect`."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertworks.cli import options

if TYPE_CHECKING:
    from bertworks.data.inspection import Finding
    from bertworks.data.inspection.lengths import Lengths

_MOST_LABELS = 12
_BAR = 30
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}
_OF_SOME_TASKS = ("choices", "first_choice", "scheme", "objective")
"""Options that not every task has."""
_MOST_OF_A_NOTE = 2
"""Examples of a note that are shown."""


def inspect(
    data: Annotated[str, typer.Argument(help="Labelled data: a file, folder or data set.", show_default=False)],
    task: options.Task = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Data to validate or test on: what stands in both is found.", rich_help_panel="Data")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Encoder that counts tokens; or a finished classifier, which also looks for wrong labels."),
    ] = None,
    text: options.TextColumn = None,
    pair: options.PairColumn = None,
    label: options.LabelColumn = None,
    choices: options.ChoiceColumns = None,
    first_choice: options.FirstChoice = None,
    scheme: options.Scheme = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="Embeddings: by what they will be trained; seen from the data.", rich_help_panel="Data"),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="What labels are: auto, single, multi (several a row) or number.", rich_help_panel="Data")
    ] = "auto",
    split: options.Split = None,
    shuffle_seed: options.ShuffleSeed = None,
    limit: options.Limit = None,
    on_bad_rows: options.OnBadRows = "drop",
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Look through labelled texts before a training: labels, lengths, duplicates, leaks, damage.

    Leaves with exit code 3 where it finds an error, with which no training can be right; with 0 where there are
    warnings and notes only. Rows are numbered from 0, and a header is no row.

    Example: bertworks inspect train.csv --against test.csv
    """
    arguments: dict[str, Any] = {k: v for k, v in locals().items() if k != "json" and not (k in _OF_SOME_TASKS and v is None)}
    from rich.console import Console

    from bertworks.cli import output as show
    from bertworks.errors import DataError
    from bertworks.estimators.verbs.inspect import inspect as run

    with show.row_bar("predicting") as progress:
        report = run(**arguments, progress=progress)
    found = report.inspection
    errors = found.of_level("error")
    if json:
        show.print_json(report.to_dict())
    else:
        console = Console()
        show.lines(console, report.facts)
        _print_labels(console, found.labels or {}, found.rows, found.labels_count)
        if found.lengths is not None:
            _print_lengths(console, found.lengths, report.tokenizer)
        for finding in found.findings:
            _print_finding(console, finding)
        levels = {"errors": len(errors), "warnings": len(found.of_level("warning")), "notes": len(found.of_level("note"))}
        told = " · ".join(f"{count} {name if count > 1 else name[:-1]}" for name, count in levels.items() if count)
        show.heading(console, told or "nothing found that would spoil a training")
        if report.next_steps:
            show.heading(console, "Mend the errors, then look again" if errors else "Next")
            show.lines(console, report.next_steps)
    if errors:
        raise typer.Exit(DataError.exit_code)


def _print_labels(console: Any, labels: Mapping[str, int], rows: int, counted: str) -> None:
    from bertworks.cli import output as show

    if not labels:
        return
    if counted != "rows":
        rows = sum(labels.values())
    show.heading(console, f"labels ({len(labels)})" + ("" if counted == "rows" else f" of {rows:,} {counted}"))
    most = _MOST_LABELS if 2 * len(labels) <= rows else 3
    shown = list(labels.items())[:most]
    _print_bars(console, [(show.shorten(name, 24), count) for name, count in shown], rows)
    rest = list(labels.items())[most:]
    if rest:
        show.lines(console, [f"… and {len(rest)} more, the rarest {show.shorten(rest[-1][0], 24)} with {rest[-1][1]:,}"])


def _print_lengths(console: Any, lengths: "Lengths", tokenizer: str) -> None:
    from bertworks.cli import output as show

    unit = f"tokens of {tokenizer}, special tokens included"
    show.heading(console, f"lengths in {unit}")
    rows = [(f"from {start:,}", count) for start, count in zip(lengths.edges, lengths.counts, strict=False)]
    while rows and not rows[0][1]:
        rows.pop(0)
    _print_bars(console, rows, lengths.rows)
    figures = f"mean {lengths.mean:,.0f} · median {lengths.median:,.0f} · 95% up to {lengths.p95:,.0f} · longest {lengths.longest:,}"
    limit = "" if lengths.limit is None else f" · the model reads {lengths.limit:,}"
    show.lines(console, [figures + limit])


def _print_bars(console: Any, rows: list[tuple[str, int]], total: int) -> None:
    """Names, counts, shares and bars, the greatest of which fills the room."""
    from rich.cells import cell_len

    from bertworks.cli import output as show

    most = max(count for _, count in rows)
    name_width, count_width = max(cell_len(name) for name, _ in rows), max(len(f"{count:,}") for _, count in rows)
    for name, count in rows:
        bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
        line = f"{name}{' ' * (name_width - cell_len(name))}  {count:>{count_width},}  {count / total:6.1%}  {bar}"
        show.lines(console, [line.rstrip()])


def _print_finding(console: Any, finding: "Finding") -> None:
    from rich.text import Text

    console.print()
    console.print(Text.assemble((f"{finding.level}: ", _STYLES[finding.level]), (finding.title, "bold")), soft_wrap=True)
    room = max(40, min(100, console.width) - 2)
    for line in textwrap.wrap(finding.message, room, break_on_hyphens=False):
        console.print(Text(f"  {line}"), soft_wrap=True)
    if finding.rows and not finding.examples:
        more = " …" if finding.count > len(finding.rows) else ""
        console.print(Text(f"  rows {', '.join(map(str, finding.rows))}{more}", style="dim"), soft_wrap=True)
    for example in finding.examples[: _MOST_OF_A_NOTE if finding.level == "note" else None]:
        for line in textwrap.wrap(example, room - 2, subsequent_indent="    ", break_on_hyphens=False):
            console.print(Text(f"    {line}", style="dim"), soft_wrap=True)
