"""Writing tables: the predictions file, with all columns the user had."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.data.files import COMPRESSIONS, compressed, split_suffixes
from bertworks.errors import DataError

_LINE_ENDS = frozenset("\r\n")
_WRITABLE = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


def with_columns(table: pa.Table, columns: Mapping[str, Sequence[Any] | pa.Array]) -> tuple[pa.Table, list[str]]:
    """The table with further columns, and a line for each that had to be renamed because its name was taken.

    Raises `DataError` where a column is not as long as the table.

    >>> table, told = with_columns(pa.table({"text": ["a"], "label": ["x"]}), {"label": ["y"]})
    >>> table.column_names, told
    (['text', 'label', 'label_2'], ["the source has a column 'label' already: the new one is called 'label_2'"])
    """
    told = []
    for name, values in columns.items():
        if len(values) != table.num_rows:
            raise DataError(f"the column '{name}' has {len(values):,} values for {table.num_rows:,} rows")
        free, number = name, 2
        while free in table.column_names:
            free, number = f"{name}_{number}", number + 1
        if free != name:
            told.append(f"the source has a column '{name}' already: the new one is called '{free}'")
        table = table.append_column(free, values if isinstance(values, pa.Array) else pa.array(values))
    return table, told


def write_table(table: pa.Table, path: str | Path) -> Path:
    """Writes .csv .tsv .jsonl .ndjson .json or .parquet, also with .gz .xz .bz2 .zst, whole or not at all.

    The file appears under its name only when it is complete; until then an existing one stays as it is. In CSV
    and TSV a list of texts becomes `a|b` and other nested values JSON; null is the empty cell.

    Raises `DataError` for another suffix or where the file cannot be written.
    """
    path = check_writable(path)
    suffix, compression = split_suffixes(path)[1:]
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    write: Callable[[pa.Table, IO[bytes]], object] = parquet.write_table if suffix == ".parquet" else _writer(suffix)
    try:
        with open(unfinished, "wb") as file:
            with compressed(file, compression) as stream:
                write(table, stream)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"'{path}' cannot be written: {reason}; choose another place") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return path


def check_writable(path: str | Path) -> Path:
    """The path of a table that is to be written, so that what is wrong with it is known before the table is computed.

    Raises `DataError` for a suffix of no format, a folder that does not exist, and a folder in the file's place.
    """
    try:
        path = Path(path).expanduser()
        there, home, blocked = path.is_dir(), path.parent.is_dir(), path.parent.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a folder that may not be entered, the home of nobody
        raise DataError(f"'{path!s:.200}' cannot be written: {error}; choose another place") from error
    if split_suffixes(path)[1] not in _WRITABLE:
        known = f"{' '.join(_WRITABLE)}, each also with {' '.join(COMPRESSIONS)}"
        raise DataError(f"'{path}': no table can be written with this suffix; supported are {known}")
    if there or not home:
        what = (
            f"'{path.parent}' is a file, not a folder: choose another place"
            if blocked
            else f"the folder '{path.parent}' does not exist: make it first"
        )
        raise DataError(f"'{path}' cannot be written: {'it is a folder: name a file in it' if there else what}")
    return path


def _writer(suffix: str) -> Callable[[pa.Table, IO[bytes]], None]:
    lines: Callable[[pa.Table], Iterator[str]] = _json_array if suffix == ".json" else _json_lines
    if suffix in (".csv", ".tsv"):
        lines = _comma_lines if suffix == ".csv" else _tab_lines

    def write(table: pa.Table, stream: IO[bytes]) -> None:
        for line in lines(table):
            stream.write(line.encode("utf-8"))

    return write


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=4096):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _json_rows(table: pa.Table) -> Iterator[str]:
    names = table.column_names
    if len(set(names)) < len(names):
        raise DataError(f"JSON cannot hold two columns of one name; the columns are {', '.join(names)}")
    for row in _rows(table):
        values = (None if value != value else value for value in row)  # NaN is no JSON
        yield json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, default=str)


def _json_lines(table: pa.Table) -> Iterator[str]:
    return (row + "\n" for row in _json_rows(table))


def _json_array(table: pa.Table) -> Iterator[str]:
    yield "["
    for number, row in enumerate(_json_rows(table)):
        yield (",\n" if number else "\n") + row
    yield "\n]\n"


def _comma_lines(table: pa.Table) -> Iterator[str]:
    return _delimited_lines(table, ",")


def _tab_lines(table: pa.Table) -> Iterator[str]:
    return _delimited_lines(table, "\t")


def _delimited_lines(table: pa.Table, delimiter: str) -> Iterator[str]:
    special, alone = frozenset(f'"\r\n{delimiter}'), table.num_columns == 1

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    def cell(value: Any) -> str:
        text = _cell(value)
        if not special.isdisjoint(text):
            return quoted(text)
        return text or ('""' if alone else "")  # a blank line would be no row

    # A cell of several lines with tabs looks like rows without quoting, unless the header is in quotes too.
    like_rows = delimiter == "\t" and any(
        "\t" in text and not _LINE_ENDS.isdisjoint(text) for row in _rows(table) for text in map(_cell, row)
    )
    yield delimiter.join(map(quoted if like_rows else cell, table.column_names)) + "\n"
    for row in _rows(table):
        yield delimiter.join(map(cell, row)) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
