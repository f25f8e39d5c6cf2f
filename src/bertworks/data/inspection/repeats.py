"""Rows that stand in the data more than once: exactly or nearly, with the same label or another, here or in a second source."""

from collections.abc import Iterator, Sequence
from itertools import chain

from bertworks.data.inspection.findings import Finding
from bertworks.data.inspection.near_duplicates import SHINGLE_WORDS, THRESHOLD, near_duplicates
from bertworks.data.inspection.rows import FEW, TextRows, of_all

_MANY = 5 * FEW
"""Share of repeated rows from which on they are a warning."""
_SPREAD = 0.25
"""Numbers of the same text contradict each other where they differ by more than this share of the whole range."""
_MEASURE = f"at least {THRESHOLD:.0%} of their runs of {SHINGLE_WORDS} words in common"


def check_repeats(rows: TextRows, against: TextRows | None) -> Iterator[Finding]:
    """Exact and near duplicates, labels that contradict each other, and overlap with a second source."""
    same: dict[str, list[int]] = {}
    for position, text in enumerate(rows.whole):
        same.setdefault(text.strip(), []).append(position)
    repeated = [group for group in same.values() if len(group) > 1]
    if len(same) > 1:
        yield from _exact(rows, repeated)
        yield from _contradictions(rows, repeated)
    near = near_duplicates(chain(rows.whole, () if against is None else against.whole)).groups
    here = [[i for i in group if i < len(rows)] for group in near]
    yield from _near(rows, here)
    if against is not None:
        yield from _overlap(rows, same, against)
        yield from _near_overlap(rows, near, same, against)


def _exact(rows: TextRows, repeated: list[list[int]]) -> Iterator[Finding]:
    later = sorted(i for group in repeated for i in group[1:])
    if later:
        yield rows.finding(
            "warning" if len(later) > _MANY * len(rows) else "note",
            "Duplicates",
            f"{of_all(len(later), len(rows))} repeat the text of an earlier row ({_groups(repeated)}). Keep one of each: copies "
            "that fall into validation data make its scores too good.",
            later,
            (rows.group(group) for group in repeated),
        )


def _contradictions(rows: TextRows, repeated: list[list[int]]) -> Iterator[Finding]:
    contrary = [group for group in repeated if _contradict(rows, group)]
    positions = sorted(chain.from_iterable(contrary))
    if positions:
        yield rows.finding(
            "warning" if len(positions) > FEW * len(rows) else "note",
            "Same text, different labels",
            f"{of_all(len(positions), len(rows))} have the text of another row but not its label ({_groups(contrary)}): at most one "
            "of them can be right. Settle which, or remove them.",
            positions,
            (rows.group(group, labelled=True) for group in contrary),
        )


def _near(rows: TextRows, groups: list[list[int]]) -> Iterator[Finding]:
    differing = [_first_of_each_text(rows, group) for group in groups]
    differing = [group for group in differing if len(group) > 1]
    later = sorted(i for group in differing for i in group[1:])
    if later:
        yield rows.finding(
            "warning" if len(later) > _MANY * len(rows) else "note",
            "Near duplicates",
            f"{of_all(len(later), len(rows))} are nearly the same as an earlier row, with {_MEASURE} ({_groups(differing)}). Keep "
            "one of each: copies that fall into validation data make its scores too good.",
            later,
            (rows.group(group) for group in differing),
        )
    contrary = [group for group in differing if _contradict(rows, group)]
    if contrary:
        positions = sorted(chain.from_iterable(contrary))
        yield rows.finding(
            "note",
            "Nearly the same text, different labels",
            f"{of_all(len(positions), len(rows))} are near duplicates of a row with another label ({_groups(contrary)}). A word may "
            "make the difference; where none does, a label is wrong.",
            positions,
            (rows.group(group, labelled=True) for group in contrary),
        )


def _overlap(rows: TextRows, same: dict[str, list[int]], against: TextRows) -> Iterator[Finding]:
    found = [(i, same[text.strip()][0]) for i, text in enumerate(against.whole) if text.strip() in same]
    if found:
        yield against.finding(
            "warning" if len(found) > max(1, 2 * FEW * len(against)) else "note",
            f"Texts of {against.name} that stand here too",
            f"{of_all(len(found), len(against))} of {against.name} have a text that stands here too. A model that is trained here has seen "
            "them, so that its scores on them say little: keep each text in one of the two only.",
            (i for i, _ in found),
            (f"row {against.numbers[i]} of {against.name} is row {rows.numbers[j]} here: {against.excerpt(i)}" for i, j in found[:5]),
        )


def _near_overlap(rows: TextRows, groups: list[list[int]], same: dict[str, list[int]], against: TextRows) -> Iterator[Finding]:
    pairs: list[tuple[int, int]] = []
    for group in groups:
        here = [i for i in group if i < len(rows)]
        there = [i - len(rows) for i in group if i >= len(rows)]
        pairs += [(i, here[0]) for i in there if here and against.whole[i].strip() not in same]
    if pairs:
        pairs.sort()
        yield against.finding(
            "warning" if len(pairs) > max(1, _MANY * len(against)) else "note",
            f"Texts of {against.name} that nearly stand here too",
            f"{of_all(len(pairs), len(against))} of {against.name} are near duplicates of rows here, with {_MEASURE}. Scores on them are "
            "better than on new texts: keep such texts in one of the two only.",
            (i for i, _ in pairs),
            (
                f"row {against.numbers[i]} of {against.name} is nearly row {rows.numbers[j]} here: {against.excerpt(i)}"
                for i, j in pairs[:5]
            ),
        )


def _groups(found: list[list[int]]) -> str:
    return "1 group" if len(found) == 1 else f"{len(found):,} groups"


def _first_of_each_text(rows: TextRows, group: Sequence[int]) -> list[int]:
    first: dict[str, int] = {}
    for position in group:
        first.setdefault(rows.whole[position].strip(), position)
    return list(first.values())


def _contradict(rows: TextRows, group: Sequence[int]) -> bool:
    labels = [label for i in group if (label := rows.labels[i] if rows.labels else None) is not None]
    if rows.kind == "number":
        numbers = [label for label in labels if isinstance(label, int | float)]
        return bool(numbers) and max(numbers) - min(numbers) > _SPREAD * rows.label_range
    return len({frozenset(label) if isinstance(label, tuple) else label for label in labels}) > 1
