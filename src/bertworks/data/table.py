"""`read_table`: any source, any split of it, as one table that remembers which rows it has."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.class_labels import with_class_names
from bertworks.data.faults import OnBadRows, check_on_bad_rows
from bertworks.data.files import check_encoding
from bertworks.data.loaded import Loaded, ReadOptions, Source
from bertworks.data.sources import open_source
from bertworks.data.splits import SplitPart, check_taking, parse_split
from bertworks.data.views import without_views
from bertworks.errors import DataError, nearest

_SYNONYMS = ({"validation", "valid", "val", "dev", "eval"}, {"train", "training"}, {"test", "testing"})


@dataclass(frozen=True)
class Table:
    """Rows of a source."""

    data: pa.Table
    """The rows. Cells of CSV and TSV files are strings, as written."""
    source: str
    """The source as shown in messages."""
    split: str | None
    """The split as asked for."""
    rows: Int[Array, "rows"]
    """The number of each row in its source, from 0 (a header is no row); several splits count each from 0."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows of the source that could not be read and were left out, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Rows that were read in a noteworthy way, by reason."""
    whole: pa.Table | None = field(default=None, repr=False)
    """All rows of the splits, where only a slice of them was taken."""

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @property
    def name(self) -> str:
        """Source and split, for messages."""
        return self.source if self.split is None else f"{self.source} ({self.split})"

    def take(self, keep: Array) -> "Table":
        """The rows at the positions `keep`."""
        return Table(self.data.take(pa.array(keep)), self.source, self.split, self.rows[keep], self.dropped, self.notes, self.whole)


def read_table(
    source: Any,
    *,
    split: str | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    on_bad_rows: OnBadRows = "error",
    shuffle_seed: int | None = None,
    limit: int | None = None,
) -> Table:
    """Reads a table from wherever it is.

    `source` is a path of a .csv .tsv .jsonl .ndjson .json .parquet or .txt file (one text a line), each also with
    .gz .xz .bz2 .zst; a folder with a file a split or a folder a class; a pandas or polars DataFrame, a pyarrow
    Table, a `datasets` Dataset or DatasetDict, a list of dicts, a dict of columns, a list of texts; or the name
    of a data set of the hub ("imdb", "user/name", "name:configuration").

    `split` is in the grammar of `splits.py`. A table with a column `split` is selected by it. `shuffle_seed`
    shuffles all rows of a split before slices are taken (one order for each seed and number of rows, so that two
    slices of one split stay disjoint); `limit` keeps the first rows of what is left.

    Raises `DataError` where the source or the split does not exist or cannot be read.

    >>> read_table({"text": ["a", "b", "c", "d"]}, split="[50%:]").rows.tolist()
    [2, 3]
    """
    check_on_bad_rows(on_bad_rows)
    check_encoding(encoding)
    check_taking(shuffle_seed, limit)
    parts = parse_split(split)
    opened = open_source(source, list(dict.fromkeys(part.name for part in parts)), ReadOptions(encoding, delimiter, on_bad_rows))
    loaded: dict[str, Loaded] = {}
    for part in parts:
        if part.name not in loaded:
            loaded[part.name] = _load(opened, part)
    taken = [_take(loaded[part.name], part, shuffle_seed) for part in parts]
    data, rows = _join([table for table, _ in taken], opened.name), np.concatenate([rows for _, rows in taken])
    if split is not None and not len(rows) and any(each.table.num_rows for each in loaded.values()):
        raise DataError(f"the split '{split}' of {opened.name} holds no row")
    if limit is not None:
        data, rows = data.slice(0, limit), rows[:limit]
    whole = _join([each.table for each in loaded.values()], opened.name)
    return Table(
        data=data,
        source=opened.name,
        split=split,
        rows=rows,
        dropped=sum((each.dropped for each in loaded.values()), Counter()),
        notes=sum((each.notes for each in loaded.values()), Counter()),
        whole=whole if data.num_rows < whole.num_rows else None,
    )


def split_names(source: Any) -> dict[str, str]:
    """The splits of a source by their usual names, train, validation and test: what each is called there. Empty where
    the source is a single table. Raises `DataError` as `read_table` does.

    >>> split_names({"text": ["a"]})
    {}
    """
    opened = open_source(source, [], ReadOptions())
    if opened.one_table:
        return {}
    usual = zip(("validation", "train", "test"), _SYNONYMS, strict=True)
    return {name: found for name, words in usual for found in opened.splits if found in words}


def _load(source: Source, part: SplitPart) -> Loaded:
    """The whole table of the split that `part` names, its integer class labels replaced by their names."""
    names = list(source.splits)
    synonyms = next((words for words in _SYNONYMS if part.name in words), set())
    found = part.name if part.name in names else next((name for name in names if name in synonyms), None)
    if not part.name:
        if len(names) != 1:
            raise DataError(f'{source.name} has the splits {", ".join(names)}: choose one with split="{names[0]}" (--split {names[0]})')
        found = names[0]
    if found is not None:
        return _read(source, found)
    if source.one_table:
        loaded = _by_split_column(_read(source, names[0]), part.name)
        if loaded is not None:
            return loaded
        raise DataError(
            f"{source.name} is one table without splits, so there is no split '{part.name}'. Give a slice only, such as split=\"[:2000]\", "
            "or a column named 'split'."
        )
    raise DataError(f"{source.name} has no split '{part.name}'; it has {', '.join(names)}.{nearest(part.name, names)}")


def _read(source: Source, name: str) -> Loaded:
    try:
        loaded = source.splits[name]()
    except MemoryError as error:
        raise DataError(f"{source.name} does not fit into memory: split it, or close other programs") from error
    if not loaded.table.num_columns:
        raise DataError(f"{source.name} is empty: it has no columns")
    return Loaded(with_class_names(_computable(loaded.table, source.name)), loaded.numbers, loaded.dropped, loaded.notes)


def _computable(table: pa.Table, name: str) -> pa.Table:
    try:
        return without_views(table)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{name} has columns of a type that cannot be read: {error}; write them as text, numbers or lists") from error


def _by_split_column(loaded: Loaded, name: str) -> Loaded | None:
    """The rows whose column `split` says `name`, or None where no row does."""
    if loaded.table.column_names.count("split") != 1:
        return None
    chosen: Array = np.array([value == name for value in loaded.table["split"].to_pylist()], dtype=bool)
    if not chosen.any():
        return None
    return Loaded(loaded.table.filter(pa.array(chosen)), loaded.row_numbers()[chosen], loaded.dropped, loaded.notes)


def _take(loaded: Loaded, part: SplitPart, shuffle_seed: int | None) -> tuple[pa.Table, Int[Array, "rows"]]:
    start, stop = part.bounds(loaded.table.num_rows)
    if shuffle_seed is None:
        return loaded.table.slice(start, stop - start), loaded.row_numbers()[start:stop]
    order = np.random.Generator(np.random.PCG64(shuffle_seed)).permutation(loaded.table.num_rows)[start:stop]
    return loaded.table.take(pa.array(order)), loaded.row_numbers()[order]


def _join(tables: Sequence[pa.Table], source: str) -> pa.Table:
    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"the splits of {source} have different columns and cannot be joined: {error}") from error
