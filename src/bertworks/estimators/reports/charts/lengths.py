"""The lengths of the texts as a histogram, with the limit of the model marked."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bertworks.estimators.reports.charts.drawing import WIDTH, fitted, new_figure, place
from bertworks.estimators.reports.palettes import Palette
from bertworks.estimators.reports.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_lengths(palette: Palette, lengths: Mapping[str, Any]) -> "Figure":
    """Bars over the lengths, with median and limit as lines.

    A last bin that is wider than the others is drawn as wide as they are, paler, with its end written on it: it holds
    the few longest texts. A limit that lies beyond the axis is only pointed at.
    """
    edges = [number(edge) or 0.0 for edge in lengths["edges"]]
    counts = [number(rows) or 0.0 for rows in lengths["counts"]]
    limit, median = number(lengths.get("limit")), number(lengths.get("median"))
    widths = [high - low for low, high in pairwise(edges)]
    tail = len(widths) > 1 and widths[-1] > 1.5 * widths[0]
    if tail:
        widths[-1] = widths[0]
    end, plain_end = edges[-2] + widths[-1], edges[-2] if tail else edges[-1]
    inside = limit is not None and (limit <= plain_end or (not tail and limit <= 1.5 * end))
    figure = new_figure(2.4)
    (axes,) = place(figure, left=0.72, right=0.3, top=0.35, bottom=0.5)
    axes.bar(edges[:-1], counts, width=widths, align="edge", color=palette.accent, edgecolor=palette.surface, linewidth=0.8)
    axes.set_xlim(edges[0], max(end, 1.05 * limit) if limit is not None and inside else end)
    axes.set_ylim(0, 1.08 * max(counts) or 1)
    if tail:
        axes.patches[-1].set_alpha(0.5)
        told, height = f"up to {edges[-1]:,.0f}", max(counts[-2:])
        axes.annotate(told, (end, height), xytext=(0, 3), textcoords="offset points", ha="right", color=palette.muted)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= plain_end])
    marks = [(median, f"median {median:,.0f}", palette.ink)] if median is not None and median <= plain_end else []
    if limit is not None and inside:
        marks.append((limit, f"limit {limit:,.0f}", palette.contrast))
    elif limit is not None:
        axes.text(1, 1.04, f"limit {limit:,.0f} →", transform=axes.transAxes, ha="right", va="bottom", color=palette.contrast)
    for position, (value, name, colour) in enumerate(sorted(marks)):
        _line(axes, colour, value, name, leftwards=position == 0)
    axes.grid(axis="y")
    axes.locator_params(axis="y", nbins=4, integer=True)
    axes.set_xlabel(fitted(str(lengths.get("unit") or "tokens"), WIDTH / 2))
    axes.set_ylabel("texts")
    return figure


def _line(axes: "Axes", colour: str, value: float, name: str, *, leftwards: bool) -> None:
    """A line from top to bottom, with its name above it to one side, if there is room for it."""
    axes.axvline(value, color=axes.get_facecolor(), linewidth=3)  # a margin, so that the line is seen on the bars too
    axes.axvline(value, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
    low, high = axes.get_xlim()
    position = (value - low) / (high - low or 1)
    shift, side = (2, "right") if position > 0.8 or (leftwards and position > 0.2) else (-2, "left")
    where: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(name, (value, 1.04), xytext=(shift, 0), ha=side, va="bottom", color=colour, **where)
