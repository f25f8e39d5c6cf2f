"""The formats of files: the suffix says how a file is read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.checkpoints.available_memory import shortage
from bertworks.data.delimited import read_delimited
from bertworks.data.files import FORMATS, decode_text, opened, read_bytes, split_suffixes, supported, with_line_feeds
from bertworks.data.loaded import Loaded, ReadOptions
from bertworks.data.records import read_json, read_json_lines, text_lines_to_table
from bertworks.errors import DataError


def read_file(path: Path, options: ReadOptions) -> Loaded:
    """The table in one file, by its suffix. Raises `DataError` where the suffix or the content cannot be read."""
    suffix, compression = split_suffixes(path)[1:]
    if suffix not in FORMATS:
        raise DataError(f"'{path}': no table format has the suffix '{path.suffix}'; supported are {supported()}")
    if suffix == ".parquet":
        return Loaded(_read_parquet(path, compression))
    text, name = decode_text(read_bytes(path), options.encoding, str(path)), str(path)
    if suffix in (".csv", ".tsv"):
        return read_delimited(text, name, tabs=suffix == ".tsv", delimiter=options.delimiter, on_bad_rows=options.on_bad_rows)
    if suffix in (".jsonl", ".ndjson"):
        return read_json_lines(text, name, options.on_bad_rows)
    if suffix == ".json":
        return read_json(text, name, options.on_bad_rows)
    if not text:
        raise DataError(f"{name} is empty: name another file, or write this one again")
    if "\x00" in text:
        raise DataError(f"{name}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL byte; the file is damaged or not text")
    return Loaded(text_lines_to_table(with_line_feeds(text).removesuffix("\n").split("\n")))


def _read_parquet(path: Path, compression: str) -> pa.Table:
    """The table of a Parquet file, unless its description of itself says that memory does not hold it.

    What a small hostile file can make of few repeated texts is bounded by memory alone.
    """
    try:
        with opened(path), parquet.ParquetFile(pa.BufferReader(read_bytes(path)) if compression else str(path)) as file:
            missing = shortage(_bytes_of(file.metadata))
            if missing is not None:
                raise DataError(f"'{path}' takes {missing}: split the file, or close other programs")
            table = file.read()
            table.validate(full=True)
            return table
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"'{path}' is not a whole Parquet file ({reason}): write or copy it again") from error


def _bytes_of(description: parquet.FileMetaData) -> int:
    """What the table takes at least, by the file's own word: its columns decompressed, a bit a value for what is null."""
    groups = (description.row_group(i) for i in range(description.num_row_groups))
    return int(max(sum(max(0, group.total_byte_size) for group in groups), description.num_rows * description.num_columns // 8))
