"""Tables of any column types that Arrow has, in memory and through a Parquet file: the bytes are the seed of a random draw."""

import datetime
import decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from tests.fuzz.target import Target, only_deliberate_errors

_DAY = datetime.datetime(2020, 1, 2, 3, 4, 5)
_PLAIN: list[tuple[pa.DataType, list[Any]]] = [
    *[(kind, [0, 1, 7]) for kind in (pa.int8(), pa.int64(), pa.uint8(), pa.uint64())],
    *[(kind, [0.0, -1.5, float("nan"), float("inf")]) for kind in (pa.float16(), pa.float32(), pa.float64())],
    *[(kind, ["", " ", "good", "a|b", "['x', 'y']", "1", "-2.5", "naïve 😁", "nan"]) for kind in (pa.string(), pa.large_string())],
    (pa.string_view(), ["a", "b"]),
    *[(kind, [b"", b"\xff\xfe", b"text"]) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())],
    (pa.bool_(), [True, False]),
    (pa.null(), [None]),
    (pa.date32(), [_DAY.date()]),
    (pa.timestamp("us"), [_DAY]),
    (pa.timestamp("us", tz="UTC"), [_DAY.replace(tzinfo=datetime.UTC)]),
    (pa.duration("us"), [datetime.timedelta(days=1)]),
    (pa.time64("us"), [_DAY.time()]),
    (pa.decimal128(30, 2), [decimal.Decimal("1.50"), decimal.Decimal("99999999999999999999.25")]),
    (pa.decimal256(60, 0), [decimal.Decimal(10**50)]),
    (pa.binary(2), [b"ab"]),
]
_NAMES = ["text", "label", "sentence1", "sentence2", "split", "score", "labels", "", "id", "text ", "\x1b[2J", "TEXT", "x"]


def _column(random: Random, rows: int, depth: int = 0) -> pa.Array:
    """A column of some type, maybe nested, with nulls in it."""
    nested = random.random() < 0.35 and depth < 2
    shape = random.choice(["list", "large_list", "fixed", "struct", "map", "dictionary"]) if nested else "plain"
    if shape == "plain":
        kind, values = random.choice(_PLAIN)
        return pa.array([None if random.random() < 0.2 else random.choice(values) for _ in range(rows)], kind)
    inner = _column(random, 2 * rows, depth + 1)
    if shape == "dictionary":
        kind, values = random.choice(_PLAIN[:11])
        numbers = pa.array([random.randrange(len(values)) for _ in range(rows)], pa.int32())
        return pa.DictionaryArray.from_arrays(numbers, pa.array(values, kind))
    if shape == "struct":
        return pa.StructArray.from_arrays([inner[:rows], inner[rows : 2 * rows]], ["a", "b"])
    if shape == "fixed":
        return pa.FixedSizeListArray.from_arrays(inner, 2)
    offsets = sorted(random.choices(range(2 * rows + 1), k=rows + 1))
    if shape == "map":
        return pa.MapArray.from_arrays(offsets, pa.array([f"k{i}" for i in range(len(inner))]), inner)
    if shape == "list":
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), inner)


def _use(source: Any, names: list[str]) -> None:
    from bertworks.data.text_data import read_texts
    from bertworks.data.writing import with_columns, write_table

    for kind in ("auto", "single", "multi", "number"):
        with only_deliberate_errors():
            for _ in read_texts(source, text=names[0], label=names[-1] if len(names) > 1 else None, kind=kind, on_bad_rows="drop"):
                pass
    with only_deliberate_errors():
        data = read_texts(source, label=False, require_labels=False)
        table, _ = with_columns(data.table.data, {"prediction": ["x"] * len(data)})
        for suffix in (".csv", ".jsonl", ".parquet"):
            with only_deliberate_errors():
                write_table(table, Path(str(source) if isinstance(source, Path) else "x").with_name(f"out{suffix}"))


def _table(data: bytes, folder: Path) -> None:
    import contextlib

    import pyarrow.parquet as parquet

    random = Random(data)
    rows = random.choice([0, 1, 3, 8])
    names = random.choices(_NAMES, k=random.randint(1, 5))
    table = pa.table([_column(random, rows) for _ in names], names=names)
    with contextlib.chdir(folder):
        _use(table, names)
        try:
            parquet.write_table(table, folder / "data.parquet")
        except (pa.ArrowException, ValueError):
            return  # not every type has a place in Parquet
        _use(folder / "data.parquet", names)


TABLES: dict[str, Target] = {"tables": Target(lambda: [bytes([i]) for i in range(32)], _table)}
