"""Training loss, validation metric and learning rate over the steps, as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bertworks.estimators.reports.charts.drawing import WIDTH, fitted, new_figure, place
from bertworks.estimators.reports.palettes import Palette
from bertworks.estimators.reports.wording import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]
"""(step, value) each."""
_MOST_POINTS, _MOST_DOTS = 400, 60
"""Points of a curve that are drawn, and up to which each has a dot."""


@dataclass(frozen=True)
class Curves:
    """What the log of a training says over the steps."""

    loss: Points
    metric: Points
    rate: Points


@dataclass(frozen=True)
class Mark:
    """What is marked on the curves: a step, and what to call it."""

    step: int
    name: str


def draw_training(palette: Palette, curves: Mapping[str, Curves], kept: str, metric: str, mark: Mark | None) -> "Figure":
    """Panels over the same steps, one below the other; those without points are left out. The training `kept` stands out."""
    titles = {"loss": "training loss", "metric": f"validation {metric}", "rate": "learning rate"}
    shown = [name for name in titles if any(getattr(one, name) for one in curves.values())]
    figure = new_figure(0.9 + 1.5 * len(shown))
    panels = dict(zip(shown, place(figure, left=0.72, right=0.35, top=0.4, bottom=0.5, rows=len(shown), gap=0.42), strict=True))
    last = max(step for one in curves.values() for name in shown for step, _ in getattr(one, name))
    for name, axes in panels.items():
        axes.set_title(fitted(titles[name], WIDTH - 1.1), pad=5)
        for part, one in sorted(curves.items(), key=lambda item: item[0] == kept):
            _draw(axes, getattr(one, name), palette, strong=part == kept, dots=name == "metric")
        axes.set_xlim(0, max(1, last))
        axes.grid(axis="y")
        axes.locator_params(axis="y", nbins=4)
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.tick_params(labelbottom=name == shown[-1])
        if mark is not None:
            axes.axvline(mark.step, color=palette.contrast, linewidth=1, linestyle=(0, (4, 3)))
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    if "rate" in panels:
        panels["rate"].yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    if mark is not None:
        _write(panels.get("metric", panels[shown[0]]), palette, mark, dict(curves[kept].metric).get(mark.step))
    panels[shown[-1]].set_xlabel("step")
    return figure


def _draw(axes: "Axes", points: Points, palette: Palette, *, strong: bool, dots: bool) -> None:
    if not points:
        return
    steps, values = zip(*thinned(points), strict=True)
    marker = "o" if len(points) == 1 or (dots and len(points) <= _MOST_DOTS) else ""
    if strong:
        axes.plot(steps, values, marker=marker, color=palette.accent, markersize=4, zorder=3, clip_on=False)
    else:
        axes.plot(steps, values, marker=marker, color=palette.muted, markersize=2.5, linewidth=1.0, alpha=0.5, clip_on=False)


def _write(axes: "Axes", palette: Palette, mark: Mark, value: float | None) -> None:
    """The name of the mark at its line, with the value that was reached there."""
    left = mark.step > sum(axes.get_xlim()) / 2
    axes.annotate(
        f"{mark.name}: step {mark.step:,}" + ("" if value is None else f", {decimal(value)}"),
        (mark.step, 0.06),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        color=palette.contrast,
    )
    if value is not None:
        axes.plot([mark.step], [value], "o", color=palette.contrast, markersize=6, zorder=4, clip_on=False)


def thinned(points: Points, most: int = _MOST_POINTS) -> Points:
    """At most so many points: the means of neighbours where there are more.

    >>> thinned([(1, 1.0), (2, 3.0), (3, 5.0), (4, 7.0)], 2)
    [(1.5, 2.0), (3.5, 6.0)]
    """
    if len(points) <= most:
        return points
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    groups = [points[low:high] for low, high in pairwise(edges)]
    return [(sum(p[0] for p in group) / len(group), sum(p[1] for p in group) / len(group)) for group in groups]
