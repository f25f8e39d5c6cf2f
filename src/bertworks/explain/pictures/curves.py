"""The deletion curve as a picture."""

import textwrap
from typing import TYPE_CHECKING

from bertworks.explain.deletion import DeletionCurve
from bertworks.explain.pictures.figure import AGAINST, FOR, INK, LINE, MUTED, PLAIN, new_figure, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curve_picture(curve: DeletionCurve) -> "Figure":
    """The quantity against the share of words removed, in the attribution's order, the opposite one and random ones."""
    said = textwrap.wrap(printable(curve.sentence), 88)
    height = 3.9 + 0.18 * len(said)
    figure = new_figure(6.4, height)
    axes = figure.add_axes((0.11, (0.7 + 0.18 * len(said)) / height, 0.85, 2.9 / height))
    share = 100 * curve.removed / curve.words
    axes.fill_between(share, curve.random.min(axis=0), curve.random.max(axis=0), color=LINE, alpha=0.6, linewidth=0)
    axes.plot(
        share,
        curve.random.mean(axis=0),
        color=MUTED,
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label=f"{len(curve.random)} random orders: mean, range",
    )
    axes.plot(share, curve.least_first, color=AGAINST, linewidth=1.4, marker=".", label="least important first")
    axes.plot(share, curve.most_first, color=FOR, linewidth=1.8, marker="o", markersize=3.5, label="most important first")
    axes.set_xlabel(f"words removed, % of {curve.words:,}", fontsize=8, color=MUTED)
    axes.set_ylabel(printable(curve.quantity), fontsize=8, color=MUTED, **PLAIN)
    axes.tick_params(labelsize=8, colors=MUTED, length=2)
    axes.grid(color=LINE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    figure.text(0.03, 0.1 / height, "\n".join(said), fontsize=8, color=INK, va="bottom", **PLAIN)
    return figure
