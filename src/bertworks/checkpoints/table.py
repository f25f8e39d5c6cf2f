"""Weight tables: how our parameters are named and laid out in a Hugging Face checkpoint, as data, both ways.

A table is a list of entries. Loading reads it from right to left (`theirs` → `ours`), saving from left to right;
every entry is its own inverse, so a round trip gives the same bits.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bertworks.errors import CheckpointError

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]


class Entry(Protocol):
    """One row of a table."""

    @property
    def ours(self) -> tuple[str, ...]: ...

    @property
    def theirs(self) -> tuple[str, ...]: ...

    def load(self, theirs: list[Array]) -> list[Array]:
        """Their tensors → ours."""

    def save(self, ours: list[Array]) -> list[Array]:
        """Our tensors → theirs."""


class Rename:
    """One of ours is one of theirs."""

    def __init__(self, ours: str, theirs: str) -> None:
        self.ours, self.theirs = (ours,), (theirs,)

    def load(self, theirs: list[Array]) -> list[Array]:
        return theirs

    def save(self, ours: list[Array]) -> list[Array]:
        return ours


class Transpose(Rename):
    """One of ours is one of theirs with rows and columns exchanged (GPT-2's Conv1D)."""

    def load(self, theirs: list[Array]) -> list[Array]:
        return [theirs[0].T]

    def save(self, ours: list[Array]) -> list[Array]:
        return [ours[0].T]


class Fuse:
    """One of ours is several of theirs, of equal size, one below the other (query, key and value)."""

    def __init__(self, ours: str, theirs: Sequence[str]) -> None:
        self.ours, self.theirs = (ours,), tuple(theirs)

    def load(self, theirs: list[Array]) -> list[Array]:
        return [np.concatenate(theirs)]

    def save(self, ours: list[Array]) -> list[Array]:
        return np.split(ours[0], len(self.theirs))


class Split:
    """Several of ours, of equal size, stand one below the other in one of theirs."""

    def __init__(self, ours: Sequence[str], theirs: str) -> None:
        self.ours, self.theirs = tuple(ours), (theirs,)

    def load(self, theirs: list[Array]) -> list[Array]:
        return np.split(theirs[0], len(self.ours))

    def save(self, ours: list[Array]) -> list[Array]:
        return [np.concatenate(ours)]


@dataclass(frozen=True)
class Tie:
    """One of theirs is a second name of another of theirs: equal if present, and not written."""

    theirs: str
    same_as: str


@dataclass(frozen=True)
class Ignore:
    """Tensors of theirs that may be there and are not used; `reason` is shown to the user."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class Table:
    """The entries of a model or of a part of it."""

    entries: tuple[Entry, ...] = ()
    ties: tuple[Tie, ...] = ()
    ignores: tuple[Ignore, ...] = ()

    def __add__(self, other: "Table") -> "Table":
        return Table(self.entries + other.entries, self.ties + other.ties, self.ignores + other.ignores)

    def save(self, ours: Tensors) -> dict[str, Array]:
        """Our parameters under their names. Every one of ours must stand in the table (KeyError otherwise)."""
        out: dict[str, Array] = {}
        for entry in self.entries:
            saved = entry.save([ours[name] for name in entry.ours])
            out.update(zip(entry.theirs, (np.ascontiguousarray(a) for a in saved), strict=True))
        unsaved = set(ours) - {name for entry in self.entries for name in entry.ours}
        if unsaved:
            raise KeyError(f"no entry of the weight table saves {sorted(unsaved)}")
        return out

    def of(self, names: Collection[str]) -> "Table":
        """Only the entries of parameters of ours that are there: a head may have no bias."""
        return replace(self, entries=tuple(entry for entry in self.entries if all(name in names for name in entry.ours)))

    def ignored(self, name: str) -> str | None:
        """The reason why a tensor of theirs is not used, or None."""
        return next((rule.reason for rule in self.ignores if re.fullmatch(rule.pattern, name)), None)


def renames(ours: str, theirs: str, parts: Sequence[str] = ("weight", "bias")) -> tuple[Rename, ...]:
    """Entries for a module's parameters: `ours.weight` is `theirs.weight` and so on."""
    return tuple(Rename(f"{ours}.{part}", f"{theirs}.{part}") for part in parts)


def normalized(names: Sequence[str], *, prefix: str, is_body: Callable[[str], bool]) -> dict[str, str]:
    """Names as today's checkpoints have them → the names that stand in the file.

    Two old habits are undone: norms' `gamma`/`beta` (TensorFlow's names), and a body saved without `prefix`
    (a bare encoder) or with it. Raises `CheckpointError` where two names are the same then.
    """
    out: dict[str, str] = {}
    for name in names:
        modern = re.sub(r"\bgamma$", "weight", re.sub(r"\bbeta$", "bias", name))
        modern = modern.removeprefix(prefix) if is_body(modern.removeprefix(prefix)) else modern
        if modern in out:
            raise CheckpointError(f"the weights hold '{out[modern]:.100}' and '{name:.100}', which are the same tensor: keep one of them")
        out[modern] = name
    return out
