"""JSON lines and JSON documents → tables, and the tables of rows and columns that are already in memory."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bertworks.data.faults import MOST_FAULTS, BadRow, OnBadRows, settle
from bertworks.data.loaded import Loaded
from bertworks.errors import DataError


def read_json_lines(text: str, source: str, on_bad_rows: OnBadRows = "error") -> Loaded:
    """One JSON object a line; blank lines are skipped. A key that a row lacks is null there.

    Raises `DataError` naming the line where one is not an object, unless such rows are to be dropped.
    """
    rows: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    number = 0
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        row = _row(content, line)
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            rows.append(row)
            numbers.append(number)
        number += 1
        if on_bad_rows == "error" and len(bad) >= MOST_FAULTS:
            break
    dropped = settle(bad, source, on_bad_rows)
    if not number:
        raise DataError(f"{source} is empty")
    return Loaded(rows_to_table(rows, source), np.array(numbers, dtype=np.int64), dropped)


def _row(content: str, line: int) -> Mapping[str, Any] | BadRow:
    try:
        row = json.loads(content)
        if "\\u" in content:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return BadRow(line, "half a surrogate pair", r"a \ud800 … \udfff escape stands alone, which is no character")
    except json.JSONDecodeError as error:
        return BadRow(line, "not JSON", f"not valid JSON ({error.msg} at column {error.colno})")
    except (ValueError, RecursionError) as error:
        return BadRow(line, "not JSON", f"not valid JSON ({error})")
    if not isinstance(row, dict):
        return BadRow(line, "not a JSON object", f'a row is an object such as {{"text": "…"}}, but this is {_kind(row)}')
    return row


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")


def read_json(text: str, source: str, on_bad_rows: OnBadRows = "error") -> Loaded:
    """A `.json` file: an array of objects, an object of equally long arrays, or JSON lines under that name."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{") and isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return read_json_lines(text, source, on_bad_rows)
        if not text.strip():
            raise DataError(f"{source} is empty") from None
        raise DataError(f"{source} is not valid JSON: {error}") from None
    if isinstance(document, dict) and document and all(isinstance(column, list) for column in document.values()):
        return Loaded(columns_to_table(document, source))
    if isinstance(document, dict) and "\n" not in text.strip():
        return read_json_lines(text, source, on_bad_rows)
    if not isinstance(document, list):
        raise DataError(f"{source}: a .json file holds an array of objects (rows), not {_kind(document)}")
    kept = [i for i, row in enumerate(document) if isinstance(row, dict)]
    bad = len(document) - len(kept)
    if bad and on_bad_rows == "error":
        first = next(i for i, row in enumerate(document) if not isinstance(row, dict))
        raise DataError(
            f"{source}: entry {first + 1} of the array is {_kind(document[first])}, not an object ({bad:,} entries are like that). "
            'Leave them out with on_bad_rows="drop" (--on-bad-rows drop).'
        )
    table = rows_to_table([document[i] for i in kept], source)
    return Loaded(table, np.array(kept, dtype=np.int64), Counter({"not a JSON object": bad} if bad else {}))


def rows_to_table(rows: Sequence[Mapping[str, Any]], source: str) -> pa.Table:
    """A table of rows; columns in the order in which they first appear."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return columns_to_table({name: [row.get(name) for row in rows] for name in names}, source)


def columns_to_table(columns: Mapping[str, Any], source: str) -> pa.Table:
    """A table of columns (lists, arrays, series). A column of mixed types becomes text, nothing lost.

    Raises `DataError` where the columns differ in length or a text holds what is no character.
    """
    lengths = {str(name): len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{source}: the columns differ in length: " + ", ".join(f"{name} {length:,}" for name, length in lengths.items()))
    try:
        return pa.table([_array(column) for column in columns.values()], names=list(lengths))
    except UnicodeEncodeError:
        raise DataError(f"{source} holds half a surrogate pair (\\ud800 … \\udfff alone), which is no character") from None


def _array(values: Any) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([_as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str) or (isinstance(value, float) and value != value):
        return value if isinstance(value, str) else None
    return json.dumps(value, ensure_ascii=False, default=str)


def text_lines_to_table(lines: Iterable[str]) -> pa.Table:
    """A table with the one column `text`."""
    return pa.table({"text": pa.array(list(lines), pa.string())})
