"""Tags of words, and the spans that they spell: IO, IOB1, IOB2, BIOES (BILOU), and plain labels of words.

IOB1 (Ramshaw & Marcus 1995): the words of an entity are I-X; B-X begins one that follows another of the same type at once.
IOB2 (Tjong Kim Sang & Veenstra 1999): the first word of every entity is B-X. BIOES (Ratinov & Roth 2009, BILOU there): the
last word is E-X, an entity of one word S-X. IO has the type alone as tag, so that neighbours of one type are one. Where tags are
plain labels ("words"), as parts of speech, every word is a span by itself.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, NamedTuple, get_args

from bertworks.errors import SettingsError, nearest

Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU", "IO", "words"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
Convention = Literal["conlleval", "strict"]
"""How spans are read from tags that break the rules of their scheme: conlleval begins an entity wherever one can be meant,
strict takes entities only that are spelled as the scheme demands."""

OUTSIDE = "O"
NAMELESS = "entity"
"""What entities are called whose tags have no type."""
_BILOU = {"L": "E", "U": "S"}


class Tag(NamedTuple):
    """A tag in its parts."""

    prefix: str
    """B, I, E, S or O; L and U are read as E and S."""
    type: str
    """What the word is part of; empty outside, and where tags have no types."""


class Span(NamedTuple):
    """Words from `start` up to, not including, `end`."""

    start: int
    end: int
    label: str


@cache
def parse(tag: str, scheme: Scheme = "IOB2") -> Tag:
    """The parts of a tag; what has no prefix is inside an entity of that name, as all but "O" is where the scheme has none.

    >>> parse("B-creative-work"), parse("O"), parse("L-PER"), parse("I")
    (Tag(prefix='B', type='creative-work'), Tag(prefix='O', type=''), Tag(prefix='E', type='PER'), Tag(prefix='I', type=''))
    >>> parse("B-cell", "IO")
    Tag(prefix='I', type='B-cell')
    """
    if scheme in ("IO", "words") and tag != OUTSIDE:
        return Tag("I", tag)
    prefix, _, kind = tag.partition("-")
    if prefix == OUTSIDE:
        return Tag(OUTSIDE, "")
    if len(prefix) == 1 and prefix in "BIESLU":
        return Tag(_BILOU.get(prefix, prefix), kind)
    return Tag("I", tag)


def checked_scheme(name: str) -> Scheme:
    """The name as it came. Raises `SettingsError` where there is no such scheme."""
    if name not in SCHEMES:
        hint = nearest(str(name).upper(), SCHEMES)
        raise SettingsError(f"there is no scheme {name!r}; known: {', '.join(SCHEMES)}.{hint}")
    return name


# ---- which scheme


def guess_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme in whose rules the tags fit best; IOB2 where IOB1 fits as well.

    >>> guess_scheme([["I-PER", "I-PER", "O"]]), guess_scheme([["B-PER", "I-PER", "O"]]), guess_scheme([["DET", "NOUN"]])
    ('IOB1', 'IOB2', 'words')
    """
    pairs: Counter[tuple[str, str]] = Counter()
    known: set[str] = set()
    for tags in sentences:
        known.update(tags)
        pairs.update(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True))
    found = scheme_of_tags(known)
    if found != "IOB2":
        return found
    wrong = {scheme: sum(n for (before, tag), n in pairs.items() if not may_follow(before, tag, scheme)) for scheme in ("IOB2", "IOB1")}
    return "IOB1" if wrong["IOB1"] < wrong["IOB2"] else "IOB2"


def scheme_of_tags(tags: Iterable[str]) -> Scheme:
    """The scheme that a set of tags alone points to: IOB2 for B and I, whose order alone could tell it from IOB1.

    >>> [scheme_of_tags(tags) for tags in (["O", "B-PER", "E-PER"], ["O", "I-PER"], ["O", "person"], ["NOUN", "VERB"])]
    ['BIOES', 'IOB1', 'IO', 'words']
    """
    known = set(tags)
    inside = known - {OUTSIDE}
    prefixes = {tag.partition("-")[0] for tag in inside}
    dashed = all("-" in tag for tag in inside)
    bare = inside == prefixes and "B" in prefixes  # tags without types, of which B is always one
    if not inside or not prefixes <= set("BIESLU") or not (dashed or bare):
        return "IOB2" if not inside else "IO" if OUTSIDE in known else "words"
    if prefixes & set("LU"):
        return "BILOU"
    if prefixes & set("ES"):
        return "BIOES"
    return "IOB2" if "B" in prefixes else "IOB1"


# ---- what may stand beside what


def may_follow(before: str, tag: str, scheme: Scheme) -> bool:
    """Whether `tag` may stand after `before` in a scheme; at both ends of a sentence an "O" is thought.

    >>> may_follow("O", "I-PER", "IOB2"), may_follow("O", "I-PER", "IOB1"), may_follow("B-PER", "O", "BIOES")
    (False, True, False)
    """
    if scheme in ("IO", "words"):
        return True
    (last, last_type), (prefix, kind) = parse(before, scheme), parse(tag, scheme)
    same = last_type == kind
    if scheme == "IOB1":
        return prefix != "B" or (last in "BI" and same)
    if scheme == "IOB2":
        return prefix != "I" or (last in "BI" and same)
    return prefix in "IE" and same if last in "BI" else prefix in "BSO"


