"""Texts that give their label away, so that a model would learn to look it up."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache

from bertworks.data.inspection.findings import Finding
from bertworks.data.inspection.rows import TextRows, evenly_spaced, of_all

_LEAST_TO_JUDGE = 20
_LOOKED_AT = 2000
"""Rows that are searched for labels."""
_NEARLY_ALL = 0.9


def check_giveaways(rows: TextRows) -> Iterator[Finding]:
    """Texts that are their label, hold it, or say it by their first or last word."""
    if rows.kind != "single" or not rows.labels or len(rows) < _LEAST_TO_JUDGE or len(set(rows.labels)) == 1:
        return
    labels = [_plain(str(label)) for label in rows.labels]
    equal = [i for i, text in enumerate(rows.texts) if len(text) < 200 and _plain(text) == labels[i]]
    if len(equal) > _NEARLY_ALL * len(rows):
        yield rows.finding(
            "error" if len(equal) == len(rows) else "warning",
            "The text is the label",
            f"In {of_all(len(equal), len(rows))} the text is the label itself. Choose other columns with text and label (--text, --label).",
            equal,
        )
        return
    yield from _held(rows)
    yield from _told_by_a_word(rows)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _held(rows: TextRows) -> Iterator[Finding]:
    """Whether texts hold their own label as a word, and not the others' as well."""
    assert rows.labels is not None
    names = [str(name) for name in dict.fromkeys(rows.labels)]
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    places = evenly_spaced(len(rows), _LOOKED_AT).tolist()
    own = [i for i in places if _as_word(str(rows.labels[i])).search(rows.whole[i])]
    if len(own) <= _NEARLY_ALL * len(places):
        return
    others = sum(_as_word(following[str(rows.labels[i])]).search(rows.whole[i]) is not None for i in places)
    if others < 0.5 * len(own):
        yield rows.finding(
            "warning",
            "The text holds the label",
            f"In {of_all(len(own), len(places))} looked at, the label stands in the text, word for word. Remove it, unless texts to be "
            "classified later have it too.",
            own,
        )


@lru_cache
def _as_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def _told_by_a_word(rows: TextRows) -> Iterator[Finding]:
    """Whether one of few words with which texts begin, or end, decides the label."""
    assert rows.labels is not None
    usual = Counter(rows.labels).most_common(1)[0][1]
    for place, title in ((0, "The first word tells the label"), (-1, "The last word tells the label")):
        by_word: dict[str, Counter[object]] = defaultdict(Counter)
        for text, label in zip(rows.texts, rows.labels, strict=True):
            by_word[(text.split(None, 1) if place == 0 else text.rsplit(None, 1))[place] if text.strip() else ""][label] += 1
        right = sum(counts.most_common(1)[0][1] for counts in by_word.values())
        if len(by_word) * 20 <= len(rows) and right >= 0.99 * len(rows) > 1.1 * usual:
            shown = [f"{word!r}: {counts.most_common(1)[0][0]}" for word, counts in list(by_word.items())[:5]]
            yield Finding(
                "warning",
                title,
                f"Texts {'begin' if place == 0 else 'end'} with one of {len(by_word)} words, and the word alone tells the label in "
                f"{of_all(right, len(rows))}. Remove it, unless texts to be classified later have it too.",
                examples=tuple(shown),
            )
