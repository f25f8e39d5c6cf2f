"""Characters that were lost or garbled on the way into a file."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from bertworks.data.files import check_encoding, decode_text
from bertworks.data.inspection.findings import Finding
from bertworks.data.inspection.rows import FEW, MOST_EXAMPLES, TextRows, listing, of_all
from bertworks.errors import DataError

FALLBACKS = ("cp1252", "latin-1")
"""Encodings in which a file that is not UTF-8 is read instead; the last one knows every byte."""


def _as_shown(first: int, last: int) -> str:
    """Bytes as cp1252 and Latin-1 show them, for a class of characters in a pattern."""
    shown = {bytes([byte]).decode(encoding, "ignore") for byte in range(first, last + 1) for encoding in FALLBACKS}
    return re.escape("".join(sorted(shown)))


_NEXT = f"[{_as_shown(0x80, 0xBF)}]"
"""Second and further bytes of a character in UTF-8."""
_MARK = "[‘’“”‚„«»–—…\xa0]"
"""Those of them that may well follow a capital with an accent: they count only in the midst of a word."""
_SIGN = f"(?!{_MARK}){_NEXT}"
_MOJIBAKE = re.compile(
    f"[ÃÄÅ]{_SIGN}|(?<=[a-zß-ÿ])[ÃÄÅ]{_MARK}|[ÃÄÅ]{_MARK}(?=[^\\W\\d_])|(?<!\\w)Ã\xa0"  # Western and Central European letters
    f"|Â(?![«»])[{_as_shown(0xA0, 0xBF)}]|(?<![A-ZÀ-Þ])Â[«»]"  # signs such as £ and °, and the space that does not break
    f"|â[€\x80]{_NEXT}|â‚¬|â„¢|â{_SIGN}{_NEXT}"  # quotes and dashes; € and ™; other signs
    f"|ï»¿|ï¿½|ð[Ÿ\x9f]{_NEXT}{{1,2}}"  # byte order mark, replacement character, emoji
    f"|(?:[ÎÏÐÑØÙ×]{_NEXT}){{2,}}|(?:[à-é]{_NEXT}{_NEXT}){{2,}}"  # Greek, Cyrillic, Hebrew, Arabic; Asian scripts
)
_STARTS = re.compile("[ÂÃÄÅâïðÎÏÐÑØÙ×à-é]")
_LOST = re.compile("\ufffd")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def mojibake(text: str) -> str | None:
    """The first garbled character of a text that is UTF-8 read as cp1252 or Latin-1, None where there is none.

    >>> mojibake("cafÃ© au lait"), mojibake("café au lait")
    ('Ã©', None)
    """
    found = None if text.isascii() or not _STARTS.search(text) else _MOJIBAKE.search(text)
    return found[0] if found else None


def repaired(garbled: str) -> str:
    """What garbled characters stood for; nothing where they cannot be told.

    >>> repaired("Ã©")
    'é'
    """
    data = b"".join(char.encode("cp1252", "ignore") or char.encode("latin-1", "ignore") for char in garbled)
    return data.decode("utf-8", "ignore")


def check_characters(rows: TextRows) -> Iterator[Finding]:
    """Replacement characters, mojibake and control characters."""
    others = [i for i, text in enumerate(rows.whole) if not text.isascii()]
    lost = [i for i in others if "\ufffd" in rows.whole[i]]
    if lost:
        yield rows.finding(
            "note" if len(lost) <= FEW * len(rows) else "warning",
            "Lost characters",
            f"{of_all(len(lost), len(rows))} have the mark � for a character that was lost when the file was made. Make it again from "
            "its source, reading that in its own encoding.",
            lost,
            (rows.example(i, around=_LOST) for i in lost[:MOST_EXAMPLES]),
        )
    garbled = {i: found for i in others if (found := mojibake(rows.whole[i]))}
    if garbled:
        kinds = dict.fromkeys(f"{found} for {repaired(found)}" if repaired(found).strip() else found for found in garbled.values())
        yield rows.finding(
            "note" if len(garbled) <= FEW * len(rows) else "warning",
            "Garbled characters",
            f"{of_all(len(garbled), len(rows))} have such as {listing(kinds, 3)}: UTF-8 that was read in another encoding, here or when "
            'the file was made. Read or make it again as UTF-8 (encoding="utf-8", --encoding utf-8).',
            garbled,
            (rows.example(i, around=_MOJIBAKE) for i in list(garbled)[:MOST_EXAMPLES]),
        )
    controls = [i for i, text in enumerate(rows.whole) if not text.isprintable() and _CONTROL.search(text)]
    if controls:
        marks = Counter(mark for i in controls for mark in _CONTROL.findall(rows.whole[i]))
        told = listing((f"U+{ord(mark):04X}" for mark, _ in marks.most_common()), 4)
        latin = any("\x80" <= mark <= "\x9f" for mark in marks)
        remedy = "Those from U+0080 to U+009F are quotes and dashes of cp1252 that were read as Latin-1." if latin else "Remove them."
        yield rows.finding(
            "note",
            "Control characters",
            f"{of_all(len(controls), len(rows))} have characters that cannot be seen ({told}). {remedy}",
            controls,
            (rows.example(i, around=_CONTROL) for i in controls[:MOST_EXAMPLES]),
        )


class WrongBytes(NamedTuple):
    """A file that is not in the encoding it should have."""

    finding: Finding
    readable: str
    """An encoding in which it can be read for the time being."""
    throughout: bool
    """Whether that may well be the encoding of all of it, not of single lines."""


def check_bytes(data: bytes, encoding: str, name: str) -> WrongBytes | None:
    """What is wrong where a file is not in its encoding, None where all is well.

    Raises `DataError` where it is no text at all, as the readers do.
    """
    try:
        decode_text(data, encoding, name)
        return None
    except DataError:
        if check_encoding(encoding) not in ("utf-8", "utf-8-sig") or b"\x00" in data[:1000]:
            raise
    wrong: list[tuple[int, bytes]] = []
    right = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            right += 1
        except UnicodeDecodeError:
            wrong.append((number, line))
    readable = next(fallback for fallback in FALLBACKS if _can_decode(data, fallback))
    where = f"{len(wrong):,} line{'s' if len(wrong) > 1 else ''} of {name} cannot be read as UTF-8"
    if right > len(wrong):
        remedy = f"while {right:,} others with special characters can: lines from a source in another encoding. Mend them"
    else:
        remedy = f'so the file has another encoding, perhaps {readable}: encoding="{readable}" (--encoding {readable})'
    shown = tuple(f"line {number}, as {readable}: “{_around(line, readable)}”" for number, line in wrong[:3])
    message = f"{where}, {remedy}. Below, the whole file is read as {readable}."
    return WrongBytes(Finding("error", "Undecodable bytes", message, (), len(wrong), shown), readable, right <= len(wrong))


def _can_decode(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _around(line: bytes, encoding: str) -> str:
    """What stands around the first byte of a line that is not UTF-8."""
    try:
        line.decode("utf-8")
        place = 0
    except UnicodeDecodeError as error:
        place = error.start
    return " ".join(line[max(0, place - 30) : place + 30].decode(encoding, "replace").split())
