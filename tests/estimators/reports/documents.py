"""Reads what was written, independently of how it was written: HTML by the standard library, Markdown by markdown-it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt

VOID = {"meta", "img", "source", "br", "hr", "link", "input"}


@dataclass
class Element:
    """An element with its attributes and all text in it."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> list["Element"]:
        """The elements of a name at any depth, in order."""
        return [found for child in self.inside for found in ([child] if child.name == name else []) + child.all(name)]

    @property
    def plain(self) -> str:
        """The text in one line."""
        return " ".join(self.text.split())


class Page(HTMLParser):
    """The elements of a page; raises `AssertionError` where tags are not nested rightly."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("page", {})
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert self._open == [self.root], f"not closed: {[e.name for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def page_of(html: str) -> Element:
    """The page as elements."""
    return Page(html).root


def page_of_markdown(text: str) -> Element:
    """Markdown as a reader sees it: raw HTML in it would become elements too."""
    return page_of(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def tables_of(page: Element) -> list[list[list[str]]]:
    """Every table as rows of cells."""
    return [[[cell.plain for cell in row.inside if cell.name in ("td", "th")] for row in table.all("tr")] for table in page.all("table")]


def html_of(run: Path) -> Element:
    """The report of a run in HTML."""
    return page_of((run / "report.html").read_text(encoding="utf-8"))


def markdown_of(run: Path) -> Element:
    """The report of a run in Markdown."""
    return page_of_markdown((run / "report.md").read_text(encoding="utf-8"))


def titles_of(page: Element) -> list[str]:
    """The titles of the sections."""
    return [heading.plain for heading in page.all("h2")]
