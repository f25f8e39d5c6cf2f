"""Words with values: as running text in colours, and as bars."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from rich.cells import cell_len, chop_cells

from bertworks.batch import Array
from bertworks.explain.pictures.figure import AGAINST, FOR, INK, LINE, MUTED, PLAIN, fonts, new_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Run = tuple[str, int | None]
"""A piece of a text, and the number of the word that it is."""
_COLUMNS = 96
_POINTS = 9.5
_CELL = 0.602 * _POINTS / 72
"""Width of a character of DejaVu Sans Mono, in inches."""
_LINE = 0.24
_BARS = 20
_MOST_BARS = 48


def coloured_text(texts: Sequence[Sequence[Run]], values: Float[Array, "words"], title: str, notes: str) -> "Figure":
    """Texts with each word on the colour of its value (for: blue, against: orange), and the strongest words as bars."""
    lines = [list(wrapped(runs, _COLUMNS)) for runs in texts]
    chosen = np.argsort(-np.abs(values), kind="stable")[:_BARS]
    said = textwrap.wrap(printable(notes), 120)
    words = {number: run for runs in texts for run, number in runs if number is not None}
    text_height = _LINE * (sum(map(len, lines)) + len(lines) - 1)
    bars_height = 0.2 * len(chosen)
    width, height = _COLUMNS * _CELL + 0.6, 0.55 + text_height + 0.35 + bars_height + 0.4 + 0.17 * len(said) + 0.1
    figure = new_figure(width, height)
    figure.text(
        0.3 / width, 1 - 0.25 / height, printable(title), fontsize=11, color=INK, weight="bold", va="center", family=fonts(), **PLAIN
    )
    axes = figure.add_axes((0.3 / width, 1 - (0.55 + text_height) / height, 1 - 0.6 / width, text_height / height))
    axes.set(xlim=(0, _COLUMNS), ylim=(text_height / _LINE, 0))
    axes.axis("off")
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    top = 0
    for part in lines:
        for line in part:
            _write(axes, line, top + 0.5, values / largest)
            top += 1
        if part is not lines[-1]:
            axes.axhline(top + 0.5, color=LINE, linewidth=0.8)
        top += 1
    bars = figure.add_axes((1.7 / width, (0.5 + 0.17 * len(said)) / height, 1 - 2.6 / width, bars_height / height))
    _bars(bars, [words.get(int(i), "") for i in chosen], values[chosen])
    figure.text(0.3 / width, 0.1 / height, "\n".join(said), fontsize=8, color=MUTED, va="bottom", family=fonts(), **PLAIN)
    return figure


def bar_chart(entries: Sequence[tuple[str, float]], title: str) -> "Figure":
    """Values of words from top to bottom, in the order of the text; of a long text, the largest ones."""
    shown, told = list(range(len(entries))), title
    if len(entries) > _MOST_BARS:
        largest = sorted(shown, key=lambda i: -entries[i][1])[:_MOST_BARS]
        shown, told = sorted(largest), f"{title} (the {_MOST_BARS} largest of {len(entries)})"
    width, height = 7.0, 0.2 * len(shown) + 0.9
    figure = new_figure(width, height)
    figure.text(0.1 / width, 1 - 0.2 / height, printable(told), color=INK, fontsize=10, va="center", **PLAIN)
    axes = figure.add_axes((1.6 / width, 0.35 / height, 1 - 2.4 / width, 0.2 * len(shown) / height))
    _bars(axes, [entries[i][0] for i in shown], np.array([entries[i][1] for i in shown]))
    return figure


def wrapped(runs: Sequence[Run], columns: int) -> Iterator[list[Run]]:
    """Runs in lines of at most so many characters, broken at white space; a longer piece is cut."""
    line: list[Run] = []
    used = 0
    for is_space, group in groupby(_pieces(runs), key=lambda run: run[0].isspace()):
        piece = [(" ", None)] if is_space else [part for run in group for part in _cut(run, columns)]
        size = sum(cell_len(text) for text, _ in piece)
        if line and used + size > columns:
            yield line
            line, used = [], 0
        if is_space and not line:
            continue
        for text, number in piece:
            if line and used + cell_len(text) > columns:
                yield line
                line, used = [], 0
            line.append((text, number))
            used += cell_len(text)
    if line:
        yield line


def _pieces(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs, with white space apart from what is not read."""
    for text, number in runs:
        if number is not None:
            yield text, number
        else:
            yield from (("".join(part), None) for _, part in groupby(text, key=str.isspace))


def _cut(run: Run, columns: int) -> list[Run]:
    text, number = run
    return [(part, number) for part in chop_cells(printable(text), columns)]


def _write(axes: Any, line: Sequence[Run], y: float, shares: Float[Array, "words"]) -> None:
    from matplotlib.patches import Rectangle

    x = 0.0
    for text, number in line:
        size = cell_len(text)
        if number is not None:
            colour = FOR if shares[number] >= 0 else AGAINST
            alpha = abs(float(shares[number]))
            axes.add_patch(Rectangle((x, y - 0.42), size, 0.84, facecolor=colour, alpha=alpha, linewidth=0))
            ink = "white" if alpha > 0.85 else INK
        else:
            ink = MUTED
        axes.text(x, y, text, fontsize=_POINTS, family=fonts("DejaVu Sans Mono"), color=ink, va="center", **PLAIN)
        x += size


def _bars(axes: Any, names: Sequence[str], values: Float[Array, "bars"]) -> None:
    places = np.arange(len(names))
    axes.barh(places, values, height=0.7, color=[FOR if value >= 0 else AGAINST for value in values])
    axes.set(ylim=(len(names) - 0.5, -0.5))
    shown = [name if len(name) <= 18 else name[:17] + "…" for name in map(printable, names)]
    axes.set_yticks(places, shown, fontsize=8, family=fonts(), color=INK, **PLAIN)
    axes.tick_params(length=0, labelsize=8, colors=MUTED)
    axes.tick_params(axis="y", colors=INK)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    span = float(np.abs(values).max(initial=0.0)) or 1.0
    axes.margins(x=0.12)
    for place, value in enumerate(values):
        side = 1 if value >= 0 else -1
        told = f"{value:+.3f}" if (values < 0).any() else f"{value:.3f}"
        axes.text(value + side * 0.01 * span, place, told, fontsize=7, color=MUTED, va="center", ha="left" if side > 0 else "right")
