"""Settings as a folder stores them, checked against the dataclass that they are to fill: a folder may come from anywhere."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bertworks.errors import SettingsError, nearest

Settings = TypeVar("Settings")


def from_stored(kind: type[Settings], stored: Any, name: str) -> Settings:
    """The dataclass `kind` from values that JSON can hold, lists becoming tuples.

    Raises `SettingsError`, with `name` for what the settings are of, where they are no table, or one is unknown or of
    another type than the dataclass says; numbers must be finite.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Walk:
    ...     steps: int
    >>> from_stored(Walk, {"steps": 2.5}, "a walk")
    Traceback (most recent call last):
    bertworks.errors.SettingsError: a walk: 'steps' must be a whole number, not 2.5
    """
    assert is_dataclass(kind)
    if not isinstance(stored, Mapping):
        raise SettingsError(f"{name}: its settings are no table but {stored!r:.60}")
    kinds = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"{name} has no setting '{key:.60}'.{nearest(key, known)}")
        if not _is_a(value, kinds[key]):
            raise SettingsError(f"{name}: '{key}' must be {_words(kinds[key])}, not {stored[key]!r:.60}")
    missing = [f.name for f in fields(kind) if f.name not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise SettingsError(f"{name}: '{missing[0]}' is missing: it must be {_words(kinds[missing[0]])}")
    return kind(**values)


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a type made of literals, unions, tuples of one type, tables, and plain types."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (Union, UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(one, parts[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e300 and isfinite(value)
    return type(value) is kind


def _words(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"'{part}'" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(part) for part in parts))
    if origin is tuple:
        return f"a list, each {_words(parts[0])}"
    if origin is Mapping:
        return "a table"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}[kind]
