"""The JSON files of a model folder: read with suspicion, written byte for byte the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import atomic_write
from bertworks.checkpoints.opening import read_file
from bertworks.errors import CheckpointError

LARGEST_JSON = 64_000_000
"""Bytes; the largest known index or configuration of a model has a tenth of it."""
_JSON_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value", type(None): "null"}


def read_json(path: Path, most: int = LARGEST_JSON) -> dict[str, Any]:
    """The object in a JSON file of at most `most` bytes.

    Raises `CheckpointError` when it is missing, broken (naming line and column), no object, or ambiguous: one name twice
    in one object, with different values.
    """
    path = Path(path)
    data = read_file(path, most)
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unambiguous)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}; correct it or copy it again") from error
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply: download or copy it again") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no UTF-8 text (byte {error.start:,}): download or copy it again") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON text that can be read ({error}): download or copy it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {_JSON_KINDS[type(value)]}, not an object {{…}}: download or copy it again")
    return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        for name, value in pairs:
            if repr(value) != repr(table[name]):
                raise ValueError(f"the name '{name:.100}' stands twice in one object, with different values")
    return table


def write_json(path: Path, obj: Mapping[str, Any]) -> None:
    """Write `obj` as indented UTF-8 JSON, keys in their order, atomically: what was read and is written again is equal byte for byte.

    Raises `CheckpointError` for what JSON cannot hold (NaN and infinity among it).
    """
    try:
        text = json.dumps(dict(obj), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        data = text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"cannot save {path}: {error}") from error
    atomic_write(Path(path), data)
