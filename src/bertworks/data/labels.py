"""The label column → class names, sets of names, or numbers."""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from bertworks.data.examples import Label
from bertworks.errors import DataError, SettingsError

LabelKind = Literal["single", "multi", "number"]
MOST_INTEGER_VALUES = 20
"""Floats that are all whole numbers are class names up to this many distinct values, beyond it numbers."""

_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_DECIMAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_CODE = re.compile(r"-?\d{19,}")
"""Whole numbers that a float would not keep: names."""
_SEPARATORS = "|;,"


@dataclass(frozen=True)
class Labels:
    """The labels of a table's rows."""

    kind: LabelKind
    values: list[Label | None]
    """One a row; None where the row has no label."""
    notes: Counter[str] = field(default_factory=Counter)
    """Labels that were changed in reading, by reason."""


def read_labels(column: pa.ChunkedArray, kind: str, where: str, rows: Sequence[int] | None = None) -> Labels:
    """Interprets a column of labels; `where` names it in messages, `rows` are the numbers of its rows there.

    `kind` "auto": lists are "multi"; floats (or texts that all are numbers) that are not whole, or take more than
    20 values, are "number"; all else is "single", with whole numbers as integers ("1.0" as 1, which is counted; none
    where one is written as "1E50") and everything else as text. Texts are stripped of outer spaces. Null, NaN and an
    empty text are no label; for "multi" an empty text is a row to which no label applies, and a text is split at `|`,
    else `;`, else `,` (whichever the column has).

    Raises `DataError` where a value cannot be of the kind, `SettingsError` where there is no such kind.

    >>> read_labels(pa.chunked_array([["1", "0", ""]]), "auto", "reviews.csv").values
    [1, 0, None]
    """
    if kind not in ("auto", "single", "multi", "number"):
        raise SettingsError(f"kind is 'auto', 'single', 'multi' or 'number', not {kind!r}")
    values = _python_values(column, where)
    notes: Counter[str] = Counter()
    stripped = [value.strip() if isinstance(value, str) else value for value in values]
    changed = sum(a != b for a, b in zip(values, stripped, strict=True) if isinstance(a, str) and a.strip())
    if changed:
        notes["label stripped of outer spaces"] = changed
    lists = any(isinstance(value, list) for value in stripped)
    rows = range(len(stripped)) if rows is None else rows
    if kind == "multi" or (kind == "auto" and lists):
        return Labels("multi", _multi(stripped, rows, where), notes)
    if lists:
        raise DataError(f"{where} holds lists of labels, which cannot be of the kind '{kind}'; use kind=\"multi\" (--kind multi)")
    present = [None if value == "" else value for value in stripped]
    numbers = _numbers(present)
    if kind == "number" or (kind == "auto" and numbers is not None and _is_measure(numbers)):
        return Labels("number", list(_required_numbers(present, rows, where)), notes)
    if numbers is None or _is_measure(numbers, most=None) or any(isinstance(value, str) and "e" in value.lower() for value in present):
        return Labels("single", [None if value is None else str(value) for value in present], notes)
    whole = [None if value is None else int(value) for value in numbers]
    otherwise = sum(isinstance(text, str) and text != str(value) for text, value in zip(present, whole, strict=True))
    if otherwise:
        notes["label written as 1.0 or +1, taken as the whole number"] = otherwise
    return Labels("single", list(whole), notes)


def _python_values(column: pa.ChunkedArray, where: str) -> list[Any]:
    """Python values: str, int, float, list or None; truth values as text, NaN as None."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    plain = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind)
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    if not (plain or numeric or lists):
        raise DataError(f"{where} is of the type {kind}, which cannot be a label; labels are text, integers, numbers or lists of them")
    values = column.to_pylist()
    if pa.types.is_boolean(kind):
        return [None if value is None else str(value) for value in values]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [None if value is None or value != value else float(value) for value in values]
    return list(values)


def _numbers(values: Sequence[Any]) -> list[int | float | None] | None:
    """The values as numbers (those written as integers as such), or None where one is no number, or all are missing."""
    out: list[int | float | None] = []
    for value in values:
        if isinstance(value, str):
            if not _DECIMAL.fullmatch(value) or _CODE.fullmatch(value):
                return None
            out.append(int(value) if _INTEGER.fullmatch(value) else float(value))
        else:
            out.append(value)
    return out if any(value is not None for value in out) else None


def _is_measure(numbers: Sequence[int | float | None], most: int | None = MOST_INTEGER_VALUES) -> bool:
    """Whether numbers measure something rather than name classes."""
    floats = [value for value in numbers if isinstance(value, float)]
    many = most is not None and len({value for value in numbers if value is not None}) > most
    return bool(floats) and (many or any(not math.isfinite(value) or value != int(value) for value in floats))


def _required_numbers(values: Sequence[Any], rows: Sequence[int], where: str) -> list[float | None]:
    out: list[float | None] = []
    for row, value in zip(rows, values, strict=True):
        try:
            number = None if value is None else float(value)
        except ValueError:
            wrong = f"{value!r:.60} in row {row} (the first is 0) is not a number"
            raise DataError(f'{where}: {wrong}: mend it, or take the values as names with kind="single" (--kind single)') from None
        if number is not None and math.isinf(number):
            raise DataError(f"{where}: row {row} (the first is 0) is infinite, which cannot be learnt: mend it or leave the row out")
        out.append(None if number is None or math.isnan(number) else number)
    return out


def _multi(values: Sequence[Any], rows: Sequence[int], where: str) -> list[Label | None]:
    texts = [value for value in values if isinstance(value, str)]
    separator = next((mark for mark in _SEPARATORS if any(mark in text for text in texts)), None)
    written_lists = bool(texts) and all(text.startswith("[") and text.endswith("]") for text in texts if text)
    out: list[Label | None] = []
    for row, value in zip(rows, values, strict=True):
        if isinstance(value, str) and written_lists and value:
            value = _written_list(value, f"{where}, row {row} (the first is 0)")
        elif isinstance(value, str):
            value = value.split(separator) if separator else [value]
        elif value is not None and not isinstance(value, list):
            value = [value]
        if value is None:
            out.append(None)
            continue
        if any(name is None or isinstance(name, list | dict) for name in value):
            raise DataError(f"{where}: row {row} (the first is 0) is a list that holds something else than label names")
        names = [str(name).strip() for name in value]
        out.append(tuple(dict.fromkeys(name for name in names if name)))
    return out


def _written_list(text: str, where: str) -> list[Any]:
    """A list as it is written in JSON or in Python."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list):
            return value
    raise DataError(f"{where}: {text[:60]!r} is not a list of labels")
