"""What happened in reading a source, as findings that name the rows."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from bertworks.batch import Array
from bertworks.data.inspection.findings import MOST_ROWS, Finding, Level
from bertworks.data.inspection.rows import FEW, of_all
from bertworks.data.labels import read_labels
from bertworks.data.table import Table, read_table
from bertworks.data.text_data import TextData
from bertworks.errors import DataError

_DROP = 'on_bad_rows="drop" (--on-bad-rows drop)'
TOLERATED = ("empty text", "empty second text")
"""Rows that a training leaves out without being told to."""


def check_reading(source: Any, data: TextData, options: Mapping[str, Any]) -> Iterator[Finding]:
    """Rows that were left out, and rows that were read in a noteworthy way. `data` was read from `source`; `options` are
    those of `read_table` that were used, other than `on_bad_rows`."""
    accounting = data.accounting
    table = read_table(source, on_bad_rows="drop", **options) if accounting.dropped else data.table
    for reason, count in accounting.dropped.items():
        rows = _rows_left_out(table, data, reason)
        told = of_all(count, accounting.rows)
        if reason in TOLERATED:
            which = "second text" if reason == TOLERATED[1] else "text"
            level: Level = "note" if count <= FEW * accounting.rows else "warning"
            yield _finding(level, "Empty texts", f"{told} have no {which}. They are left out.", rows, count)
        elif reason == "missing label":
            message = f"{told} have no label. A training stops at them, or leaves them out with {_DROP}."
            yield _finding("warning", "Missing labels", message, rows, count)
        else:
            message = f"{told} cannot be read ({reason}). A training stops at them, or leaves them out with {_DROP}. Mend the file."
            yield _finding("warning", "Rows that cannot be read", message, rows, count, _first_fault(source, options))
    for reason, count in accounting.notes.items():
        message = f"{count:,} row{'s' if count > 1 else ''}: {reason}."
        yield Finding("note", "Read with a change", message, count=count)


def _finding(level: Level, title: str, message: str, rows: Int[Array, "rows"], count: int, examples: tuple[str, ...] = ()) -> Finding:
    return Finding(level, title, message, tuple(rows[:MOST_ROWS].tolist()), count, examples)


def _rows_left_out(table: Table, data: TextData, reason: str) -> Int[Array, "rows"]:
    """The numbers of the rows left out for a reason, as far as they can be told; `table` holds all rows that could be read."""
    if reason == "empty text":
        return table.rows[_blank(table, data.text_column)]
    if reason == "empty second text" and data.pair_column is not None:
        return table.rows[_blank(table, data.pair_column) & ~_blank(table, data.text_column)]
    if reason == "missing label" and data.label_column is not None:
        labels = read_labels(table.data[data.label_column], data.label_kind or "auto", table.name, table.rows.tolist()).values
        missing = np.array([label is None for label in labels], dtype=bool)
        return table.rows[missing & ~_blank(table, data.text_column)]
    every = np.arange(len(table) + table.dropped.total())
    return np.setdiff1d(every, table.rows) if table.whole is None and len(table.dropped) == 1 else np.zeros(0, dtype=np.int64)


def _blank(table: Table, column: str) -> Bool[Array, "rows"]:
    """Which cells of a column of texts are missing or only white space."""
    return np.array([not (cell or "").strip() for cell in table.data[column].to_pylist()], dtype=bool)


def _first_fault(source: Any, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What a training would say of the first rows that cannot be read: it names their lines."""
    try:
        read_table(source, on_bad_rows="error", **options)
    except DataError as error:
        return (str(error).split(" Mend the file")[0],)
    return ()
