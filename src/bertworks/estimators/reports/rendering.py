"""From sections to Markdown and HTML. Whatever texts contain, they stay texts: no markup of theirs is ever markup here."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from bertworks.estimators.reports.blocks import Code, Excerpts, Section, Table
from bertworks.estimators.reports.charts.drawing import Drawing
from bertworks.estimators.reports.palettes import DARK, LIGHT, Palette
from bertworks.estimators.reports.wording import in_one_line, printable

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKUP = re.compile(r"[\\`*\[\]~$#|]|(?<![^\W_])_|_(?![^\W_])|!(?=\[)|^[-+](?=[\s-]|$)|^=(?==*$)|^\d+(?=[.)](?:\s|$))")
"""What Markdown may take for markup: marks anywhere, underscores beside no letter, and lines that begin as lists or rules do."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped_for_markdown(text: str) -> str:
    """A text on one line that Markdown shows as it is, in a paragraph and in a table.

    >>> escaped_for_markdown("<b>5 * 3</b> | learning_rate _x_")
    '&lt;b&gt;5 \\\\* 3&lt;/b&gt; \\\\| learning_rate \\\\_x\\\\_'
    """
    line = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], in_one_line(text))
    return _MARKUP.sub(_with_backslash, line)


def _with_backslash(found: re.Match[str]) -> str:
    return f"{found[0]}\\" if found[0].isdecimal() else f"\\{found[0]}"


@dataclass(frozen=True)
class Embedded:
    """A drawing as an address that holds the whole picture."""

    uri: str
    width: int
    height: int

    @classmethod
    def of(cls, drawing: Drawing) -> "Embedded":
        return cls(f"data:image/svg+xml;base64,{base64.b64encode(drawing.svg).decode()}", drawing.width, drawing.height)


def to_html(title: str, subtitle: str, sections: Sequence[Section], drawings: Mapping[str, tuple[Drawing, Drawing]]) -> str:
    """A whole page that needs no other file and no network. `drawings`: each picture by its name, in light and in dark."""
    embedded = {name: tuple(Embedded.of(drawing) for drawing in pair) for name, pair in drawings.items()}
    template = _html().get_template("report.html.jinja")
    return template.render(title=title, subtitle=subtitle, sections=sections, drawings=embedded, light=_colours(LIGHT), dark=_colours(DARK))


def to_markdown(template: str, **values: Any) -> str:
    """A document in Markdown. Pictures are looked for in the folder `report/` beside it."""
    text = _markdown().get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _colours(palette: Palette) -> dict[str, str]:
    return {name: colour for name, colour in asdict(palette).items() if name != "name"}


class _Written(str):
    """Text that is Markdown already."""

    __slots__ = ()


@cache
def _html() -> "Environment":
    return _environment(autoescape=True, finalize=lambda value: value if hasattr(value, "__html__") else _shown(value))


@cache
def _markdown() -> "Environment":
    environment = _environment(
        autoescape=False, finalize=lambda value: value if isinstance(value, _Written) else escaped_for_markdown(_shown(value))
    )
    for name, write in {"grid": _grid, "fenced": _fenced, "quoted": _quoted, "raw": str}.items():
        environment.filters[name] = lambda value, write=write: _Written(write(value))
    return environment


def _environment(**options: Any) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("bertworks.estimators.reports")
    return Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, **options)


def _shown(value: Any) -> str:
    return printable(str(value))


def _grid(table: Table) -> str:
    """A table of Markdown, its columns aligned in the source too where they are narrow."""
    head = [escaped_for_markdown(name) or " " for name in table.columns]
    rows = []
    for place, row in enumerate(table.rows):
        cells = [escaped_for_markdown(f"{cell.text} ({cell.note})" if cell.note else cell.text) for cell in row]
        rows.append([f"**{cell}**" if place == table.strong and cell else cell for cell in cells])
    widths = [min(40, max(3, *(len(row[column]) for row in [head, *rows]))) for column in range(len(head))]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, table.numeric, strict=True)]
    lines = []
    for line in [head, rule, *rows]:
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, table.numeric, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _fenced(code: Code) -> str:
    text = printable(code.text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{code.language}\n{text}\n{fence}"


def _quoted(excerpts: Excerpts) -> str:
    lines = []
    for item in excerpts.items:
        lines += [f"> {escaped_for_markdown(text) or ' '}\n>" for text in item.texts]
        facts = " · ".join(f"{name}: **{escaped_for_markdown(value)}**" for name, value in item.facts)
        lines.append(f"> {facts}\n")
    return "\n".join(lines)
