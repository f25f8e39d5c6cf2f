"""`read_tagged`: words with tags, or texts with labelled spans, from CoNLL files, JSON lines, any table, and lists.

Which columns hold what is told by well-known names: lists of words (or words with spaces between them) with lists of tags;
or a text with a list of entities, each an object with `start`, `end` and `label`, or a list of these three. Spans count
characters; the end is the one after the last.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.accounting import Accounting
from bertworks.data.class_labels import with_class_names
from bertworks.data.columns import is_text, listed
from bertworks.data.conll import conll_source, is_conll
from bertworks.data.faults import OnBadRows
from bertworks.data.files import missing_file, opened, split_suffixes
from bertworks.data.loaded import ReadOptions
from bertworks.data.records import rows_to_table
from bertworks.data.table import Table, read_table, split_names
from bertworks.data.tag_schemes import Scheme, Span, checked_scheme, guess_scheme
from bertworks.errors import BertworksError, DataError, nearest

Sentence = list[str] | str
"""The words of a sentence, or a text of which nothing else is known."""
Labels = list[str] | list[Span]
"""The tags of words, or spans of the characters of a text."""

WORD_NAMES = ("words", "tokens", "word", "token", "sentence", "text")
TAG_NAMES = ("ner_tags", "tags", "ner", "bio_tags", "iob_tags", "labels", "label", "tag", "upos", "pos_tags", "pos")
TEXT_NAMES = ("text", "sentence", "content", "document", "body")
SPAN_NAMES = ("entities", "spans", "entity", "annotations", "labels", "label")
_LOOKED_AT, _SNIFFED = 20, 1 << 20
"""Rows, and bytes of a file, by which the form of data is told."""
_LABEL_KEYS = ("label", "type", "entity", "entity_group", "tag")
_START_KEYS, _END_KEYS = ("start", "start_offset", "begin"), ("end", "end_offset", "stop")


@dataclass(frozen=True)
class TaggedData:
    """Sentences with the labels of their words."""

    sentences: list[Sentence]
    labels: list[Labels] | None
    """One for each sentence: tags where it is a list of words, spans where it is a text; None where none were asked for."""
    scheme: Scheme
    """What the tags mean."""
    guessed: bool
    """Whether the scheme was told by the tags."""
    table: Table
    """The same rows with all columns of the source."""
    text_column: str
    label_column: str | None
    accounting: Accounting

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def is_text(self) -> bool:
        """Whether the sentences are texts with spans, rather than words with tags."""
        return bool(self.sentences) and isinstance(self.sentences[0], str)


def is_tagged(source: Any) -> bool:
    """Whether a source is unmistakably one of labelled words: a CoNLL file, or a table with a column of words or of texts
    and one of tags or of entities. Only the first rows of a file are looked at; a source that cannot be read is none."""
    try:
        if isinstance(source, str | Path):
            path = Path(source).expanduser()
            if path.is_dir():
                return any(is_conll(entry) for entry in path.iterdir() if entry.is_file())
            if is_conll(path):
                return True
            if not path.is_file():
                return False
            data = _beginning(path)
        else:
            names = split_names(source)
            data = read_table(source, split=f"{next(iter(names.values()), '')}[:{_LOOKED_AT}]").data
        if data is None:
            return False
        words, tags, spans = _columns(data, None, None)
        if words is not None and tags is not None and _is_list(data, words) and _is_list(data, tags):
            return True
        if spans is None or spans[1] is None:
            return False
        texts, values = (data[name].to_pylist() for name in spans if name is not None)
        return any(entity_spans(value, text or "") for text, value in zip(texts, values, strict=True))
    except (BertworksError, OSError, RuntimeError, ValueError, pa.ArrowException):
        return False


def _beginning(path: Path) -> pa.Table | None:
    """The first rows of a file of JSON lines or a Parquet file; None of any other."""
    suffix, compression = split_suffixes(path)[1:]
    if suffix == ".parquet" and not compression:
        with parquet.ParquetFile(path) as file:
            first, schema = next(file.iter_batches(_LOOKED_AT), None), file.schema_arrow
            return with_class_names(schema.empty_table() if first is None else pa.Table.from_batches([first]).cast(schema))
    if suffix not in (".jsonl", ".ndjson"):
        return None
    with opened(path) as (stream, _):
        lines = stream.read(_SNIFFED).split(b"\n")[:_LOOKED_AT]
    rows = [json.loads(line) for line in (lines[:-1] or lines) if line.strip()]
    return rows_to_table(rows, str(path)) if rows and all(isinstance(row, dict) for row in rows) else None


def tagged_splits(source: Any) -> dict[str, str]:
    """The splits of a source by their usual names, as `split_names` has them; also of a folder of CoNLL files."""
    lines = _as_conll(source, None, None, ReadOptions())
    return split_names(source if lines is None else lines)


def read_tagged(
    source: Any,
    *,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    scheme: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    require_labels: bool = True,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> TaggedData:
    """Reads sentences with labels; `source`, `split`, `shuffle_seed` and `limit` are those of `read_table`, and a source may
    also be a CoNLL file, or a folder with such files named after splits.

    `text` names the column of the words or of the text, `label` that of the tags or of the entities; in a CoNLL file they are
    numbers, from 0. `scheme` says what tags mean, where they should not be asked themselves (`tag_schemes.SCHEMES`).

    With `require_labels` (training, evaluation), sentences without words are left out and counted, and one whose labels do not
    fit is an error, or left out and counted with `on_bad_rows="drop"`. Without it (prediction) labels are not read.

    Raises `DataError` where nothing can be read, a column cannot be told, or labels do not fit their words.

    >>> data = read_tagged([{"words": ["Ada", "Lovelace", "wrote"], "tags": ["B-PER", "I-PER", "O"]}])
    >>> data.sentences, data.labels, data.scheme
    ([['Ada', 'Lovelace', 'wrote']], [['B-PER', 'I-PER', 'O']], 'IOB2')
    """
    chosen = None if scheme is None else checked_scheme(scheme)
    lines = _as_conll(source, text, label, ReadOptions(encoding, delimiter, on_bad_rows))
    table = read_table(
        source if lines is None else lines,
        split=split,
        encoding=encoding,
        delimiter=delimiter,
        on_bad_rows=on_bad_rows,
        shuffle_seed=shuffle_seed,
        limit=limit,
    )
    seen = Accounting(rows=len(table) + table.dropped.total(), dropped=Counter(table.dropped), notes=Counter(table.notes))
    if not len(table):
        raise DataError(f"{table.name} has no rows: name another file, or another split")
    names = (None, None) if lines is not None else (text, label)
    words, tags, spans = _columns(table.data, *names)
    if not require_labels and words is not None and not _is_list(table.data, words):
        spans = (words, None)  # without tags beside it, a text is a text
        words = None
    if words is not None and (tags is not None or not require_labels):
        columns: tuple[str, str | None] = (words, tags)
        rows: list[Any] = [_words(values, table.data[words].type) for values in table.data[words].to_pylist()]
        given = [_words(v, table.data[tags].type) for v in table.data[tags].to_pylist()] if tags and require_labels else None
    elif spans is not None and (spans[1] or not require_labels):
        columns = spans
        rows = ["" if value is None else value for value in table.data[spans[0]].to_pylist()]
        given = table.data[spans[1]].to_pylist() if spans[1] and require_labels else None
    else:
        raise _no_columns(table, text, label)
    if given is None:
        return TaggedData(rows, None, chosen or "IOB2", False, table, columns[0], None, seen)
    return _checked(table, columns, rows, given, chosen, on_bad_rows, seen)


def _checked(
    table: Table,
    columns: tuple[str, str | None],
    rows: Sequence[Any],
    given: Sequence[Any],
    scheme: Scheme | None,
    on_bad_rows: OnBadRows,
    seen: Accounting,
) -> TaggedData:
    """The rows whose labels fit; the others are settled as `on_bad_rows` says."""
    labels: list[Any] = []
    kept: list[int] = []
    faults: list[tuple[int, str]] = []
    for place, (row, values) in enumerate(zip(rows, given, strict=True)):
        if not row or (isinstance(row, str) and not row.strip()):
            seen.dropped["no words"] += 1
            continue
        try:
            labels.append(entity_spans(values, row) if isinstance(row, str) else _word_tags(values, row))
            kept.append(place)
        except _FaultError as fault:
            faults.append((int(table.rows[place]), str(fault)))
    if faults and on_bad_rows == "error":
        more = f" {len(faults):,} rows are like that." if len(faults) > 1 else ""
        raise DataError(
            f"{table.name}, row {faults[0][0]} (the first is 0): {faults[0][1]}.{more} Mend the data, or leave such rows out with "
            'on_bad_rows="drop" (--on-bad-rows drop).'
        )
    seen.dropped.update({"labels do not fit the words": len(faults)} if faults else {})
    if not kept:
        raise DataError(f"{table.name} has no usable row: " + ", ".join(f"{n:,} × {reason}" for reason, n in seen.dropped.items()))
    sentences = [rows[place] for place in kept]
    tagged = not isinstance(sentences[0], str)
    found: Scheme = scheme or (guess_scheme(labels) if tagged else "IOB2")
    part = table if len(kept) == len(rows) else table.take(np.array(kept))
    return TaggedData(sentences, labels, found, tagged and scheme is None, part, *columns, seen)


class _FaultError(ValueError):
    """What is wrong with the labels of one row."""


def _word_tags(tags: Any, words: Sequence[str]) -> list[str]:
    if tags is None:
        raise _FaultError("it has no tags")
    if len(tags) != len(words):
        raise _FaultError(f"{len(words)} words but {len(tags)} tags ({' '.join(words)!s:.60})")
    wrong = next((tag for tag in tags if not isinstance(tag, str) or not tag), None if all(tags) else "")
    if wrong is not None or not all(isinstance(tag, str) and tag for tag in tags):
        raise _FaultError(f"a tag is {wrong!r}, not a name: give names such as B-PER, or plain labels")
    return list(tags)


def entity_spans(entities: Any, text: str) -> list[Span]:
    """Entities in any of the usual forms as spans of a text, in their order.

    Raises `ValueError` with what is wrong, in words, where they do not fit the text.

    >>> entity_spans([{"start": 0, "end": 3, "label": "PER"}, [8, 12, "LOC"]], "Ada saw Rome.")
    [Span(start=0, end=3, label='PER'), Span(start=8, end=12, label='LOC')]
    """
    if isinstance(entities, str):
        try:
            entities = json.loads(entities)
        except (ValueError, RecursionError):
            raise _FaultError(f"its entities are {entities!r:.40}, which is no list") from None
    if entities is None:
        return []
    if not isinstance(entities, Sequence):
        raise _FaultError(f"its entities are {entities!r:.40}, which is no list")
    return sorted({_span(entity, text) for entity in entities})


def _span(entity: Any, text: str) -> Span:
    if isinstance(entity, Mapping):
        start, end, label = (_of(entity, keys) for keys in (_START_KEYS, _END_KEYS, _LABEL_KEYS))
    elif isinstance(entity, Sequence) and not isinstance(entity, str) and len(entity) == 3:
        start, end, label = entity
    elif all(hasattr(entity, name) for name in Span._fields):
        start, end, label = entity.start, entity.end, entity.label
    else:
        raise _FaultError(f"an entity is {entity!r:.60}; give start, end and label")
    if not isinstance(label, str) or not label:
        raise _FaultError(f"an entity has the label {label!r:.40}, not a name")
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (start, end)) or not 0 <= start < end <= len(text):
        raise _FaultError(f"the entity {label} goes from {start!r:.20} to {end!r:.20}, but the text has {len(text):,} characters")
    written = entity.get("text") if isinstance(entity, Mapping) else None
    if isinstance(written, str) and written != text[start:end]:
        raise _FaultError(f"the entity {label} is {written!r:.40}, but its characters {start} to {end} are {text[start:end]!r:.40}")
    return Span(start, end, label)


def _of(entity: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((entity[key] for key in keys if entity.get(key) is not None), None)


# ---- columns


def _as_conll(source: Any, text: str | None, label: str | None, options: ReadOptions) -> Any:
    """The source of a CoNLL file or of a folder of such; None for any other source."""
    if not isinstance(source, str | Path):
        return None
    path = Path(source).expanduser()
    try:
        if not path.exists():
            if is_conll(path):
                raise missing_file(path)
            return None
    except OSError:
        return None
    return conll_source(path, options, text, label)


def _columns(data: pa.Table, text: str | None, label: str | None) -> tuple[str | None, str | None, tuple[str, str | None] | None]:
    """The columns of words and of tags; and those of texts and of spans. What is not there is None."""
    by_name = {name.lower(): name for name in reversed(data.column_names) if data.column_names.count(name) == 1}
    for given in (text, label):
        if given is not None and given not in data.column_names:
            raise DataError(
                f"there is no column '{given}'; the columns are {', '.join(data.column_names)}.{nearest(given, data.column_names)}"
            )

    def first(names: Sequence[str], fits: Any, given: str | None) -> str | None:
        wanted = [given] if given is not None else [by_name[name] for name in names if name in by_name]
        return next((name for name in wanted if fits(data, name)), None)

    spans = first(SPAN_NAMES, _may_be_spans, label)
    plain = first(TEXT_NAMES, _is_string, text)
    words = first(WORD_NAMES, _is_list, text)
    if words is None and spans is None:
        words = first(WORD_NAMES, _is_string, text)
        tags = first(TAG_NAMES, _is_string, label)
        return words, tags, None if plain is None else (plain, None)
    tags = first(TAG_NAMES, _is_list, label)
    return words, tags, None if plain is None else (plain, spans)


def _is_string(data: pa.Table, name: str) -> bool:
    return is_text(data.schema.field(name).type)


def _is_list(data: pa.Table, name: str) -> bool:
    """Whether a column holds lists of texts (or of nothing at all)."""
    kind = data.schema.field(name).type
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type)


def _may_be_spans(data: pa.Table, name: str) -> bool:
    """Whether a column holds lists of objects or of lists; or texts in the form of JSON lists, which mixed lists become."""
    kind = data.schema.field(name).type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return bool(pa.types.is_struct(kind.value_type) or pa.types.is_list(kind.value_type) or pa.types.is_null(kind.value_type))
    values = data[name].slice(0, 20).to_pylist() if is_text(kind) else []
    return any(values) and all(value is None or value.lstrip().startswith("[") for value in values)


def _words(values: Any, kind: pa.DataType) -> list[str]:
    """A list of words; those in one text are divided by its spaces."""
    if values is None:
        return []
    return values.split() if is_text(kind) else ["" if value is None else value for value in values]


def _no_columns(table: Table, text: str | None, label: str | None) -> DataError:
    named = " and ".join(f"{name}='{value}'" for name, value in (("text", text), ("label", label)) if value is not None)
    return DataError(
        f"{table.name}: no words with tags and no text with entities can be told {f'with {named}' if named else 'by name'}; "
        f"the columns are {listed(table)}. Name a column of words (or of a text) with text=… (--text …), and one of tags (or of "
        "entities) with label=… (--label …)"
    )
