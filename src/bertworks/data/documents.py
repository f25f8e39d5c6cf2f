"""`read_documents`: the texts of files of any size, one after the other, with a number for everything that is left out."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.data.columns import choose_columns, is_text
from bertworks.data.faults import BadRow, OnBadRows, check_on_bad_rows, settle
from bertworks.data.files import check_encoding, opened, split_suffixes
from bertworks.data.formats import read_file
from bertworks.data.loaded import ReadOptions
from bertworks.data.records import json_row, rows_to_table
from bertworks.data.table import Table
from bertworks.data.text_files import Sources, find_files
from bertworks.data.text_stream import Line, OnBadBytes, TextCounts, parts_of, text_blocks, text_lines
from bertworks.errors import DataError, SettingsError, nearest

Unit = Literal["line", "paragraph", "file"]
"""What a document is in plain text: a line, the lines up to a blank one, or the whole file."""

LONGEST = 1_000_000
"""Characters of the longest document; a longer one is cut, and each cut counted."""
_LONGEST_ROW = 1 << 26
_SAMPLE = 100
_ROWS_AT_ONCE = 1024


class Document(NamedTuple):
    """A text out of a file."""

    text: str
    source: str
    """The file's path."""
    number: int
    """The document's number in its file, from 0."""
    line: int
    """The line in which it begins, from 1; in tables that are not of lines its row, from 1."""


@dataclass(frozen=True)
class _Reading:
    """How files are read, and the counts that are kept while they are."""

    unit: Unit
    column: str | None
    options: ReadOptions
    on_bad_bytes: OnBadBytes
    longest: int
    counts: TextCounts

    def settle(self, row: BadRow, source: str) -> None:
        """Counts a row that cannot be read, or raises `DataError` about it."""
        self.counts.dropped += settle([row], source, self.options.on_bad_rows)


Texts = Iterator[tuple[str, int]]
"""Texts with the line or row in which each begins."""
Watch = Callable[[int], None]
"""Called with the bytes of the file that were read so far."""


def read_documents(
    files: Sources,
    *,
    unit: Unit = "line",
    text: str | None = None,
    encoding: str = "utf-8",
    on_bad_rows: OnBadRows = "error",
    on_bad_bytes: OnBadBytes = "error",
    longest: int = LONGEST,
    counts: TextCounts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Document]:
    """The documents of files, folders and patterns (see `find_files`), read as they are asked for.

    In plain text (`.txt`, and any suffix that is not that of a table) a document is a `unit`: a line, the lines up
    to a blank one (joined by line feeds), or the file. In a table (.jsonl .ndjson .parquet .csv .tsv .json) it is the
    `text` column of a row, which is guessed by well-known names where that is safe. All also with .gz .xz .bz2 .zst.
    Texts of white space only are no documents; those of table rows are counted. No document has more than `longest`
    characters: longer texts are cut, and the cuts counted.

    Of a plain, JSON-lines or Parquet file only a part is ever in memory. The other tables are read whole, as
    `read_table` reads them, and a wrong byte there is always an error.

    `counts` is kept up to date while documents are taken; `progress` is called with the bytes of files done and in
    all. Whether the files exist is checked at once, what is in them when it is their turn.

    Raises `DataError` where a file or column is missing, damaged or, unless `on_bad_rows` is "drop" or
    `on_bad_bytes` "replace", a row or a byte of it cannot be read; the message says where. Raises `SettingsError`
    for a wrong setting.
    """
    check_on_bad_rows(on_bad_rows)
    for name, value, kinds in (("unit", unit, Unit), ("on_bad_bytes", on_bad_bytes, OnBadBytes)):
        if value not in get_args(kinds):
            raise SettingsError(f"{name} is one of {', '.join(get_args(kinds))}, not {value!r}.{nearest(str(value), get_args(kinds))}")
    if longest < 1:
        raise SettingsError(f"longest is a number of characters, at least 1, not {longest}")
    counts = TextCounts() if counts is None else counts
    options = ReadOptions(check_encoding(encoding), None, on_bad_rows)
    paths = find_files(files, counts.notes)
    return _documents(paths, _Reading(unit, text, options, on_bad_bytes, longest, counts), progress)


def _documents(paths: Sequence[Path], reading: _Reading, progress: Callable[[int, int], None] | None) -> Iterator[Document]:
    sizes = [path.stat().st_size for path in paths]
    counts, done = reading.counts, 0

    def watch(read: int) -> None:
        if progress is not None:
            progress(done + read, sum(sizes))

    for path, size in zip(paths, sizes, strict=True):
        source, number = str(path), 0
        for text, line in _texts(path, reading, watch):
            pieces = parts_of(text, reading.longest)
            counts.cuts += len(pieces) - 1
            for piece in pieces:
                counts.documents += 1
                counts.characters += len(piece)
                yield Document(piece, source, number, line)
                number += 1
        counts.files += 1
        if not number:
            counts.notes["without a text"] += 1
        done += size
        watch(0)


