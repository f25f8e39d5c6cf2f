"""What a report is made of: sections of blocks, which hold plain text and exact numbers and know no format.

The templates turn each kind of block into Markdown and into HTML. Every string is plain text, whatever it contains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bertworks.estimators.reports.palettes import Palette


Level = Literal["error", "warning", "note"]
"""How grave something is, the gravest first."""


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Points:
    """Short statements, one below the other."""

    items: Sequence[str]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class Notice:
    """Something that should not be overlooked."""

    level: Level
    title: str
    text: str
    examples: Sequence[str] = ()
    """Lines that show it."""
    kind: ClassVar[str] = "notice"


@dataclass(frozen=True)
class Cell:
    """An entry of a table, or a number that stands out."""

    text: str
    value: float | None = None
    """The number that `text` shows, not rounded."""
    note: str = ""
    """What stands beside it in smaller letters: an interval, a share."""
    share: float | None = None
    """From 0 to 1: drawn as a bar where the format can."""


ABSENT = Cell("–")
"""Where there is no number."""


@dataclass(frozen=True)
class Figures:
    """A few numbers that stand out: the name of each, and the number."""

    items: Sequence[tuple[str, Cell]]
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Table:
    """A table with a caption; `strong` is the row that stands out."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    strong: int | None = None
    kind: ClassVar[str] = "table"

    @property
    def numeric(self) -> list[bool]:
        """Whether a column has numbers only (or gaps), and is aligned to the right."""
        columns = [[row[place] for row in self.rows] for place in range(len(self.columns))]
        return [
            any(cell.value is not None for cell in cells) and all(cell.value is not None or cell == ABSENT for cell in cells)
            for cells in columns
        ]


@dataclass(frozen=True)
class Picture:
    """A picture, drawn when it is needed, once for each palette."""

    name: str
    """Name of its file, without the ending."""
    alternative: str
    """What the picture says, for those who do not see it."""
    caption: str
    draw: "Callable[[Palette], Figure]"
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Code:
    """Lines for a computer: commands, a program."""

    language: str
    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Excerpt:
    """Texts of a row of the data, and what is to be said about them."""

    texts: Sequence[str]
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Excerpts:
    """Rows of the data, quoted."""

    items: Sequence[Excerpt]
    kind: ClassVar[str] = "excerpts"


Block = Prose | Points | Notice | Figures | Table | Picture | Code | Excerpts


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading."""

    name: str
    """What links call it."""
    title: str
    blocks: Sequence[Block]
