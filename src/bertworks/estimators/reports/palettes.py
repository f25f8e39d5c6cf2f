"""The colours of a report, in light and in dark: of its page and of its pictures.

The hues are those of Okabe and Ito (2008), which people with any kind of colour blindness can tell apart, made darker
or lighter until they can be read on their ground.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours as #rrggbb."""

    name: str
    surface: str
    """The ground of page and pictures."""
    raised: str
    """The ground of boxes."""
    ink: str
    """Text."""
    muted: str
    """Text that is less important."""
    line: str
    """Rules, grids."""
    accent: str
    """The model: its curves, bars and links."""
    contrast: str
    """What the model is compared with; what goes wrong."""


LIGHT = Palette("light", "#ffffff", "#f6f7f8", "#1c2024", "#5a626b", "#d8dce1", "#0068a3", "#b34700")
DARK = Palette("dark", "#14171a", "#1d2125", "#e7e5e0", "#a6adb5", "#3a4149", "#62b8ec", "#eb9f3c")


def components(colour: str) -> tuple[float, float, float]:
    """Red, green and blue of #rrggbb, from 0 to 1.

    >>> components("#ff0000")
    (1.0, 0.0, 0.0)
    """
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def luminance(colour: tuple[float, float, float]) -> float:
    """The relative luminance of an sRGB colour with components from 0 to 1 (WCAG 2.2).

    >>> luminance((0, 0, 0)), round(luminance((1, 1, 1)), 6)
    (0.0, 1.0)
    """
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast_ratio(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2).

    >>> round(contrast_ratio((0, 0, 0), (1, 1, 1)), 6)
    21.0
    """
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_ink(ground: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from a ground."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast_ratio(components(ink), ground))