def _texts(path: Path, reading: _Reading, watch: Watch) -> Texts:
    suffix, compression = split_suffixes(path)[1:]
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, reading, watch)
    if suffix == ".parquet":
        return _parquet(path, compression, reading, watch)
    if suffix in (".csv", ".tsv", ".json"):
        return _table(path, reading)
    lines = text_lines(text_blocks(path, reading.options.encoding, reading.on_bad_bytes, reading.counts, watch), reading.longest)
    return _single_lines(lines, reading) if reading.unit == "line" else _joined_lines(lines, reading)


def _single_lines(lines: Iterable[Line], reading: _Reading) -> Texts:
    for text, number, ends in lines:
        reading.counts.cuts += not ends
        if text and not text.isspace():
            yield text, number


def _joined_lines(lines: Iterable[Line], reading: _Reading) -> Texts:
    """Paragraphs or whole files. Where one is too long it is cut between two lines."""
    held: list[str] = []
    size = begin = 0
    ended = True
    for text, number, ends in lines:
        blank = not text or text.isspace()
        over = blank and reading.unit == "paragraph"
        if held and (over or not ended or size + len(text) > reading.longest):
            reading.counts.cuts += not over
            yield "\n".join(held), begin
            held.clear()
            size = 0
        if held or not blank:
            begin = begin if held else number
            held.append(text)
            size += len(text) + 1
        ended = ends
    if held:
        yield "\n".join(held).rstrip("\n"), begin


def _json_lines(path: Path, reading: _Reading, watch: Watch) -> Texts:
    rows = _json_rows(path, reading, watch)
    sample = list(islice(rows, _SAMPLE))
    if not sample:
        return
    column = _text_column(rows_to_table([row for row, _ in sample], str(path)), str(path), reading.column)
    for row, line in chain(sample, rows):
        if column in row:
            yield from _row_text(row[column], column, line, str(path), reading)
        else:
            reading.settle(BadRow(line, "no text", f"the row has no '{column}'"), str(path))


def _json_rows(path: Path, reading: _Reading, watch: Watch) -> Iterator[tuple[Any, int]]:
    blocks = text_blocks(path, reading.options.encoding, reading.on_bad_bytes, reading.counts, watch)
    whole = True
    for text, number, ends in text_lines(blocks, _LONGEST_ROW):
        if not ends and whole:
            reading.settle(BadRow(number, "row too long", f"the row has more than {_LONGEST_ROW:,} characters"), str(path))
        elif ends and whole and text and not text.isspace():
            row = json_row(text, number)
            if isinstance(row, BadRow):
                reading.settle(row, str(path))
            else:
                yield row, number
        whole = ends


def _parquet(path: Path, compression: str, reading: _Reading, watch: Watch) -> Texts:
    try:
        # Else whole row groups would be in memory.
        with _seekable(path, compression) as raw, parquet.ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False) as file:
            column = _text_column(file.schema_arrow.empty_table(), str(path), reading.column)
            size, row, rows = path.stat().st_size, 0, max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[column], use_threads=False):
                for value in batch.column(column).to_pylist():
                    row += 1
                    if value is not None:
                        reading.counts.bytes += len(value.encode("utf-8"))
                    yield from _row_text(value, column, row, str(path), reading)
                watch(size * row // rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not a whole Parquet file: {str(error).splitlines()[0]}") from error


@contextmanager
def _seekable(path: Path, compression: str) -> Iterator[Any]:
    """A file that can be read from any place: a compressed one is unpacked to the disk first."""
    if not compression:
        yield str(path)
        return
    with TemporaryFile() as unpacked:
        with opened(path) as (stream, _):
            shutil.copyfileobj(stream, unpacked, 1 << 20)
        unpacked.seek(0)
        yield unpacked


def _table(path: Path, reading: _Reading) -> Texts:
    loaded = read_file(path, reading.options)
    reading.counts.dropped += loaded.dropped
    column = _text_column(loaded.table, str(path), reading.column)
    for value, number in zip(loaded.table[column].to_pylist(), loaded.row_numbers().tolist(), strict=True):
        reading.counts.bytes += len((value or "").encode("utf-8"))
        yield from _row_text(value, column, number + 1, str(path), reading)


def _row_text(value: Any, column: str, row: int, source: str, reading: _Reading) -> Texts:
    """The text of a row. An empty one is counted, what is no text is a fault."""
    if isinstance(value, str) and value and not value.isspace():
        yield value, row
    elif value is None or isinstance(value, str):
        reading.counts.dropped["empty text"] += 1
    else:
        reading.settle(BadRow(row, "text is not a string", f"'{column}' is {value!r:.40}, not a string"), source)


def _text_column(table: pa.Table, source: str, wanted: str | None) -> str:
    rows = Table(table, source, None, np.arange(table.num_rows))
    columns = choose_columns(rows, text=wanted, pair=None, label=False, require_labels=False)
    if columns.pair is not None:
        raise DataError(
            f"{source} has two texts a row, {columns.text} and {columns.pair}: "
            f'name the one to read with text="{columns.text}" (--text {columns.text})'
        )
    if not is_text(table.schema.field(columns.text).type):
        raise DataError(f"{source}: the column '{columns.text}' is of the type {table.schema.field(columns.text).type}, not text")
    return columns.text
