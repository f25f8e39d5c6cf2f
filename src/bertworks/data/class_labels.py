"""Integer class labels of `datasets` (`ClassLabel`) → their names.

The schema of such a table, and of a Parquet file written from one, carries the names.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute


def with_class_names(table: pa.Table) -> pa.Table:
    """The table with the class names in place of their numbers, alone or in lists; -1 (unlabelled) becomes null.

    The schema's metadata is dropped: it would no longer be true.
    """
    metadata = table.schema.metadata or {}
    table = table.replace_schema_metadata(None)
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return table
    for index, name in enumerate(table.column_names):
        names, nested = _class_names(features.get(name)) if isinstance(features, dict) else (None, False)
        kind = table.schema.field(index).type
        if names and nested and pa.types.is_list(kind) and pa.types.is_integer(kind.value_type):
            rows = table.column(index).to_pylist()
            lists = [None if row is None else _named(pa.array(row, kind.value_type), names).to_pylist() for row in rows]
            table = table.set_column(index, name, pa.array(lists, pa.list_(pa.string())))
        elif names and not nested and pa.types.is_integer(kind):
            table = table.set_column(index, name, _named(table.column(index), names))
    return table


def _class_names(feature: Any) -> tuple[list[str] | None, bool]:
    """The names of a `ClassLabel` feature or of a list of them, and whether it is a list."""
    if isinstance(feature, list) and len(feature) == 1:
        return _class_names(feature[0])[0], True
    if not isinstance(feature, dict):
        return None, False
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        return (names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None), False
    if feature.get("_type") in ("List", "LargeList", "Sequence"):
        return _class_names(feature.get("feature"))[0], True
    return None, False


def _named(numbers: Any, names: list[str]) -> Any:
    inside = compute.and_(compute.greater_equal(numbers, 0), compute.less(numbers, len(names)))
    return compute.take(pa.array(names, pa.string()), compute.if_else(inside, numbers, pa.scalar(None, numbers.type)))
