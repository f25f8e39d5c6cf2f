"""A part of the rows held out for validation: the same for the same labels and seed, each class in its share."""

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
