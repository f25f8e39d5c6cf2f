"""The reliability diagram (Guo et al. 2017, figure 1): are answers as often right as they are sure?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bertworks.estimators.reports.charts.drawing import new_figure
from bertworks.estimators.reports.palettes import Palette
from bertworks.estimators.reports.wording import number
from bertworks.evaluation.intervals import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bins = Sequence[Mapping[str, Any]]


def draw_reliability(palette: Palette, bins: Bins, before: Bins = ()) -> "Figure":
    """Accuracy over confidence, bin by bin, with Wilson's 95 % intervals, and below how many rows each bin has.

    `before`: the bins before a temperature was fitted, drawn hollow.
    """
    points = [_point(one) for one in bins]
    figure = new_figure(4.3)
    width, height = figure.get_size_inches()
    across = (0.62 / width, (width - 0.82) / width)
    upper = figure.add_axes((across[0], (height - 3.17) / height, across[1], 3.05 / height))
    lower = figure.add_axes((across[0], 0.5 / height, across[1], 0.45 / height))
    upper.plot([0, 1], [0, 1], color=palette.muted, linewidth=1, linestyle=(0, (4, 3)))
    for sure, right, rows in points:
        upper.plot((sure, sure), wilson_interval(right, round(rows)), color=palette.accent, linewidth=1, alpha=0.6)
    if before:
        sure_before, right_before, _ = zip(*(_point(one) for one in before), strict=True)
        upper.plot(sure_before, right_before, "D", color=palette.contrast, markersize=5, fillstyle="none", clip_on=False, zorder=3)
        where = (sure_before[-1], right_before[-1])
        upper.annotate("before", where, xytext=(-8, -12), textcoords="offset points", color=palette.contrast, ha="right")
    sure_now, right_now, rows_now = zip(*points, strict=True)
    upper.plot(sure_now, right_now, "o-", color=palette.accent, markersize=6, linewidth=1.2, clip_on=False, zorder=3)
    ground = {"facecolor": palette.surface, "edgecolor": "none", "pad": 2}
    upper.text(0.03, 0.96, "right more often than sure", color=palette.muted, ha="left", va="top", bbox=ground)
    upper.text(0.97, 0.04, "sure more often than right", color=palette.muted, ha="right", va="bottom", bbox=ground)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.grid(visible=True)
    upper.tick_params(labelbottom=False)
    middles, widths = zip(*(_middle_and_width(one) for one in bins), strict=True)
    lower.bar(middles, rows_now, width=[0.86 * width for width in widths], color=palette.accent)
    lower.set(xlim=(0, 1), xlabel="confidence", ylabel="rows")
    lower.locator_params(axis="y", nbins=2, integer=True)
    return figure


def _point(values: Mapping[str, Any]) -> tuple[float, float, float]:
    """Mean confidence, accuracy and rows of a bin."""
    sure, right, rows = (number(values.get(name)) or 0.0 for name in ("confidence", "accuracy", "rows"))
    return sure, right, rows


def _middle_and_width(values: Mapping[str, Any]) -> tuple[float, float]:
    """Of a bin by its borders; around its mean confidence where they are not known."""
    low, high = number(values.get("above")), number(values.get("up_to"))
    if low is None or high is None:
        return number(values.get("confidence")) or 0.0, 0.04
    return (low + high) / 2, high - low
