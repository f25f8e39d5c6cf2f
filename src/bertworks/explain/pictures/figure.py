"""What all pictures share: colours, fonts, and how a figure becomes a file."""

import io
import re
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOR, AGAINST = "#0068a3", "#b34700"
"""Words that speak for the target, and against it: blue and orange, which everybody can tell apart (Okabe & Ito 2008)."""
INK, MUTED, LINE = "#1c2024", "#5a626b", "#d8dce1"
DOTS_PER_INCH = 150
PLAIN: dict[str, Any] = {"parse_math": False}
"""For texts of users, which pass `printable` too: a dollar sign is no formula."""
_MOST_SHOWN = 8
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that nothing shows, most of which XML, and so SVG, does not allow."""
_OTHER_SCRIPTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS", "Microsoft YaHei")


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")


def printable(text: str) -> str:
    """A text of a user in which every character can be drawn; others become �.

    >>> printable("a\\x00b")
    'a�b'
    """
    return _UNSEEN.sub("\ufffd", text)


@cache
def fonts(family: str = "DejaVu Sans") -> list[str]:
    """The font, and those for other scripts that are installed."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return [family, *(name for name in _OTHER_SCRIPTS if name in known)]


def to_bytes(figure: "Figure", kind: str) -> bytes:
    """The figure as `png` or `svg`; the same figure gives the same bytes."""
    from matplotlib import rc_context

    out = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "bertworks", "svg.fonttype": "none"}), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(out, format=kind, metadata=metadata)
    codes = {int(found[1]) for warning in caught if (found := re.match(r"Glyph (\d+) ", str(warning.message)))}
    if codes and kind == "png":  # a character of an SVG is drawn by whoever shows it
        shown = " ".join(map(chr, sorted(codes)[:_MOST_SHOWN]))
        warnings.warn(f"no font here draws {len(codes)} characters of the text ({shown}): save a page (.html) or .svg", stacklevel=2)
    return out.getvalue()
