"""Rows as the checks see them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.examples import Label
from bertworks.data.inspection.findings import MOST_ROWS, Finding, Level
from bertworks.data.labels import LabelKind
from bertworks.errors import DataError

Texts = Sequence[str] | Sequence[tuple[str, str]]

EXCERPT = 70
"""Characters of a text that are shown."""
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, which would do things to a terminal; and those that turn the direction of writing."""
MOST_EXAMPLES = 5
FEW = 0.01
"""Share of the rows up to which a fault that spoils single rows is a note, not a warning."""


@dataclass(frozen=True)
class TextRows:
    """Texts, or pairs of them, with their labels and their numbers in the source."""

    texts: list[str]
    pairs: list[str] | None
    """The second texts of pairs."""
    labels: list[Label | None] | None
    kind: LabelKind | None
    numbers: Int[Array, "rows"]
    name: str
    """The source, for messages."""

    @classmethod
    def of(
        cls,
        texts: Texts,
        labels: Sequence[Any] | None = None,
        *,
        kind: Literal["auto"] | LabelKind = "auto",
        numbers: Sequence[int] | Int[Array, "rows"] | None = None,
        name: str = "the training data",
    ) -> "TextRows":
        """Rows of plain lists. `kind` is what the labels are; "auto" sees it from them. Without `numbers` the rows are counted from 0.

        Raises `DataError` where texts and labels differ in number, or there are none.
        """
        if not len(texts):
            raise DataError(f"{name}: there are no rows to inspect")
        if labels is not None and len(labels) != len(texts):
            raise DataError(f"{name}: {len(texts):,} texts but {len(labels):,} labels")
        several = isinstance(texts[0], tuple | list)
        answers = None if labels is None else [tuple(label) if isinstance(label, list | set | frozenset) else label for label in labels]
        return cls(
            texts=[str(text[0]) if several else str(text) for text in texts],
            pairs=[str(text[1]) for text in texts] if several else None,
            labels=answers,
            kind=None if answers is None else _kind(answers) if kind == "auto" else kind,
            numbers=np.arange(len(texts)) if numbers is None else np.asarray(numbers, dtype=np.int64),
            name=name,
        )

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def whole(self) -> list[str]:
        """All text of each row; the two texts of a pair on lines of their own."""
        return self.texts if self.pairs is None else [f"{a}\n{b}" for a, b in zip(self.texts, self.pairs, strict=True)]

    @cached_property
    def label_range(self) -> float:
        """Greatest less smallest label, where labels are numbers."""
        values = [label for label in self.labels or [] if isinstance(label, int | float)]
        return max(values, default=0.0) - min(values, default=0.0)

    def excerpt(self, position: int, around: re.Pattern[str] | None = None) -> str:
        """The beginning of a row's text in quotes and in one line, or what stands around the first match of a pattern."""
        text = self.whole[position].replace("\n", " | ", 1) if self.pairs is not None else self.whole[position]
        match = around.search(text) if around is not None else None
        start = max(0, match.start() - EXCERPT // 3) if match is not None else 0
        part = " ".join(_UNSEEN.sub(_escaped, text[start : start + 2 * EXCERPT]).split())
        long = len(part) > EXCERPT or start + 2 * EXCERPT < len(text)
        return f"“{'…' if start else ''}{part[:EXCERPT]}{'…' if long else ''}”"

    def example(self, position: int, around: re.Pattern[str] | None = None) -> str:
        """A row's number and excerpt."""
        return f"row {self.numbers[position]}: {self.excerpt(position, around)}"

    def group(self, positions: Sequence[int], *, labelled: bool = False) -> str:
        """The numbers of rows that belong together, their labels where these are of interest, and an excerpt of the first."""
        shown = [f"{self.numbers[p]}" + (f" ({self.labels[p]})" if labelled and self.labels else "") for p in positions[:6]]
        return f"rows {', '.join(shown)}{' …' if len(positions) > 6 else ''}: {self.excerpt(positions[0])}"

    def finding(self, level: Level, title: str, message: str, positions: Iterable[int] = (), examples: Iterable[str] = ()) -> Finding:
        """A finding about the rows at `positions`; without `examples`, the first rows show it."""
        places = list(positions)
        shown = list(examples) or [self.example(place) for place in places[:MOST_EXAMPLES]]
        numbers = tuple(self.numbers[places[:MOST_ROWS]].tolist()) if places else ()
        return Finding(level, title, message, numbers, len(places), tuple(shown[:MOST_EXAMPLES]))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _kind(labels: Sequence[Any]) -> LabelKind:
    present = [label for label in labels if label is not None]
    if any(isinstance(label, tuple) for label in present):
        return "multi"
    return "number" if present and all(isinstance(label, float) for label in present) else "single"


def of_all(count: int, rows: int, what: str = "rows") -> str:
    """A count with its share.

    >>> of_all(12, 400)
    '12 of 400 rows (3.0%)'
    """
    share = count / max(1, rows)
    return f"{count:,} of {rows:,} {what} ({share:.1%})" if share >= 0.0005 or not count else f"{count:,} of {rows:,} {what} (under 0.1%)"


def listing(names: Iterable[str], most: int = 6) -> str:
    """The first of some names, with commas between them.

    >>> listing("abc", most=2)
    'a, b …'
    """
    all_names = list(names)
    return ", ".join(all_names[:most]) + (" …" if len(all_names) > most else "")


def evenly_spaced(count: int, most: int) -> Int[Array, "positions"]:
    """At most so many positions out of `count`, evenly spaced.

    >>> evenly_spaced(10, 4).tolist()
    [0, 2, 5, 7]
    """
    return np.arange(count) if count <= most else np.arange(most) * count // most
