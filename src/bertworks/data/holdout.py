"""A part of the rows held out for validation, the same for the same seed: each class in its share, or whole groups of rows."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.errors import SettingsError


def hold_out(
    labels: Sequence[object], fraction: float, seed: int, *, stratify: bool = True
) -> tuple[Int[Array, "kept"], Int[Array, "held"]]:
    """Row numbers to train on and row numbers held out, `fraction` of all, both in ascending order.

    With `stratify`, each label gives its share (largest remainders), and keeps at least one row to train on; else
    rows are drawn from all alike. Raises `SettingsError` for a fraction outside [0, 1).

    >>> kept, held = hold_out(["a"] * 6 + ["b"] * 4, 0.5, seed=0)
    >>> len(kept), (held < 6).sum().item(), (held >= 6).sum().item()
    (5, 3, 2)
    """
    if not 0 <= fraction < 1:
        raise SettingsError(f"validation_fraction must lie in [0, 1), not {fraction}")
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label if stratify and isinstance(label, Hashable) else None, []).append(row)
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
