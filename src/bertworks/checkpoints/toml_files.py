"""TOML files, the settings of runs: read with suspicion."""

import tomllib
from pathlib import Path
from typing import Any

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
