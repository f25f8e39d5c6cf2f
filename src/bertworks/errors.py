"""Errors that say where it went wrong and what to do.

Every error that bertworks raises on purpose derives from `BertworksError`. The command line prints such an
error as one line and leaves with its `exit_code`; any other exception is a bug and shows its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_LONGEST_MESSAGE = 1200
_LONGEST_NAME = 100
"""A name longer than this has no nearest one: to look for it would take as long as the square of its length."""


class BertworksError(Exception):
    """Base of all deliberate errors. `exit_code` is what the command line returns for it.

    The message is one line: what files and users put into it can neither break it nor steer a terminal. `details`, lines
    of a table, may stand below.

    >>> print(CheckpointError("no tensor 'a\\x1b[2J\\n'"))
    no tensor 'a\\x1b[2J '
    """

    exit_code = 1

    def __init__(self, message: str = "", details: Iterable[str] = ()) -> None:
        lines = tuple(one_line(line) for line in details)
        super().__init__(one_line(message), *([lines] if lines else []))

    def __str__(self) -> str:
        return "\n  ".join((self.args[0], *self.args[1])) if len(self.args) > 1 else str(self.args[0])


class BertworksWarning(UserWarning):
    """What has to be known, though the work goes on; the command line tells it in one line on standard error."""


class ScriptWarning(BertworksWarning):
    """A text is of a script that the model's vocabulary has no words of."""


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
        """Of a package that one of bertworks' extras brings; the package by itself is enough wherever bertworks came from.

        >>> print(MissingExtraError.for_package("optuna", "tune", "search='optuna'"))
        search='optuna' needs the package 'optuna': pip install optuna, or pip install 'bertworks[tune]'
        """
        return cls(f"{purpose} needs the package '{package}': pip install {package}, or pip install 'bertworks[{extra}]'")


class TrainingError(BertworksError, RuntimeError):
    """Training cannot go on: the loss is not a number, say. The last checkpoint is intact."""

    exit_code = 6


class Interrupted(BertworksError):  # noqa: N818 - it is an event, not a fault
    """Training was stopped by the user after its state was saved; the message says how to resume."""

    exit_code = 130


def one_line(text: str) -> str:
    """The text as one line of printable characters, the middle of a very long one left out.

    >>> one_line("two\\nlines\\x00"), len(one_line("long " * 10_000)) < 1300
    ('two lines\\\\x00', True)
    """
    text = " ".join(str(text).split("\n"))
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[: _LONGEST_MESSAGE * 2 // 3]} … {text[-_LONGEST_MESSAGE // 3 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint with the nearest right name: `' Did you mean 'learning_rate'?'`, or an empty string.

    >>> nearest("learing_rate", ["learning_rate", "epochs"])
    " Did you mean 'learning_rate'?"
    """
    found = _closest(str(name), candidates)
    return f" Did you mean '{found}'?" if found else ""


def nearest_beside(path: Path, names: Iterable[str]) -> str:
    """The same for a path, of the names that stand beside it.

    >>> nearest_beside(Path("runs/reviws"), ["reviews", "news"])
    " Did you mean 'runs/reviews'?"
    """
    found = _closest(path.name, names)
    return f" Did you mean '{path.with_name(found)}'?" if found else ""


def _closest(name: str, candidates: Iterable[str]) -> str | None:
    if len(name) > _LONGEST_NAME:
        return None
    return next(iter(get_close_matches(name, [str(c)[:_LONGEST_NAME] for c in candidates], n=1, cutoff=0.6)), None)
