"""The confusion matrix as a picture."""

from typing import TYPE_CHECKING

from bertworks.estimators.reports.charts.drawing import FONT_SIZE, POINTS, fitted, new_figure, place, text_width
from bertworks.estimators.reports.palettes import Palette, readable_ink

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABEL_WIDTH = 1.6
"""Inches that a label may take."""
_MOST_WIDTH = 4.4
"""Inches up to which columns are made wide enough for their labels."""


def draw_confusion(palette: Palette, cells: list[list[int]], labels: list[str]) -> "Figure":
    """Rows: the class; columns: the prediction. Shaded by the share of the class, with the counts written in."""
    from matplotlib.colors import LinearSegmentedColormap

    most = len(labels)
    digits = max(len(f"{count:,}") for row in cells for count in row)
    size = FONT_SIZE if most <= 12 else 8.0
    names = [fitted(label, _LABEL_WIDTH, size) for label in labels]
    high = max(0.5 if most <= 6 else 0.4 if most <= 12 else 0.3, text_width("0" * digits, size) + 0.08)
    longest = max(text_width(name, size) for name in names)
    upright = most * (longest + 0.12) <= _MOST_WIDTH
    wide = max(high, longest + 0.12) if upright else high
    left, top = max(longest, 0.5) + 0.15, (0.5 if upright else longest + 0.4)
    right, bottom = (0.1 if upright else max(0.1, 0.9 - most * wide)), 0.1
    figure = new_figure(top + bottom + high * most, left + right + wide * most)
    (axes,) = place(figure, left=left, right=right, top=top, bottom=bottom)
    shares = [[count / max(1, sum(row)) for count in row] for row in cells]
    shades = LinearSegmentedColormap.from_list("shades", [palette.raised, palette.accent])
    axes.pcolormesh(shares, cmap=shades, vmin=0, vmax=1, edgecolors=palette.surface, linewidth=1.5)
    axes.invert_yaxis()
    for i, row in enumerate(cells):
        for j, count in enumerate(row):
            if count:
                ink = readable_ink(shades(shares[i][j])[:3])
                axes.text(
                    j + 0.5,
                    i + 0.5,
                    f"{count:,}",
                    color=ink,
                    size=size,
                    ha="center",
                    va="center_baseline",
                    weight="bold" if i == j else "normal",
                )
    axes.set_xticks([j + 0.5 for j in range(most)], names, size=size, rotation=0 if upright else 90, color=palette.ink)
    axes.set_yticks([i + 0.5 for i in range(most)], names, size=size, color=palette.ink)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.annotate(
        "predicted →",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, POINTS * (top - 0.22)),
        textcoords="offset points",
        size=size,
        color=palette.muted,
    )
    axes.annotate(
        "class ↓", (0, 1), xycoords="axes fraction", xytext=(-5, 5), textcoords="offset points", size=size, color=palette.muted, ha="right"
    )
    return figure
