"""TOML files, the settings of runs: written plainly, read with suspicion."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from bertworks.checkpoints.opening import read_file
from bertworks.errors import CheckpointError

_LARGEST = 10_000_000
"""Bytes; settings are some kilobytes."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `CheckpointError` where it is missing, no plain file, or no TOML (with line and column)."""
    try:
        return tomllib.loads(read_file(path, _LARGEST).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"'{path}' cannot be read: it is no UTF-8 text (byte {error.start:,}); mend it, or begin another run"
        ) from error
    except RecursionError as error:
        raise CheckpointError(f"'{path}' cannot be read: it is nested too deeply; mend it, or begin another run") from error
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"'{path}' cannot be read: {error}; mend it, or begin another run") from error


def toml_text(tables: Mapping[str, Any]) -> str:
    """The text of a TOML file. TOML has no null: what is None is left out. NumPy's numbers become plain ones."""
    return tomli_w.dumps(_plain(tables))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
