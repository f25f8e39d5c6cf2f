"""Files and models that memory does not hold, and small files that become large ones."""

import gzip
from pathlib import Path

from bertworks.errors import CheckpointError, DataError
from tests.faults.case import Case, done, file, memory_of


def _nothing_in_parquet() -> None:
    """Half a billion missing values in some kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    with parquet.ParquetWriter("data.parquet", pa.schema({"text": pa.string()})) as writer:
        table = pa.table({"text": pa.nulls(10**6, pa.string())})
        for _ in range(100):
            writer.write_table(table)


MEMORY = [
    Case(
        "a bomb: a small .gz file that becomes a large one",
        "read_texts('bomb.csv.gz')",
        DataError,
        "'bomb.csv.gz' holds more than",
        "split the file",
        (file("bomb.csv.gz", gzip.compress(b"text\n" + b"a" * 9_000_000)), memory_of(10**7)),
    ),
    Case(
        "a file larger than memory",
        "read_texts('large.csv')",
        DataError,
        "'large.csv' holds more than 9.0 MB",
        "split the file",
        (file("large.csv", b"text\n" + b"a" * 9_000_000), memory_of(10**7)),
    ),
    Case(
        "a Parquet file that becomes a large table",
        "read_texts('data.parquet')",
        DataError,
        "'data.parquet' takes",
        "split the file",
        (done(_nothing_in_parquet), memory_of(10**6)),
    ),
    Case(
        "a model larger than memory",
        "bw.load('model')",
        CheckpointError,
        "model takes",
        "a smaller model or a larger machine",
        (memory_of(1000),),
    ),
    Case(
        "a JSON file that no model has",
        "bw.load('model')",
        CheckpointError,
        "model/config.json is larger than 64.0 MB",
        "download or copy the model again",
        (done(lambda: Path("model/config.json").write_bytes(b" " * 70_000_000)),),
    ),
]
