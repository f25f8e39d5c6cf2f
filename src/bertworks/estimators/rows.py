"""What users hand in, as plain lists: texts, pairs of texts, and labels, from lists, arrays, series and frames."""

from typing import Any

import numpy as np

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError


def text_rows(texts: Any) -> list[Any]:
    """Texts as a list of strings, or of pairs; the columns of a frame are the texts of a row.

    Raises `DataError` for one string, and where pairs and single texts are mixed.
    """
    if isinstance(texts, str):
        raise DataError("expected a list of texts, got one string: put it in a list, [text]")
    rows = [_row(row) for row in plain_list(texts, "texts")]
    odd = {isinstance(row, tuple) for row in rows}
    if len(odd) > 1:
        raise DataError("some rows are pairs of texts and some are single texts")
    wrong = next((i for i, row in enumerate(rows) if isinstance(row, tuple) and len(row) != 2), None)
    if wrong is not None:
        raise DataError(f"row {wrong} has {len(rows[wrong])} texts; a row is one text or a pair of texts")
    return rows


def text_tuples(texts: Any) -> list[tuple[Any, ...]]:
    """Rows of one text or several as tuples; the columns of a frame are the texts of a row. Raises `DataError` for one string."""
    if isinstance(texts, str):
        raise DataError("expected a list of texts, or of tuples of texts, got one string: put it in a list, [text]")
    return [row if isinstance(row, tuple) else (row,) for row in map(_row, plain_list(texts, "texts"))]


def label_rows(labels: Any) -> list[Any]:
    """Labels as a list of plain Python values: a label, or a list of labels, a row.

    Raises `DataError` for one string, and for a matrix, whose columns have no names.
    """
    if isinstance(labels, str):
        raise DataError("expected a list of labels, got one string: a label is wanted for each text")
    if getattr(labels, "ndim", 1) != 1:
        shape = getattr(labels, "shape", ())
        raise DataError(f"labels have the shape {tuple(shape)}: give a label, or a list of the labels that apply, for each text")
    return [value.item() if isinstance(value, np.generic) else value for value in plain_list(labels, "labels")]


def held_out_columns(validation: Any, *names: str) -> tuple[Any, ...] | None:
    """The columns of validation data; None where there are none. Raises `SettingsError` where there are not as many as `names`."""
    if validation is None:
        return None
    columns = tuple(validation)
    if len(columns) != len(names):
        raise SettingsError(f"validation is a tuple, ({', '.join(names)}), not {len(columns)} things")
    return columns


def label_array(labels: Any) -> Array:
    """Labels as an array that keeps what they are: labels of mixed types are not all turned into text."""
    array = np.array(labels)
    plain = [type(label) for label in array.tolist()] == [type(label) for label in labels]
    return array if plain else np.array(labels, dtype=object)


def plain_list(values: Any, name: str) -> list[Any]:
    """A column as a list, from a list, array, series or frame. Raises `DataError` for what is none, with its `name`."""
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):  # a frame
        values = values.to_numpy()
    for method in ("tolist", "to_list", "to_pylist"):  # arrays and pandas; polars; pyarrow
        if hasattr(values, method):
            return list(getattr(values, method)())
    try:
        return list(values)
    except TypeError:
        raise DataError(f"{name} must be a list, not {values!r:.40} ({type(values).__name__})") from None


def _row(row: Any) -> Any:
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if isinstance(row, list | tuple):
        return row[0] if len(row) == 1 else tuple(row)
    return row


def split_pairs(rows: list[Any]) -> tuple[list[str], list[str] | None]:
    """Texts, or pairs as (first, second) → two columns."""
    if rows and all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        return [row[0] for row in rows], [row[1] for row in rows]
    return rows, None
