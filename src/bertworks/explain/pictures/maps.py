"""Attention as heat maps: one map with its tokens on both axes, or all heads of a layer side by side."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.explain.pictures.figure import FOR, INK, MUTED, PLAIN, fonts, new_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ALL_LABELS = 64
"""Up to so many tokens every one is named on the axes."""
_SOME_LABELS = 48
_GRID_LABELS = 20
_COLUMNS = 4


def heat_map(values: Float[Array, "length length"], tokens: Sequence[str], parts: Int[Array, "length"], title: str) -> "Figure":
    """One map: rows read, columns are read. Colours go with the square root of the value, so that small ones are seen."""
    side = min(12.0, max(3.0, 0.17 * len(tokens)))
    places, names = _labels(tokens, _ALL_LABELS, _SOME_LABELS)
    margin = 0.3 + 0.07 * min(22, max(map(len, names)))
    width, height = margin + side + 1.0, side + margin + 0.55
    figure = new_figure(width, height)
    axes = figure.add_axes((margin / width, 0.25 / height, side / width, side / height))
    image = _draw(axes, values, float(values.max()))
    _name_tokens(axes, places, names)
    _separate(axes, parts)
    figure.text(0.1 / width, 1 - 0.18 / height, printable(title), color=INK, fontsize=10, va="center", **PLAIN)
    bar = figure.colorbar(image, cax=figure.add_axes((1 - 0.85 / width, 0.25 / height, 0.12 / width, side / height)))
    bar.ax.tick_params(labelsize=7, colors=MUTED)
    return figure


def head_grid(heads: Float[Array, "heads length length"], tokens: Sequence[str], parts: Int[Array, "length"], title: str) -> "Figure":
    """All heads of a layer, on one scale."""
    columns = min(_COLUMNS, len(heads))
    rows = math.ceil(len(heads) / columns)
    named = len(tokens) <= _GRID_LABELS
    side = max(2.2, 0.14 * len(tokens)) if named else 3.2
    margin = 0.85 if named else 0.2
    figure = new_figure(columns * (side + margin) + 0.3, rows * (side + margin + 0.25) + 0.5)
    width, height = figure.get_size_inches()
    for number, values in enumerate(heads):
        row, column = divmod(number, columns)
        left = column * (side + margin) + margin
        bottom = height - 0.5 - (row + 1) * (side + margin + 0.25) + 0.1
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        _draw(axes, values, float(heads.max()))
        if named:
            _name_tokens(axes, *_labels(tokens, _GRID_LABELS, _GRID_LABELS))
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        _separate(axes, parts)
        place = (margin if named else 0.1) / side
        axes.text(0, 1 + place, f"head {number}", transform=axes.transAxes, fontsize=8, color=INK, va="bottom" if not named else "center")
    figure.text(0.1 / width, 1 - 0.2 / height, printable(title), color=INK, fontsize=10, va="center", **PLAIN)
    return figure


def _draw(axes: Any, values: Float[Array, "length length"], largest: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("attention", ["#ffffff", "#8cc4e6", FOR, "#00263d"])
    image = axes.imshow(values, cmap=colours, norm=PowerNorm(0.5, 0, max(largest, 1e-12)), interpolation="nearest", aspect="equal")
    for spine in axes.spines.values():
        spine.set_color(MUTED)
        spine.set_linewidth(0.5)
    return image


def _labels(tokens: Sequence[str], all_up_to: int, most: int) -> tuple[list[int], list[str]]:
    """Every token, or every so-manieth with its number."""
    step = 1 if len(tokens) <= all_up_to else math.ceil(len(tokens) / most)
    places = list(range(0, len(tokens), step))
    return places, [printable(tokens[place]) + (f" {place}" if step > 1 else "") for place in places]


def _name_tokens(axes: Any, places: Sequence[int], names: Sequence[str]) -> None:
    axes.xaxis.tick_top()
    style: dict[str, Any] = {"fontsize": 7, "family": fonts(), "color": INK, **PLAIN}
    axes.set_xticks(places, names, rotation=90, **style)
    axes.set_yticks(places, names, **style)
    axes.tick_params(length=2, pad=2, color=MUTED)


def _separate(axes: Any, parts: Int[Array, "length"]) -> None:
    """Lines where the second text of a pair begins."""
    seconds = np.flatnonzero(parts == 1)
    if len(seconds):
        for draw in (axes.axhline, axes.axvline):
            draw(seconds[0] - 0.5, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
