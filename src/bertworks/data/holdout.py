"""Rows divided, the same way for the same seed: a part held out for validation, or folds; each class in its share, or whole groups."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Protocol, Self, TypeVar

import numpy as np
from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError


@dataclass(frozen=True)
class Division:
    """How rows may be divided: by a key for each of them.

    >>> Division(["a"] * 6 + ["b"] * 3).folds(3, seed=0)[0].tolist()
    [3, 4, 6]
    """

    keys: Sequence[Hashable]
    together: bool = False
    """Whether rows of a key stay together, so that what they have in common stands on one side only; else every part has its share of
    each key."""
    features: Sequence[Collection[Hashable]] = ()
    """What each row has of which the rows that are kept must lack nothing: its labels, say, where it may have several."""

    @classmethod
    def free(cls, rows: int) -> "Division":
        """Of rows that are all alike."""
        return cls([None] * rows)

    def part(self, chosen: Int[Array, "part"]) -> "Division":
        """That of some of the rows."""
        return replace(self, keys=[self.keys[i] for i in chosen], features=[self.features[i] for i in chosen if self.features])

    def hold_out(self, fraction: float, seed: int) -> tuple[Int[Array, "kept"], Int[Array, "held"]]:
        """See `hold_out` and `hold_out_groups`; a held-out row with a feature that no kept row has is kept after all."""
        kept, held = (hold_out_groups if self.together else hold_out)(self.keys, fraction, seed)
        known = {feature for i in kept if self.features for feature in self.features[i]}
        missed = []
        for i in held if self.features else []:
            if not known.issuperset(self.features[i]):
                known.update(self.features[i])
                missed.append(i)
        return np.union1d(kept, missed).astype(kept.dtype), np.setdiff1d(held, missed)

    def folds(self, count: int, seed: int) -> list[Int[Array, "rows"]]:
        """Row numbers of each fold, in ascending order: every row in one of them.

        Raises `DataError` where there is not a row, or a group of rows, for each.
        """
        names = {key: number for number, key in enumerate(dict.fromkeys(self.keys))}
        most = len(names) if self.together else len(self.keys)
        if not 2 <= count <= most:
            groups = f" of {most} groups that belong together" if self.together else ""
            choice = f"choose from 2 to {most}" if most > 1 else "there is nothing to divide"
            raise DataError(f"{len(self.keys)} rows{groups} cannot be divided into {count} folds: {choice}")
        draw, numbers = np.random.Generator(np.random.PCG64(seed)), np.array([names[key] for key in self.keys])
        if not self.together:
            order = draw.permutation(len(numbers))
            order = order[np.argsort(numbers[order], kind="stable")]
            return [np.sort(order[fold::count]) for fold in range(count)]
        sizes, fold_of = np.zeros(count, dtype=np.int64), np.empty(len(names), dtype=np.int64)
        rows_of = np.bincount(numbers)
        for name in draw.permutation(len(names)):
            fold_of[name] = sizes.argmin()
            sizes[fold_of[name]] += rows_of[name]
        return [np.flatnonzero(fold_of[numbers] == fold) for fold in range(count)]


class Divided(Protocol):
    """Rows that can be divided."""

    @property
    def name(self) -> str: ...

    @property
    def accounting(self) -> Accounting: ...

    @property
    def division(self) -> Division: ...

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str, /) -> Self:
        """Some of the rows."""


Rows = TypeVar("Rows", bound=Divided)


def hold_out_part(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows | None]:
    """Rows to train on and rows held out, about `fraction` of all; none are where they cannot be divided so.

    Raises `SettingsError` for a fraction outside [0, 1).
    """
    kept, held = rows.division.hold_out(fraction, seed)
    if not len(held):
        return rows, None
    seen = replace(rows.accounting, rows=rows.accounting.rows - len(held))
    name = f"the validation part of {PurePath(rows.name).name}"
    return rows.part(kept, seen, rows.name), rows.part(held, Accounting(rows=len(held)), name)


def hold_out(labels: Sequence[Hashable], fraction: float, seed: int) -> tuple[Int[Array, "kept"], Int[Array, "held"]]:
    """Row numbers to train on and row numbers held out, `fraction` of all, both in ascending order.

    Each label gives its share (largest remainders), and keeps at least one row to train on. Raises `SettingsError` for a fraction
    outside [0, 1).

    >>> kept, held = hold_out(["a"] * 6 + ["b"] * 4, 0.5, seed=0)
    >>> len(kept), (held < 6).sum().item(), (held >= 6).sum().item()
    (5, 3, 2)
    """
    if not 0 <= fraction < 1:
        raise SettingsError(f"validation_fraction must lie in [0, 1), not {fraction}")
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    draw = np.random.Generator(np.random.PCG64(seed))
    groups = [draw.permutation(group) for group in rows.values()]
    shares = [len(group) * fraction for group in groups]
    counts = [min(int(share), len(group) - 1) for share, group in zip(shares, groups, strict=True)]
    missing = round(len(labels) * fraction) - sum(counts)
    for i in sorted(range(len(groups)), key=lambda i: counts[i] - shares[i])[: max(0, missing)]:
        counts[i] += counts[i] < len(groups[i]) - 1
    held = np.sort(np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)] or [np.zeros(0, dtype=np.int64)]))
    return np.setdiff1d(np.arange(len(labels)), held), held


def hold_out_groups(groups: Sequence[Hashable], fraction: float, seed: int) -> tuple[Int[Array, "kept"], Int[Array, "held"]]:
    """Row numbers to train on and row numbers held out, about `fraction` of all, both in ascending order: rows of one group stay
    together, so that what they have in common stands on one side only.

    Where all rows are of one group, none is held out. Raises `SettingsError` for a fraction outside [0, 1).

    >>> [rows.tolist() for rows in hold_out_groups(["a", "b", "a", "c"], 0.25, seed=0)]
    [[0, 1, 2], [3]]
    """
    if not 0 <= fraction < 1:
        raise SettingsError(f"validation_fraction must lie in [0, 1), not {fraction}")
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    names, wanted, held = list(rows), fraction * len(groups), list[int]()
    for number in np.random.Generator(np.random.PCG64(seed)).permutation(len(names))[: len(names) - 1]:
        of_group = rows[names[number]]
        if len(held) + len(of_group) / 2 > wanted:
            break
        held += of_group
    chosen = np.array(sorted(held), dtype=np.int64)
    return np.setdiff1d(np.arange(len(groups)), chosen), chosen
