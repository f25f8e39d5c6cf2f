"""What commands print: results on standard output, everything about the way there on standard error."""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

_MOST_LABELS = 20
_NAME_WIDTH = 22
_COUNTS = ("rows", "words", "documents", "tokens", "masked_lm_tokens", "next_sentence_pairs", "sentence_order_pairs")
"""Metrics that say how much was judged; they are told elsewhere."""


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def heading(console: Console, text: str) -> None:
    """A line that stands out in a terminal."""
    console.print()
    console.print(Text(text, style="bold"), soft_wrap=True)


def lines(console: Console, some: list[str], *, style: str = "") -> None:
    """Lines as they are: no markup, wrapped by the terminal only."""
    for line in some:
        console.print(Text(f"  {line}".rstrip(), style=style), soft_wrap=True)


def named(console: Console, name: str, value: str, why: str = "") -> None:
    """A name, its value and, dimmed on lines of its own, the reason for it."""
    console.print(Text(f"  {name:{_NAME_WIDTH}} ").append(value), soft_wrap=True)
    indent = " " * (_NAME_WIDTH + 3)
    for line in textwrap.wrap(why, max(20, console.width - 1), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False):
        console.print(Text(line, style="dim"), soft_wrap=True)


def print_columns(console: Console, rows: Sequence[Sequence[str]], *, strong: int | None = None) -> None:
    """Rows in columns, figures to the right, without anything behind the last one; row number `strong` stands out."""
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [
            cell if column == 0 else " " * (width - cell_len(cell)) + cell
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        cells[0] += " " * (widths[0] - cell_len(cells[0]))
        console.print(Text(("  " + "  ".join(cells)).rstrip(), style="bold" if number == strong else ""), soft_wrap=True)


def print_metrics(console: Console, title: str, metrics: Mapping[str, Any], headline: str) -> None:
    """The numbers of an evaluation, the main one first, then a row a label."""
    heading(console, title)
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float) and name not in _COUNTS}
    if "accuracy" in numbers:
        numbers.pop("micro_f1", None)  # the same for a single label
    names, intervals = sorted(numbers, key=lambda name: name != headline), metrics.get("intervals", {})
    print_columns(console, [(name.replace("_", " "), f"{numbers[name]:.4f}", _interval(intervals.get(name))) for name in names], strong=0)
    rows = metrics.get("per_class") or metrics.get("per_label") or metrics.get("per_type") or []
    if rows:
        figures = ("precision", "recall", "f1")
        table = [
            (shorten(str(row["label"])), *(f"{row[name]:.4f}" for name in figures), f"{row['support']:,}") for row in rows[:_MOST_LABELS]
        ]
        console.print()
        print_columns(console, [("label", *figures, "support" if "per_type" in metrics else "rows"), *table])
    if len(rows) > _MOST_LABELS:
        lines(console, [f"… and {len(rows) - _MOST_LABELS} more labels"])
    if "errors" in metrics:
        told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in metrics["errors"].items())
        lines(console, ["", f"entities by what became of them: {told}"])


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f} (95 %)"


def print_baselines(console: Console, baselines: Mapping[str, Mapping[str, Any]], headline: str) -> None:
    """What simpler means reach in the main metric on the same rows."""
    if baselines:
        lines(console, ["", "on the same rows:"])
        print_columns(console, [(f"  {name}", f"{found[headline]:.4f}") for name, found in baselines.items() if headline in found])


def print_mistakes(console: Console, mistakes: Sequence[Mapping[str, Any]]) -> None:
    """Wrong answers, each in two lines."""
    if mistakes:
        heading(console, "worst mistakes")
    for mistake in mistakes:
        size = f"{mistake['confidence']:.1%} sure" if "confidence" in mistake else f"off by {mistake['error']:.4g}"
        text = " ".join(" | ".join(mistake[part] for part in ("text", "pair") if part in mistake).split())
        lines(console, [f"row {mistake['row']}: {mistake['label']}, answered {mistake['prediction']} ({size})"])
        lines(console, [f"  {shorten(text, max(20, console.width - 6))}"], style="dim")


def shorten(name: str, width: int = 36) -> str:
    """A name that fits into a column.

    >>> shorten("positive"), shorten("positive", 4)
    ('positive', 'pos…')
    """
    return name if len(name) <= width else name[: width - 1] + "…"


@contextmanager
def row_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over rows on standard error, where that is a terminal; yields what to call with rows done and rows in all."""
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn(compact=True))
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def stage_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, where that is a terminal, for work of several stages; yields what to call with the name of
    the stage, what is done of it, and how much there is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None)
            bar.update(tasks[stage], completed=done, total=total)

        yield show
