"""What is wrong with a column of labels."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from bertworks.data.inspection.findings import Finding
from bertworks.data.inspection.rows import FEW, TextRows, listing, of_all
from bertworks.data.labels import MOST_INTEGER_VALUES

LEAST_ROWS = 5
"""Rows below which a label is too rare to be learnt or measured."""
_ONE_LABEL_A_ROW = 500
"""Rows from which on a label of its own for each row cannot be meant."""
_LEAST_TO_JUDGE = 20
"""Rows below which a set is too small to say how its labels are spread."""


def count_labels(rows: TextRows) -> dict[Any, int] | None:
    """How often each label occurs, the most frequent first; None for numbers and without labels."""
    if rows.labels is None or rows.kind == "number":
        return None
    present = [label for label in rows.labels if label is not None]
    many = rows.kind == "multi"
    counts = Counter(name for label in present for name in (label if many and isinstance(label, tuple) else (label,)))
    return dict(counts.most_common())


def check_labels(rows: TextRows, against: TextRows | None) -> Iterator[Finding]:
    """One label for all, a label for each row, imbalance, rare labels, names that are nearly the same, an order by label, and labels
    that only one of two sources has."""
    if not rows.labels:
        return
    if len(set(rows.labels)) == 1:
        yield rows.finding(
            "error",
            "One label for all rows",
            f"Every row ({len(rows):,} in all) has the label {_shown(rows.labels[0])}, and without at least two labels there is nothing "
            'to learn. Choose another column with label="…" (--label …), or add rows with other labels.',
        )
        return
    counts = count_labels(rows)
    if not counts:
        return
    own = list(_labels_of_their_own(rows, counts))
    yield from own
    if not own:
        yield from _balance(rows, counts)
        yield from _rare(rows, counts)
    yield from _names(counts)
    yield from _order(rows, counts)
    if against is not None:
        yield from _only_in_one(rows, counts, against)


def _labels_of_their_own(rows: TextRows, counts: Mapping[Any, int]) -> Iterator[Finding]:
    if rows.kind == "single" and len(counts) * 2 > len(rows) >= _LEAST_TO_JUDGE:
        certain = len(counts) == len(rows) >= _ONE_LABEL_A_ROW
        yield Finding(
            "error" if certain else "warning",
            "Nearly every row has a label of its own" if len(counts) < len(rows) else "Every row has a label of its own",
            f"{len(rows):,} rows have {len(counts):,} different labels ({listing(map(_shown, counts), 4)}), as a column of ids or of "
            'texts has. Choose another column with label="…" (--label …); numbers that measure something are read with '
            'kind="number" (--kind number).',
        )
    elif rows.kind == "single" and len(counts) > MOST_INTEGER_VALUES and all(isinstance(name, int) for name in counts):
        yield Finding(
            "note",
            "Whole numbers as labels",
            f"The labels are {len(counts)} different whole numbers, from {min(counts)} to {max(counts)}, and each is a class of its own. "
            'If they measure something, read them with kind="number" (--kind number).',
        )


def _balance(rows: TextRows, counts: Mapping[Any, int]) -> Iterator[Finding]:
    name, most = next(iter(counts.items()))
    share = most / len(rows)
    if rows.kind == "single" and share >= 0.8 and len(rows) >= _LEAST_TO_JUDGE:
        yield Finding(
            "warning" if share >= 0.95 else "note",
            "One label outweighs the others",
            f"{_shown(name)} is the label of {of_all(most, len(rows))}: answering it always would be right as often. Judge by macro F1, "
            'and try class_weights="balanced" (--class-weights balanced).',
        )


def _rare(rows: TextRows, counts: Mapping[Any, int]) -> Iterator[Finding]:
    rare = {name: count for name, count in counts.items() if count < LEAST_ROWS}
    if rare:
        positions = _positions(rows, rare)
        yield rows.finding(
            "warning",
            "Rare labels",
            f"{len(rare):,} of {len(counts):,} labels occur in fewer than {LEAST_ROWS} rows, too few to be learnt or measured: "
            f"{listing(f'{_shown(name)} {count}' for name, count in rare.items())}. Add rows, or merge them with other labels.",
            positions,
        )


def _names(counts: Mapping[Any, int]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for name in counts:
        if isinstance(name, str):
            alike.setdefault(re.sub(r"[\W_]+", " ", name.casefold()).strip() or name, []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if groups:
        told = listing((" and ".join(f"{_shown(name)} ({counts[name]:,})" for name in names) for names in groups), 4)
        yield Finding(
            "warning",
            "Labels that are nearly the same",
            f"Labels differ only in case, spaces or punctuation, and are different classes: {told}. Write them alike.",
        )


def _order(rows: TextRows, counts: Mapping[Any, int]) -> Iterator[Finding]:
    runs = 1 + sum(a != b for a, b in pairwise(rows.labels or []))
    if rows.kind == "single" and runs <= 2 * len(counts) and len(rows) >= _LEAST_TO_JUDGE and len(rows) >= 10 * len(counts):
        yield Finding(
            "note",
            "Rows sorted by label",
            "Rows of the same label stand together. A training on all rows shuffles them by itself; before taking a slice, shuffle "
            "them with shuffle_seed=0 (--shuffle-seed 0).",
        )


def _only_in_one(rows: TextRows, counts: Mapping[Any, int], against: TextRows) -> Iterator[Finding]:
    others = count_labels(against)
    if others is None:
        return
    missing = {name: count for name, count in counts.items() if name not in others}
    if missing:
        share = sum(missing.values()) / max(1, sum(counts.values()))
        yield Finding(
            "warning" if share > 5 * FEW else "note",
            f"Labels that {against.name} lacks",
            f"{len(missing):,} of {len(counts):,} labels do not occur in {against.name}, which cannot tell how well they are learnt: "
            f"{listing(f'{_shown(name)} {count:,}' for name, count in missing.items())}.",
        )
    unknown = {name: count for name, count in others.items() if name not in counts}
    if unknown:
        positions = _positions(against, unknown)
        yield against.finding(
            "warning",
            f"Labels that only {against.name} has",
            f"{of_all(len(positions), len(against))} of {against.name} have labels that no row here has, so they cannot be learnt, and an "
            f"evaluation stops at them: {listing(f'{_shown(name)} {count:,}' for name, count in unknown.items())}. Rename or remove them.",
            positions,
        )


def _positions(rows: TextRows, names: Mapping[Any, int]) -> list[int]:
    """Rows that have one of some labels."""
    return [
        i for i, label in enumerate(rows.labels or []) if any(name in names for name in (label if isinstance(label, tuple) else [label]))
    ]


def _shown(label: object) -> str:
    """A label in quotes, a set of labels or a number as it is, cut where it is long."""
    text = ("|".join(label) or "(none)") if isinstance(label, tuple) else f"{label:g}" if isinstance(label, float) else str(label)
    text = text if len(text) <= 40 else text[:39] + "…"
    return text if isinstance(label, float) else f"'{text}'"
