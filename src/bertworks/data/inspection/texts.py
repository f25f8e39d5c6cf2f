"""What is wrong with a column of texts."""

import re
from collections import Counter
from collections.abc import Callable, Iterator

from bertworks.data.inspection.findings import Finding, Level
from bertworks.data.inspection.rows import FEW, MOST_EXAMPLES, TextRows, listing, of_all

_TAGS = "a|b|i|u|p|br|hr|em|td|th|tr|li|ul|ol|h[1-6]|div|img|pre|sub|sup|code|font|span|style|table|strong|script"
_HTML = re.compile(rf"</?(?:{_TAGS})\b[^<>]{{0,200}}>|&(?:[a-z]{{2,8}}|#\d{{2,6}}|#x[0-9a-f]{{2,5}});|(?<![\w&])#\d{{2,4}};", re.IGNORECASE)
"""Tags, entities, and numbers of entities whose & was lost."""
_PLACEHOLDER = re.compile(r"\s*(?:nan|none|null|n/a|#n/a|undefined|\[deleted\]|\[removed\])\s*", re.IGNORECASE)
"""What programs and forums write where there is no text."""
_CODE = re.compile(r"\s*[^\s\d]{0,12}\d\S{0,40}\s*")
_LETTER = re.compile(r"[^\W_]")
_LEAST_TO_JUDGE = 20


def check_texts(rows: TextRows) -> Iterator[Finding]:
    """One text everywhere, ids for texts, rows without a real text, texts of one word, HTML, pairs of twice the same."""
    if len(rows) > 1 and len(set(rows.whole)) == 1:
        yield rows.finding(
            "error",
            "One text for all rows",
            f'All {len(rows):,} rows have the same text, so nothing tells them apart. Choose another column with text="…" (--text …).',
            range(len(rows)),
            [rows.example(0)],
        )
        return
    yield from _ids(rows)
    yield from _without_text(rows)
    yield from _one_word(rows)
    yield from _html(rows)
    yield from _same_twice(rows)


def _ids(rows: TextRows) -> Iterator[Finding]:
    if len(rows) < _LEAST_TO_JUDGE:
        return
    for argument, texts in (("text", rows.texts), ("pair", rows.pairs or [])):
        found = [i for i, text in enumerate(texts) if _CODE.fullmatch(text)]
        if len(found) > 0.9 * len(rows):
            yield rows.finding(
                "warning",
                "Ids or numbers instead of texts",
                f"{of_all(len(found), len(rows))} have a number or a code where a text should be, as a column of ids has. Choose another "
                f'column with {argument}="…" (--{argument} …).',
                found,
            )


def _without_text(rows: TextRows) -> Iterator[Finding]:
    for title, what, found in (
        ("Placeholders for texts", "say only such a thing as 'nan' or '[deleted]'", _where(rows, _is_placeholder)),
        ("Texts without letters", "have no letter and no digit", _where(rows, _has_no_letter)),
    ):
        if found:
            level: Level = "note" if len(found) <= FEW * len(rows) else "warning"
            message = f"{of_all(len(found), len(rows))} {what}. Remove them, unless such texts are to be classified too."
            yield rows.finding(level, title, message, found)


def _where(rows: TextRows, holds: Callable[[str], bool]) -> list[int]:
    """Positions of the rows of which a text is as described."""
    columns = [rows.texts] if rows.pairs is None else [rows.texts, rows.pairs]
    return [i for i, texts in enumerate(zip(*columns, strict=True)) if any(map(holds, texts))]


def _is_placeholder(text: str) -> bool:
    return len(text) < 40 and _PLACEHOLDER.fullmatch(text) is not None


def _has_no_letter(text: str) -> bool:
    return _LETTER.search(text) is None


def _is_one_word(text: str) -> bool:
    return len(text) < 40 and len(text.split()) == 1 and text.isascii()  # other scripts write sentences without spaces


def _one_word(rows: TextRows) -> Iterator[Finding]:
    found = _where(rows, _is_one_word)
    if len(found) > FEW * len(rows) and len(rows) >= _LEAST_TO_JUDGE:
        yield rows.finding(
            "note",
            "Very short texts",
            f"{of_all(len(found), len(rows))} have a text of one word, from which there may be little to tell.",
            found,
        )


def _html(rows: TextRows) -> Iterator[Finding]:
    marked = {i: _HTML.findall(text) for i, text in enumerate(rows.whole) if "<" in text or ";" in text}
    found = [i for i, marks in marked.items() if marks]
    if found:
        common = Counter(mark.lower() for i in found for mark in marked[i] if len(mark) <= 20).most_common(4)
        yield rows.finding(
            "note",
            "HTML in the texts",
            f"{of_all(len(found), len(rows))} have tags or entities ({listing(f'{mark} {count:,} times' for mark, count in common)}). A "
            "model learns to live with them, but they take room: strip them from training data and from later texts alike.",
            found,
            (rows.example(i, around=_HTML) for i in found[:MOST_EXAMPLES]),
        )


def _same_twice(rows: TextRows) -> Iterator[Finding]:
    if rows.pairs is None or len(rows) < _LEAST_TO_JUDGE:
        return
    found = [i for i, (text, pair) in enumerate(zip(rows.texts, rows.pairs, strict=True)) if text.strip() == pair.strip()]
    if len(found) > 0.5 * len(rows):
        yield rows.finding(
            "warning",
            "Pairs of the same text",
            f'{of_all(len(found), len(rows))} pair a text with itself. Choose another second column with pair="…" (--pair …).',
            found,
        )
