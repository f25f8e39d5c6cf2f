"""Files of vectors, written chunk by chunk: NumPy's .npy, or Parquet with the other columns of a table."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from jaxtyping import Float, Int

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_file
from bertworks.errors import DataError

VECTOR = "vector"
_TOKENS_AT_ONCE = 4096
SUFFIXES = (".npy", ".parquet")


class TokenVectors(Protocol):
    """The vectors of a text's tokens (`feature_extractor.TokenFeatures`)."""

    @property
    def tokens(self) -> list[str]: ...
    @property
    def offsets(self) -> Int[Array, "tokens 2"]: ...
    @property
    def vectors(self) -> Float[Array, "tokens width"]: ...


def check_output(path: Path, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """The path, if vectors can be written there. Raises `DataError` for another suffix, or a folder that does not exist."""
    if path.suffix not in suffixes:
        raise DataError(f"'{path}': vectors are written to {' or '.join(suffixes)} files, not '{path.suffix or path.name}'")
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


def write_token_parquet(path: Path, texts: Iterable[tuple[int, TokenVectors]], width: int) -> None:
    """Writes a row for each token of texts that come with the numbers of their rows, whole or not at all: row, token, start, end and
    vector (of so many features). Memory holds what comes together of the texts, some thousand tokens."""
    kind = pa.list_(pa.float32(), width)
    columns = {"row": pa.int64(), "token": pa.string(), "start": pa.int64(), "end": pa.int64(), VECTOR: kind}
    schema = pa.schema(list(columns.items()))
    with atomic_file(path) as stream, parquet.ParquetWriter(stream, schema) as writer:
        for together in _together(texts):
            vectors = np.concatenate([text.vectors for _, text in together])
            spans = np.concatenate([text.offsets for _, text in together])
            rows = np.repeat([row for row, _ in together], [len(text.tokens) for _, text in together])
            tokens = [token for _, text in together for token in text.tokens]
            values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), width)
            arrays = [pa.array(rows), pa.array(tokens, pa.string()), pa.array(spans[:, 0]), pa.array(spans[:, 1]), values]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _together(texts: Iterable[tuple[int, TokenVectors]]) -> Iterator[list[tuple[int, TokenVectors]]]:
    """Texts in groups of some thousand tokens."""
    group: list[tuple[int, TokenVectors]] = []
    tokens = 0
    for row, text in texts:
        group.append((row, text))
        tokens += len(text.tokens)
        if tokens >= _TOKENS_AT_ONCE:
            yield group
            group, tokens = [], 0
    if group:
        yield group


def _all(first: Array, others: Iterator[Array]) -> Iterator[Array]:
    yield first
    yield from others
