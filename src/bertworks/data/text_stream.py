"""The text of a file of any size, block by block and line by line: what is in memory never grows with the file."""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import IncrementalNewlineDecoder
from pathlib import Path
from typing import Literal, NamedTuple

from bertworks.data.files import BYTE_ORDER_MARKS, check_encoding, check_for_text, opened, undecodable
from bertworks.errors import DataError

OnBadBytes = Literal["error", "replace"]
"""What is done with bytes that are no text in the file's encoding: stop, or put U+FFFD in their place and count them."""

BLOCK = 1 << 20
"""Bytes that are read at a time."""
REPLACEMENT = "\ufffd"
_ESCAPED = re.compile("[\udc80-\udcff]+")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass
class TextCounts:
    """What was read of text files, and what was not. Counts of several readers may be added."""

    files: int = 0
    """Files that were read to their end."""
    bytes: int = 0
    """Bytes of text, decompressed; of Parquet files those of the texts alone, as UTF-8."""
    documents: int = 0
    characters: int = 0
    """Characters of the documents."""
    undecodable_bytes: int = 0
    """Bytes that are no text in the file's encoding (outside UTF-8: runs of them), replaced by U+FFFD."""
    first_undecodable: str = ""
    """File and line of the first of them."""
    cuts: int = 0
    """Places where a text longer than a document may be was cut in two."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows without a text that could be read, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Files that are noteworthy, by reason."""

    def __add__(self, other: "TextCounts") -> "TextCounts":
        first = self.first_undecodable or other.first_undecodable
        sums = {name: value + getattr(other, name) for name, value in vars(self).items() if name != "first_undecodable"}
        return TextCounts(**sums, first_undecodable=first)

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    def lines(self) -> list[str]:
        """What a person should know; lines about losses appear only where there are any."""
        out = [f"{self.files:,} files, {self.documents:,} documents, {self.characters:,} characters"]
        if self.undecodable_bytes:
            out.append(
                f"{self.undecodable_bytes:,} bytes that are no text replaced by {REPLACEMENT}, the first in {self.first_undecodable}"
            )
        if self.cuts:
            out.append(f"{self.cuts:,} cuts in texts that were too long for one document")
        out += [f"{count:,} rows dropped: {reason}" for reason, count in self.dropped.items()]
        return out + [f"{count:,} files: {reason}" for reason, count in self.notes.items()]


class Line(NamedTuple):
    """A line of a file, or a part of one that is too long."""

    text: str
    """Without its line end."""
    number: int
    """From 1."""
    ends: bool = True
    """Whether the line ends here; else it goes on with the next part."""


def text_blocks(
    path: Path, encoding: str, on_bad_bytes: OnBadBytes, counts: TextCounts, watch: Callable[[int], None] | None = None
) -> Iterator[str]:
    """The text of a file, decompressed by its suffix, in blocks of about a million characters.

    A byte order mark is obeyed where `encoding` is UTF-8, and never part of the text. `watch` is called with the
    bytes read of the file as it lies on the disk.

    Raises `DataError` with line and byte offset (both of the decompressed file) at the first wrong byte, unless
    such bytes are to be replaced.
    """
    with opened(path) as (stream, raw):
        first = stream.read(BLOCK)
        name = _settled(encoding, first)
        decode = _decoder(name, on_bad_bytes, str(path), counts)
        text = decode(first, not first).removeprefix("\ufeff")
        check_for_text(text[:1000], name, str(path))
        block = first
        while block:
            counts.bytes += len(block)
            if text:
                yield text
            if watch is not None and raw.seekable():
                watch(raw.tell())
            block = stream.read(BLOCK)
            text = decode(block, not block)
        if text:
            yield text


