"""What a source denotes: a file, a folder, an object in memory, or a data set of the Hugging Face hub."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.data.files import missing_file, split_suffixes
from bertworks.data.folders import open_folder
from bertworks.data.formats import read_file
from bertworks.data.hub import from_datasets, from_hub
from bertworks.data.loaded import Loaded, ReadOptions, Source
from bertworks.data.records import columns_to_table, rows_to_table
from bertworks.errors import DataError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")


def open_source(source: Any, wanted: Sequence[str], options: ReadOptions) -> Source:
    """The source that `source` denotes; `wanted` names the splits that will be read (a hub set loads no others).

    Raises `DataError` where there is no such file, folder, object or data set.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str | Path):
        return _named(source, wanted, options)
    package, kind = type(source).__module__.split(".")[0], type(source).__name__
    if package == "datasets":
        return from_datasets(source, f"the datasets.{kind}")
    if isinstance(source, pa.Table | pa.RecordBatch):
        table = pa.Table.from_batches([source]) if isinstance(source, pa.RecordBatch) else source
    elif package == "pandas" and kind == "DataFrame":
        # .items() meets columns of equal names one by one, where frame[name] would not.
        return _memory(f"the {package}.{kind}", lambda: _pandas_table(source))
    elif package == "polars" and kind == "DataFrame":
        table = source.to_arrow()
    elif isinstance(source, Mapping):
        return _memory("the dict of columns", lambda: columns_to_table(source, "the dict of columns"))
    elif isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        return _memory(f"the list of {len(source):,} rows", lambda: rows_to_table(source, "the list of rows"))
    elif isinstance(source, Sequence) and source and all(isinstance(row, str) for row in source):
        return _memory(f"the list of {len(source):,} texts", lambda: columns_to_table({"text": source}, "the list of texts"))
    else:
        what = "an empty list" if isinstance(source, Sequence) and not source else f"a {package}.{kind}"
        raise DataError(
            f"no table can be read from {what}. Give a path, a hub name, a pandas or polars DataFrame, a pyarrow Table, "
            "a datasets.Dataset, a list of dicts or a dict of columns."
        )
    return _memory(f"the {package}.{kind}", lambda: table)


def _memory(name: str, table: Callable[[], pa.Table]) -> Source:
    return Source(name, {"": lambda: Loaded(table())}, one_table=True)


def _pandas_table(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns]
    arrays = columns_to_table({str(i): column for i, (_, column) in enumerate(frame.items())}, "the pandas.DataFrame")
    return arrays.rename_columns(names)


def _named(source: str | Path, wanted: Sequence[str], options: ReadOptions) -> Source:
    if not str(source):
        raise DataError("an empty name is no data: name a file, a folder or a data set")
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return open_folder(path, options)
        exists = path.exists()
    except (OSError, RuntimeError) as error:  # a folder that may not be entered, a name too long, the home of nobody
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
        raise DataError(f"'{source!s:.200}' cannot be read: {reason}; name another file or folder") from error
    stem, suffix, compression = split_suffixes(path)
    if exists:
        return Source(str(source), {stem: lambda: read_file(path, options)}, one_table=True)
    is_hub_name = isinstance(source, str) and not suffix and not compression and _HUB_NAME.fullmatch(source)
    if not is_hub_name or (path.parent != Path(".") and path.parent.is_dir()):
        raise missing_file(path)
    return from_hub(str(source), wanted)
