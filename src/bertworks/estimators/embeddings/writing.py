"""Files of vectors, written chunk by chunk: NumPy's .npy, or Parquet with the other columns of a table."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_file
from bertworks.errors import DataError

VECTOR = "vector"
SUFFIXES = (".npy", ".parquet")


def check_output(path: Path) -> Path:
    """The path, if vectors can be written there. Raises `DataError` for another suffix, or a folder that does not exist."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"'{path}': vectors are written to {' or '.join(SUFFIXES)} files, not '{path.suffix or path.name}'")
    if not path.parent.is_dir():
        raise DataError(f"'{path}' cannot be written: the folder '{path.parent}' does not exist: make it first")
    return path


def ranges_path(path: Path) -> Path:
    """Where the ranges of int8 vectors lie: lowest and highest value of each feature, `[2, features]`.

    >>> ranges_path(Path("corpus.npy")).name
    'corpus.ranges.npy'
    """
    return path.with_suffix(".ranges.npy")


def write_npy(path: Path, chunks: Iterable[Array], rows: int) -> None:
    """Writes so many rows that come in chunks, whole or not at all."""
    found = iter(chunks)
    first = next(found)
    with atomic_file(path, needed=rows * first[0].nbytes) as stream:
        kind = np.lib.format.dtype_to_descr(first.dtype)
        header: dict[str, Any] = {"descr": kind, "fortran_order": False, "shape": (rows, first.shape[1])}
        np.lib.format.write_array_header_1_0(stream, header)
        for chunk in _all(first, found):
            stream.write(np.ascontiguousarray(chunk).data)


def write_parquet(path: Path, chunks: Iterable[Array], table: pa.Table) -> list[str]:
    """Writes a table with a further column `vector`, whole or not at all; returns a line where that name was taken."""
    name, number = VECTOR, 2
    while name in table.column_names:
        name, number = f"{VECTOR}_{number}", number + 1
    found = iter(chunks)
    first = next(found)
    kind = pa.list_(pa.from_numpy_dtype(first.dtype), first.shape[1])
    schema = table.schema.append(pa.field(name, kind))
    with atomic_file(path, needed=len(table) * first[0].nbytes) as stream, parquet.ParquetWriter(stream, schema) as writer:
        done = 0
        for chunk in _all(first, found):
            column = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(chunk).reshape(-1)), first.shape[1])
            writer.write_table(table.slice(done, len(chunk)).append_column(pa.field(name, kind), column))
            done += len(chunk)
    return [] if name == VECTOR else [f"the source has a column '{VECTOR}' already: the new one is called '{name}'"]


def _all(first: Array, others: Iterator[Array]) -> Iterator[Array]:
    yield first
    yield from others