def begins(before: str, tag: str, scheme: Scheme) -> bool:
    """Whether a span begins at `tag` after `before`, as conlleval reads it."""
    if scheme == "words":
        return True
    (last, last_type), (prefix, kind) = parse(before, scheme), parse(tag, scheme)
    if prefix == OUTSIDE:
        return False
    return prefix in "BS" or last in "OES" or last_type != kind


def faults(tags: Sequence[str], scheme: Scheme) -> list[int]:
    """The places of the tags that must not stand after the ones before them (the number of words: at the end).

    >>> faults(["O", "I-PER", "B-LOC", "I-PER"], "IOB2")
    [1, 3]
    """
    steps = zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)
    return [place for place, (before, tag) in enumerate(steps) if not may_follow(before, tag, scheme)]


# ---- from tags to spans and back


def spans_of(tags: Sequence[str], scheme: Scheme, convention: Convention = "conlleval") -> list[Span]:
    """The spans that tags spell, in their order.

    >>> spans_of(["O", "I-PER", "I-PER", "B-PER", "I-LOC"], "IOB2")
    [Span(start=1, end=3, label='PER'), Span(start=3, end=4, label='PER'), Span(start=4, end=5, label='LOC')]
    >>> spans_of(["O", "I-PER", "I-PER", "B-PER", "I-LOC"], "IOB2", "strict")
    [Span(start=3, end=4, label='PER')]
    """
    if scheme == "words":
        return [Span(place, place + 1, tag) for place, tag in enumerate(tags)]
    if convention == "strict":
        return _strict(tags, scheme)
    found: list[Span] = []
    start, before = 0, OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        if before != OUTSIDE and (tag == OUTSIDE or begins(before, tag, scheme)):
            found.append(Span(start, place, parse(before, scheme).type))
        if begins(before, tag, scheme):
            start = place
        before = tag
    return found


def _strict(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """Entities that are spelled by the rules from their first word to their last, as seqeval's strict mode takes them."""
    found: list[Span] = []
    place, before = 0, OUTSIDE
    while place < len(tags):
        start, (prefix, kind) = place, parse(tags[place], scheme)
        place += 1
        if prefix == OUTSIDE or not _opens(before, tags[start], scheme):
            before = tags[start]
            continue
        last = prefix
        while place < len(tags) and last in "BI":
            next_one = parse(tags[place], scheme)
            if next_one.type != kind or next_one.prefix not in _INSIDE[scheme]:
                break
            last = next_one.prefix
            place += 1
        if last in "ES" or scheme not in ("BIOES", "BILOU"):
            found.append(Span(start, place, kind))
        before = tags[place - 1]
    return found


_INSIDE = {"IO": "I", "IOB1": "I", "IOB2": "I", "BIOES": "IE", "BILOU": "IE"}


def _opens(before: str, tag: str, scheme: Scheme) -> bool:
    prefix = parse(tag, scheme).prefix
    if scheme in ("IO", "IOB1"):
        return may_follow(before, tag, scheme)
    return prefix == "B" or (prefix == "S" and scheme in ("BIOES", "BILOU"))


def tags_of(spans: Iterable[Span], words: int, scheme: Scheme) -> list[str]:
    """The tags of so many words that spell spans, which must not overlap: the inverse of `spans_of`.

    >>> tags_of([Span(0, 1, "PER"), Span(1, 3, "PER")], 4, "IOB1"), tags_of([Span(1, 2, "LOC")], 2, "BIOES")
    (['I-PER', 'B-PER', 'I-PER', 'O'], ['O', 'S-LOC'])
    """
    out = [OUTSIDE] * words
    for start, end, label in sorted(spans):
        if scheme in ("IO", "words"):
            out[start:end] = [label] * (end - start)
            continue
        first, last = "B", "I"
        if scheme == "IOB1":
            before = out[start - 1] if start else OUTSIDE
            first = "B" if before != OUTSIDE and parse(before, scheme).type == label else "I"
        elif scheme in ("BIOES", "BILOU"):
            last = "E" if scheme == "BIOES" else "L"
            first = "B" if end - start > 1 else "S" if scheme == "BIOES" else "U"
        prefixes = [first, *["I"] * (end - start - 2), *([last] if end - start > 1 else [])]
        out[start:end] = [f"{prefix}-{label}" if label else prefix for prefix in prefixes]
    return out


def all_tags(types: Iterable[str], scheme: Scheme) -> list[str]:
    """Every tag that a scheme has for some types, "O" first.

    >>> all_tags(["PER", "LOC"], "IOB2")
    ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']
    """
    if scheme in ("IO", "words"):
        return [*([OUTSIDE] if scheme == "IO" else []), *types]
    prefixes = {"IOB1": "IB", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU"}[scheme]
    return [OUTSIDE, *(f"{prefix}-{kind}" if kind else prefix for kind in types for prefix in prefixes)]
