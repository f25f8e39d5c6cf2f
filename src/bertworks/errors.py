"""Errors that say where it went wrong and what to do.

Every error that bertworks raises on purpose derives from `BertworksError`. The command line prints such an
error as one line and leaves with its `exit_code`; any other exception is a bug and shows its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class BertworksError(Exception):
    """Base of all deliberate errors. `exit_code` is what the command line returns for it."""

    exit_code = 1


class SettingsError(BertworksError, ValueError):
    """A setting, argument or configuration file is wrong."""

    exit_code = 2


class DataError(BertworksError, ValueError):
    """The user's data cannot be read or cannot be what was asked for."""

    exit_code = 3


class CheckpointError(BertworksError, ValueError):
    """A model folder or a training checkpoint is missing, damaged or not what it says it is."""

    exit_code = 4


class NotFittedError(BertworksError, ValueError, AttributeError):
    """An estimator was asked for a result before it was fitted or loaded (the bases are scikit-learn's)."""

    exit_code = 2


class MissingExtraError(BertworksError, ImportError):
    """An optional dependency is needed for what was asked; the message names the command that installs it."""

    exit_code = 5

    @classmethod
    def for_package(cls, package: str, extra: str, purpose: str) -> "MissingExtraError":
        return cls(f"{purpose} needs the package '{package}': pip install 'bertworks[{extra}]'")


class TrainingError(BertworksError, RuntimeError):
    """Training cannot go on: the loss is not a number, say. The last checkpoint is intact."""

    exit_code = 6


class Interrupted(BertworksError):  # noqa: N818 - it is an event, not a fault
    """Training was stopped by the user after its state was saved; the message says how to resume."""

    exit_code = 130


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint with the nearest right name: `' Did you mean 'learning_rate'?'`, or an empty string.

    >>> nearest("learing_rate", ["learning_rate", "epochs"])
    " Did you mean 'learning_rate'?"
    """
    matches = get_close_matches(str(name), [str(c) for c in candidates], n=1, cutoff=0.6)
    return f" Did you mean '{matches[0]}'?" if matches else ""
