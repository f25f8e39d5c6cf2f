"""Which column is the text, which its pair, which the label: guessed only where there is no doubt."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from bertworks.data.table import Table
from bertworks.errors import DataError, nearest

# fmt: off
TEXT_NAMES = (
    "text", "sentence", "review", "content", "description", "question", "document", "body", "comment", "tweet", "message",
    "utterance", "query", "passage", "abstract", "article", "post", "sms", "review_text", "reviewtext", "review_body",
    "comment_text", "tweet_text", "sentence_text", "full_text", "input_text",
)
"""Names that mean a text."""
# fmt: on
WEAK_TEXT_NAMES = ("title", "headline", "subject", "summary")
"""Names that mean the text only where no better name is there."""
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("text", "text_pair"),
    ("question", "sentence"),
    ("query", "passage"),
    ("query", "document"),
    ("anchor", "positive"),
)
"""Names of the two texts of a pair."""
# fmt: off
LABEL_NAMES = (
    "label", "labels", "class", "classes", "category", "categories", "sentiment", "score", "similarity", "similarity_score",
    "relatedness", "relatedness_score", "target", "acceptable", "acceptability", "paraphrase", "is_duplicate", "is_paraphrase",
    "entailment", "judgment", "judgement", "intent", "topic", "stars", "rating", "polarity", "emotion", "emotions", "toxicity",
)
"""Names that mean a label; so do names of which `label` is a part, such as fine_label."""
# fmt: on
_LABEL_PART = re.compile(r"(^|[_\- .])labels?($|[_\- .])")
_INDEX_NAMES = ("", "id", "idx", "index", "unnamed: 0", "column_1", "row", "guid", "uid")


@dataclass(frozen=True)
class Columns:
    """The columns that are used."""

    text: str
    pair: str | None
    label: str | None


def choose_columns(
    table: Table, *, text: str | None, pair: str | None, label: str | Literal[False] | None, require_labels: bool
) -> Columns:
    """The columns as given, the others guessed by well-known names (case does not matter).

    A pair is guessed only where `text` is not given. Where no label is required, doubt about it means none.
    Raises `DataError` naming all columns and the argument to pass where a guess is not safe.
    """
    names = table.data.column_names
    for argument, name in (("text", text), ("pair", pair), ("label", label or None)):
        if name is not None:
            _check(table, argument, name)
    given = [name for name in (text, pair, label or None) if name is not None]
    if len(set(given)) < len(given):
        raise DataError(f"{table.name}: text, pair and label must be different columns, not {', '.join(given)}")
    free = [name for name in names if name not in given]
    chosen_label = label if isinstance(label, str) else None
    if text is None:
        text, pair, chosen_label = _guess_text(table, free, pair, chosen_label, label is not False)
    if label is None and chosen_label is None:
        chosen_label = _guess_label(table, [name for name in free if name not in (text, pair)], text, pair, require_labels)
    for name in (text, pair, chosen_label):
        if name is not None:
            _check(table, "", name)
    return Columns(text, pair, chosen_label)


def _check(table: Table, argument: str, name: str) -> None:
    count = table.data.column_names.count(name)
    if count == 0:
        hint = nearest(name, table.data.column_names)
        raise DataError(f"{table.name} has no column '{name}' ({argument}=\"{name}\"); it has {listed(table)}.{hint}")
    if count > 1:
        raise DataError(f"{table.name} has {count} columns named '{name}'; rename all but one")


def _guess_text(
    table: Table, free: Sequence[str], pair: str | None, label: str | None, with_label: bool
) -> tuple[str, str | None, str | None]:
    """Text, pair and, where the two can only be told together, label."""
    counts = Counter(table.data.column_names)
    by_name = {name.lower(): name for name in free if counts[name] == 1 and _may_be_text(table.data, name)}
    if pair is None:
        pairs = [(by_name[a], by_name[b]) for a, b in PAIR_NAMES if a in by_name and b in by_name]
        others = [by_name[name] for name in TEXT_NAMES if name in by_name and by_name[name] not in (pairs[0] if pairs else ())]
        if len(pairs) == 1 and not others:
            return *pairs[0], label
        if pairs:
            candidates = list(dict.fromkeys([name for found in pairs for name in found] + others))
            raise _ask(table, "text", candidates, also=' and, for pairs, pair="…" (--pair …)')
    else:
        partners = [by_name[a] for a, b in PAIR_NAMES if b == pair.lower() and a in by_name]
        if len(partners) == 1:
            return partners[0], pair, label
    strong = [by_name[name] for name in TEXT_NAMES if name in by_name]
    found = strong or [by_name[name] for name in WEAK_TEXT_NAMES if name in by_name]
    if len(found) == 1:
        return found[0], pair, label
    if not found:
        rest = [name for name in free if name.lower() not in _INDEX_NAMES]
        texts = [name for name in rest if counts[name] == 1 and _may_be_text(table.data, name) and not _is_label_name(name)]
        if len(texts) == 1 and all(_is_label_name(name) for name in rest if name != texts[0]):
            return texts[0], pair, label
        told = _tell_two_apart(table.data, rest) if len(rest) == 2 and pair is None and label is None else None
        if told:
            return told[0], None, told[1] if with_label else None
    raise _ask(table, "text", found)


def _guess_label(table: Table, free: Sequence[str], text: str, pair: str | None, require_labels: bool) -> str | None:
    candidates = [name for name in free if _is_label_name(name)]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates and pair is None:
        rest = [name for name in free if name.lower() not in _INDEX_NAMES]
        told = _tell_two_apart(table.data, [text, rest[0]]) if len(rest) == 1 and len(table.data.column_names) <= 3 else None
        if told and told[0] == text:
            return told[1]
    if require_labels:
        raise _ask(table, "label", candidates)
    return None


def _is_label_name(name: str) -> bool:
    return name.lower() in LABEL_NAMES or bool(_LABEL_PART.search(name.lower()))


def _may_be_text(data: pa.Table, name: str) -> bool:
    """Whether the only column of that name holds texts."""
    return is_text(data.schema.field(name).type)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings (or nothing at all)."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind))


def _tell_two_apart(data: pa.Table, names: Sequence[str]) -> tuple[str, str] | None:
    """(text, label) of two columns where one is clearly long text and the other has few distinct values."""
    if any(data.column_names.count(name) != 1 for name in names) or data.num_rows < 4:
        return None
    values = [data[name].to_pylist() for name in names]
    lengths = [sum(len(str(value)) for value in column) / len(column) for column in values]
    distinct = [len({str(value) for value in column}) for column in values]
    long, short = (0, 1) if lengths[0] > lengths[1] else (1, 0)
    clear = lengths[long] >= max(20, 2 * lengths[short]) and distinct[long] * 2 > data.num_rows
    few = 2 <= distinct[short] <= min(200, data.num_rows // 2)
    return (names[long], names[short]) if clear and few and _may_be_text(data, names[long]) else None


def _ask(table: Table, argument: str, candidates: Sequence[str], also: str = "") -> DataError:
    kind = {"text": "the text", "label": "the label"}[argument]
    state = f"could be {' or '.join(candidates)}" if candidates else "cannot be told by name"
    names = table.data.column_names
    example = candidates[0] if candidates else names[0 if argument == "text" else -1]
    headless = any(len(name) > 60 or re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names)
    hint = " If the file has no header, add a first line with the names of its columns." if headless else ""
    return DataError(
        f'{table.name}: {kind} {state}; the columns are {listed(table)}. Pass {argument}="…" (--{argument} …), for example '
        f'{argument}="{example:.40}"{also}.{hint}'
    )


def listed(table: Table) -> str:
    """The column names, long ones and long lists of them cut."""
    names = [name if len(name) <= 40 else name[:40] + "…" for name in table.data.column_names]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
