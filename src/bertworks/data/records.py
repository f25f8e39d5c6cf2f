"""JSON lines and JSON documents → tables, and the tables of rows and columns that are already in memory."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bertworks.data.faults import MOST_FAULTS, BadRow, OnBadRows, settle
from bertworks.data.files import with_line_feeds
from bertworks.data.loaded import Loaded
from bertworks.errors import DataError

_NAME = re.compile(r'"\s*:')


def read_json_lines(text: str, source: str, on_bad_rows: OnBadRows = "error") -> Loaded:
    """One JSON object a line; blank lines are skipped. A key that a row lacks is null there.

    Raises `DataError` naming the line where one is not an object, unless such rows are to be dropped.
    """
    rows: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    number = 0
    for line, content in enumerate(with_line_feeds(text).split("\n"), start=1):
        if not content.strip():
            continue
        row = json_row(content, line)
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
        raise DataError(f"{source} is empty: name another file, or write this one again")
    return Loaded(rows_to_table(rows, source), np.array(numbers, dtype=np.int64), dropped)


def json_row(content: str, line: int) -> Mapping[str, Any] | BadRow:
    """The object that a line of JSON lines holds, or why it holds none."""
    try:
        row = json.loads(content)
        if isinstance(row, dict) and content.count(":") > len(row):
            _refuse_doubles(content, len(row))
        if "\\u" in content:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return BadRow(line, "half a surrogate pair", r"a \ud800 … \udfff escape stands alone, which is no character")
    except json.JSONDecodeError as error:
        return BadRow(line, "not JSON", f"not valid JSON ({error.msg} at column {error.colno})")
    except _DoubleNameError as error:
        return BadRow(line, "a name twice in one object", str(error))
    except RecursionError:
        return BadRow(line, "not JSON", "nested too deeply")
    except ValueError as error:
        return BadRow(line, "not JSON", f"not valid JSON ({error})")
    if not isinstance(row, dict):
        return BadRow(line, "not a JSON object", f'a row is an object such as {{"text": "…"}}, but this is {_kind(row)}')
    return row


def _refuse_doubles(text: str, names: int) -> None:
    """Raises `_DoubleNameError` where an object in the JSON `text`, which holds rows of `names` names in all, has a name twice.

    To look closely takes thrice the time of reading, so it is done only where more names stand in the text than in the
    rows: where values are nested, a text looks like JSON, or a name is there twice.
    """
    if len(_NAME.findall(text)) > names:
        json.loads(text, object_pairs_hook=_without_doubles)


class _DoubleNameError(ValueError):
    """An object gives one name two values, of which one would be lost."""


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _DoubleNameError(f"an object has the name '{name:.60}' twice, of which one would be lost")
    return table


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")


def read_json(text: str, source: str, on_bad_rows: OnBadRows = "error") -> Loaded:
    """A `.json` file: an array of objects, an object of equally long arrays, or JSON lines under that name."""
    try:
        document = json.loads(text)
        rows = document if isinstance(document, list) else [document]
        _refuse_doubles(text, sum(len(row) for row in rows if isinstance(row, dict)))
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{") and isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return read_json_lines(text, source, on_bad_rows)
        if not text.strip():
            raise DataError(f"{source} is empty: name another file, or write this one again") from None
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{source} is not valid JSON: {reason}; mend the file or write it again") from None
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
        shown = ", ".join(f"{name[:60]} {length:,}" for name, length in lengths.items())
        raise DataError(f"{source}: the columns differ in length ({shown}): give as many values in each")
    try:
        return pa.table([_array(column) for column in columns.values()], names=list(lengths))
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
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
        try:
            return pa.array([_as_text(value) for value in values], pa.string())
        except (RecursionError, pa.ArrowException, ValueError) as error:
            if isinstance(error, UnicodeEncodeError):
                raise
            raise DataError(f"a column cannot be made a column of text: {error}; give texts, numbers, or lists of them") from error


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str) or (isinstance(value, float) and value != value):
        return value if isinstance(value, str) else None
    return json.dumps(value, ensure_ascii=False, default=str)


def text_lines_to_table(lines: Iterable[str]) -> pa.Table:
    """A table with the one column `text`."""
    return pa.table({"text": pa.array(list(lines), pa.string())})
