"""How pictures look, and how they become SVG: the same bytes each time, texts as texts."""

import io
import unicodedata
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bertworks.estimators.reports.blocks import Picture
from bertworks.estimators.reports.palettes import Palette
from bertworks.estimators.reports.wording import in_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.4
"""Width of a picture in inches: about 520 pixels, so that its letters can be read on a phone too."""
FONT_SIZE = 9.5
_MOST_LETTERS = 500
"""Letters of a text that are looked at: no more fit anywhere."""
POINTS, _PIXELS = 72, 96
"""Units of an inch, in print and on a screen."""


@dataclass(frozen=True)
class Drawing:
    """A picture as SVG, with its size on a screen in pixels."""

    svg: bytes
    width: int
    height: int


def render(picture: Picture, palette: Palette) -> Drawing:
    """Draws a picture in a palette. The same picture gives the same bytes; what users set in matplotlib changes nothing."""
    import matplotlib.style

    with matplotlib.style.context(["default", _style(palette)]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # whoever shows the SVG has other fonts
        drawn = picture.draw(palette)
        stream = io.BytesIO()
        drawn.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        width, height = (round(inches * _PIXELS) for inches in drawn.get_size_inches())
    return Drawing(stream.getvalue(), width, height)


def _style(palette: Palette) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",  # texts stay texts: any script can be shown, whatever fonts were here
        "svg.hashsalt": "bertworks",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib; where an SVG is shown, any other of its kind will do
        "font.size": FONT_SIZE,
        "text.parse_math": False,  # a label with two $ is no formula
        "text.color": palette.ink,
        "figure.facecolor": palette.surface,
        "savefig.facecolor": palette.surface,
        "axes.facecolor": palette.surface,
        "axes.edgecolor": palette.line,
        "axes.labelcolor": palette.muted,
        "axes.titlesize": FONT_SIZE,
        "axes.titlelocation": "left",
        "axes.titlecolor": palette.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "grid.color": palette.line,
        "grid.linewidth": 0.6,
        "xtick.color": palette.line,
        "ytick.color": palette.line,
        "xtick.labelcolor": palette.muted,
        "ytick.labelcolor": palette.muted,
        "lines.linewidth": 1.6,
        "lines.solid_capstyle": "round",
    }


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def place(figure: "Figure", *, left: float, right: float, top: float, bottom: float, rows: int = 1, gap: float = 0.0) -> "list[Axes]":
    """Axes one below the other, with margins and gaps in inches."""
    width, height = figure.get_size_inches()
    each = (height - top - bottom - gap * (rows - 1)) / rows
    return [
        figure.add_axes((left / width, (bottom + (rows - 1 - row) * (each + gap)) / height, (width - left - right) / width, each / height))
        for row in range(rows)
    ]


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """About how wide a text is, in inches: wide letters, as those of Chinese, count twice.

    >>> text_width("ab") == 2 * text_width("a"), text_width("好") > text_width("a")
    (True, True)
    """
    ems = sum(1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.6 for letter in text)
    return ems * size / POINTS


def fitted(text: str, width: float, size: float = FONT_SIZE) -> str:
    """A text in one line that is about so many inches wide at most, cut where it is longer.

    >>> fitted("positive", 10), fitted("positive", text_width("posi"))
    ('positive', 'pos…')
    """
    text = in_one_line(text[:_MOST_LETTERS])
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"
