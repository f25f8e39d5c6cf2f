"""The examples that a text reader yields."""

from dataclasses import dataclass

Label = str | int | float | tuple[str, ...]
"""A class name (`str`, or `int` where the source has integers), a number, or the names of all labels that apply."""


@dataclass(frozen=True, slots=True)
class TextExample:
    """One row of a text data set.

    >>> TextExample("A fine day.", label="positive", row=3)
    TextExample(text='A fine day.', pair=None, label='positive', row=3)
    """

    text: str
    """The text, or the first text of a pair."""
    pair: str | None = None
    """The second text of a pair."""
    label: Label | None = None
    """What the row is labelled with; None where the source has no labels."""
    row: int = 0
    """The row's number in its source, from 0 (a header is no row)."""
