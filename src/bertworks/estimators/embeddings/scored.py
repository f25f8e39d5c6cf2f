"""What is wrong with the scores of pairs: they do not differ, lie outside of their scale, or contradict each other."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from bertworks.batch import Array
from bertworks.data.inspection import Finding, TextRows
from bertworks.data.inspection.rows import FEW, listing, of_all

_SCALES = ((0, 1), (-1, 1), (0, 4), (1, 4), (0, 5), (1, 5), (0, 10), (1, 10), (0, 100))
"""Scales that similarity is usually told on, the narrowest first."""
_LEAST_TO_JUDGE = 20
_NEARLY_ALL = 0.95
_APART = 0.25
"""Share of the range by which scores of one pair have to differ to contradict each other."""


def check_scores(rows: TextRows, texts: Sequence[tuple[str, ...]], scores: Float[Array, "rows"]) -> Iterator[Finding]:
    """Scores that are all equal, nearly so, or outside of a scale; pairs scored in two ways; equal texts with a low score."""
    if scores.min() == scores.max():
        yield rows.finding(
            "error",
            "One score for all rows",
            f"Every row ({len(rows):,} in all) has the score {scores[0]:g}, and from scores that are all equal nothing can be learnt. "
            'Choose another column with label="…" (--label …), or, if all pairs belong together, objective="ranking" '
            "(--objective ranking).",
        )
        return
    outside = _outside(scores)
    if outside.any():
        low, high = scores[~outside].min(), scores[~outside].max()
        told = listing((f"{value:g}" for value in np.unique(scores[outside])), 6)
        places = np.flatnonzero(outside).tolist()
        yield rows.finding(
            "warning",
            "Scores outside of the scale",
            f"{of_all(len(places), len(rows))} have a score that the others, from {low:g} to {high:g}, are far from, or that no usual "
            f"scale has: {told}. The lowest and the highest score become the cosines 0 and 1, so that such a one moves all others. Mend "
            "it, or leave the row out.",
            places,
            (f"{scores[place]:g} in {rows.example(place)}" for place in places),
        )
    yield from _spread(rows, scores[~outside])
    size = float(np.ptp(scores[~outside])) or float(np.ptp(scores))
    yield from _contradictions(rows, texts, scores, size)
    yield from _same_sides(rows, texts, scores, size)


def _outside(scores: Float[Array, "rows"]) -> Bool[Array, "rows"]:
    """Scores of few rows that are further from the nearest other than all others are from each other, or else those outside of
    the one usual scale that nearly all scores lie on."""
    nowhere = np.zeros(len(scores), dtype=bool)
    if len(scores) < _LEAST_TO_JUDGE:
        return nowhere
    values = np.unique(scores)
    for place in np.argsort(-np.diff(values), kind="stable")[:2]:
        below = scores <= values[place]
        few, many = (below, ~below) if below.sum() * 2 < len(scores) else (~below, below)
        bulk = np.unique(scores[many])
        gap = float(values[place + 1] - values[place])
        if few.sum() <= (1 - _NEARLY_ALL) * len(scores) and len(bulk) > 2 and gap > bulk[-1] - bulk[0]:
            return np.asarray(few)
    inside = [(low <= scores) & (scores <= high) for low, high in _SCALES]
    if any(each.all() for each in inside):
        return nowhere
    return next((~each for each in inside if each.mean() >= _NEARLY_ALL), nowhere)


def _spread(rows: TextRows, scores: Float[Array, "some"]) -> Iterator[Finding]:
    low, high = np.percentile(scores, [5, 95])
    if len(scores) >= _LEAST_TO_JUDGE and high - low <= 0.1 * np.ptp(scores):
        between = f"are {low:g}" if low == high else f"lie between {low:g} and {high:g}"
        yield Finding(
            "warning",
            "Scores that hardly differ",
            f"Nine of ten scores {between}, though they reach from {scores.min():g} to {scores.max():g}: vectors learn little of what "
            "makes texts alike, and Spearman's correlation is decided by the few others. Add pairs that are less alike, or more.",
        )


def _contradictions(rows: TextRows, texts: Sequence[tuple[str, ...]], scores: Float[Array, "rows"], size: float) -> Iterator[Finding]:
    """The order of a pair does not matter: its cosine is the same."""
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(texts):
        groups[tuple(sorted(text.strip() for text in row))].append(place)
    contrary = [group for group in groups.values() if len(group) > 1 and np.ptp(scores[group]) > _APART * size]
    places = sorted(place for group in contrary for place in group)
    if places:
        yield rows.finding(
            "warning" if len(places) > FEW * len(rows) else "note",
            "Same pair, different scores",
            f"{of_all(len(places), len(rows))} have the two texts of another row, in this order or the other, but a score that is more "
            f"than {_APART:.0%} of the range away: at most one can be right. Settle which, or take the mean.",
            places,
            (rows.group(group, labelled=True) for group in contrary),
        )


def _same_sides(rows: TextRows, texts: Sequence[tuple[str, ...]], scores: Float[Array, "rows"], size: float) -> Iterator[Finding]:
    same = [place for place, row in enumerate(texts) if row[0].strip() == row[1].strip()]
    low = [place for place in same if scores[place] < scores.max() - _APART * size]
    if low:
        yield rows.finding(
            "warning",
            "The same on both sides, but a low score",
            f"{of_all(len(low), len(rows))} pair a text with itself and say that the two are not alike. The cosine of equal vectors is 1, "
            "whatever is learnt. Mend these rows, or leave them out.",
            low,
            (f"{scores[place]:g} in {rows.example(place)}" for place in low),
        )
    if len(same) > len(low):
        high = sorted(set(same) - set(low))
        yield rows.finding(
            "warning" if len(high) > 0.5 * len(rows) else "note",
            "The same on both sides",
            f"{of_all(len(high), len(rows))} pair a text with itself, from which nothing is learnt. Leave them out, or choose another "
            'second column with pair="…" (--pair …).',
            high,
        )