def text_lines(blocks: Iterable[str], longest: int) -> Iterator[Line]:
    """The lines of a text that comes in blocks; a line of more than `longest` characters comes in parts.

    A line ends with a line feed, a carriage return or both. Parts are cut before a space where one is at hand, and put
    together they are the line.

    >>> [tuple(line) for line in text_lines(["a\\r\\nsome wor", "ds\\n"], longest=6)]
    [('a', 1, True), ('some', 2, False), (' words', 2, True)]
    """
    number, size = 1, 0
    held: list[str] = []
    for block in _with_line_feeds(blocks):
        for place, part in enumerate(block.split("\n")):
            if place:
                *parts, last = parts_of("".join(held), longest)
                yield from (Line(text, number, False) for text in parts)
                yield Line(last, number)
                number, size = number + 1, 0
                held.clear()
            held.append(part)
            size += len(part)
        if size > longest:
            *parts, last = parts_of("".join(held), longest)
            yield from (Line(text, number, False) for text in parts)
            held, size = [last], len(last)
    if size:
        *parts, last = parts_of("".join(held), longest)
        yield from (Line(text, number, False) for text in parts)
        yield Line(last, number)


def _with_line_feeds(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks with every line end as a line feed, also where it lies in two of them."""
    decoder = IncrementalNewlineDecoder(None, translate=True)
    for block in blocks:
        yield decoder.decode(block)
    yield decoder.decode("", final=True)


def parts_of(text: str, longest: int) -> list[str]:
    """A text in parts of at most `longest` characters, cut before white space where that is at hand.

    >>> parts_of("some words", 6)
    ['some', ' words']
    """
    start, parts = 0, []
    while len(text) - start > longest:
        space = max(text.rfind(space, start + longest // 2, start + longest + 1) for space in " \n")
        end = space if space > start else start + longest
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def _settled(encoding: str, beginning: bytes) -> str:
    name = check_encoding(encoding)
    if name in ("utf-8", "utf-8-sig"):
        return next((marked for mark, marked in BYTE_ORDER_MARKS if beginning.startswith(mark)), "utf-8")
    return name


def _decoder(name: str, on_bad_bytes: OnBadBytes, source: str, counts: TextCounts) -> Callable[[bytes, bool], str]:
    """A function that decodes block after block; the second argument says whether the block is the last, which is empty."""
    # Escaped bytes are counted one by one, but not every encoding can escape them.
    errors = "strict" if on_bad_bytes == "error" else "surrogateescape" if name == "utf-8" else "replace"
    decoder = codecs.getincrementaldecoder(name)(errors)
    offset, line = 0, 1

    def decode(block: bytes, last: bool) -> str:
        nonlocal offset, line
        try:
            text = decoder.decode(block, last)
            if name != "utf-8":
                text.encode("utf-8")  # some codecs let halves of surrogate pairs through, which are no characters
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(error.encoding, errors="replace")
            at = offset + len(block) - len(error.object) + error.start
            wrong, around = error.object[error.start : error.start + 1], error.object[max(0, error.start - 1000) :]
            raise undecodable(source, line + before.count("\n"), wrong, at, name, around) from None
        except UnicodeEncodeError as error:
            if on_bad_bytes == "error":
                raise DataError(f"{source} is not valid {name.upper()}: {error}") from None
            text = _SURROGATES.sub(REPLACEMENT, text)
        if on_bad_bytes == "replace" and not text.isascii():
            text, found, first = _replaced(text, name)
            if found and not counts.undecodable_bytes:
                counts.first_undecodable = f"{source}, line {line + text.count(chr(10), 0, first):,}"
            counts.undecodable_bytes += found
        offset, line = offset + len(block), line + text.count("\n")
        return text

    return decode


def _replaced(text: str, name: str) -> tuple[str, int, int]:
    """The text with U+FFFD for what could not be decoded, how much that was, and the place of the first."""
    if name != "utf-8":
        return text, text.count(REPLACEMENT), text.find(REPLACEMENT)
    first = _ESCAPED.search(text)
    if first is None:
        return text, 0, -1
    return _ESCAPED.sub(REPLACEMENT, text), sum(len(run) for run in _ESCAPED.findall(text)), first.start()
