"""The main metric of the model beside those of the baselines, with intervals, as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bertworks.estimators.reports.charts.drawing import WIDTH, fitted, new_figure, place, text_width
from bertworks.estimators.reports.palettes import Palette
from bertworks.estimators.reports.wording import decimal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Compared = Sequence[tuple[str, float, tuple[float, float] | None]]
"""Name, value and interval of each."""


def draw_comparison(palette: Palette, metric: str, compared: Compared) -> "Figure":
    """A dot and its interval for each, the model first."""
    names = [fitted(name, WIDTH / 2 - 0.15) for name, _, _ in compared]
    figure = new_figure(0.62 + 0.36 * len(names))
    left = max(map(text_width, names)) + 0.15
    (axes,) = place(figure, left=left, right=0.75, top=0.08, bottom=0.5)
    low = min(interval[0] if interval else value for _, value, interval in compared)
    high = max(interval[1] if interval else value for _, value, interval in compared)
    space = 0.06 * (high - low or 1.0)
    axes.set_xlim(low - space, high + space)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x")
    for line, (_, value, interval) in enumerate(compared):
        colour = palette.accent if line == 0 else palette.contrast
        if interval is not None:
            axes.plot(interval, (line, line), color=colour, linewidth=2.2, alpha=0.75)
        axes.plot([value], [line], "o" if line == 0 else "D", color=colour, markersize=7 if line == 0 else 5.5)
        axes.annotate(
            decimal(value),
            (1, line),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center_baseline",
            color=palette.ink,
            weight="bold" if line == 0 else "normal",
        )
    axes.set_yticks(range(len(names)), names, color=palette.ink)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(fitted(metric, WIDTH / 2))
    return figure
