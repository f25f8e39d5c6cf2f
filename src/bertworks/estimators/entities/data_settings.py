"""Where a recognizer's training data come from: the settings that config.toml keeps, and the sentences that they mean."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.holdout import Division
from bertworks.data.tag_schemes import NAMELESS, OUTSIDE, Scheme, spans_of, tags_of
from bertworks.data.tagged import TaggedData, read_tagged, tagged_splits
from bertworks.errors import DataError
from bertworks.estimators.data_settings import DataSettings
from bertworks.estimators.entities.rows import spans_in, truth_rows
from bertworks.tasks.sentence_reading import Truth


@dataclass(frozen=True)
class TaggedRows:
    """Sentences with their labels, and what became of the source's rows."""

    sentences: list[Any]
    labels: list[Any]
    scheme: Scheme
    accounting: Accounting
    numbers: Int[Array, "rows"]
    """The number of each row in its source."""
    name: str
    """The source, for messages."""

    @property
    def truth(self) -> list[Truth]:
        """The labels as the task takes them."""
        return truth_rows(self.labels, self.sentences, self.name)

    def __len__(self) -> int:
        return len(self.sentences)

    def __iter__(self) -> Iterator[Any]:
        """What is learnt from, row by row."""
        return zip(self.sentences, self.labels, strict=True)

    @property
    def division(self) -> Division:
        """How the rows may be divided."""
        return Division.free(len(self))

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str) -> "TaggedRows":
        """Some of the rows."""
        sentences, labels = ([values[i] for i in chosen] for values in (self.sentences, self.labels))
        return replace(self, sentences=sentences, labels=labels, accounting=accounting, numbers=self.numbers[chosen], name=name)


@dataclass(frozen=True)
class TaggedSettings(DataSettings):
    """What to train and to validate on. `text` is the column of the words or texts, `label` that of tags or entities; pairs and
    kinds of labels there are none."""

    scheme: str | None = None
    """What tags mean; None asks the tags themselves."""

    @staticmethod
    def splits_of(source: Any) -> dict[str, str]:
        return tagged_splits(source)

    def read_tagged(self) -> tuple[TaggedRows, TaggedRows | None, list[str]]:
        """Rows to train on, rows to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        reading = {name: getattr(self, name) for name in ("text", "label", "scheme", "on_bad_rows", "encoding", "delimiter")}
        data = read_tagged(self.source, split=self.split, shuffle_seed=self.shuffle_seed, limit=self.limit, **reading)
        lines, rows = describe(data), rows_of(data)
        if self.validation is None and self.validation_split is None:
            return *self.hold_out(rows, lines), lines
        validation = self._validation_rows(data, reading)
        lines.append(f"validation: {validation.name}, {len(validation.sentences):,} rows")
        seen = set(map(as_key, rows.sentences))
        repeated = sum(as_key(sentence) in seen for sentence in validation.sentences)
        if repeated:
            lines.append(f"{repeated:,} sentences of the validation data also stand in the training data")
            validation.accounting.notes["also in the training data"] += repeated
        return rows, validation, lines

    def _validation_rows(self, data: TaggedData, reading: dict[str, Any]) -> TaggedRows:
        source, split = (self.source, self.validation_split) if self.validation is None else (self.validation, self.validation_split)
        if self.validation is not None and split is None:
            names = tagged_splits(source)
            split = names.get("validation") or names.get("test")
        shuffle_seed = self.shuffle_seed if self.validation is None else None  # slices of one source are disjoint in one order only
        validation = read_tagged(source, split=split, shuffle_seed=shuffle_seed, **{**reading, "scheme": data.scheme})
        if validation.is_text != data.is_text:
            kinds = ("texts with entities", "words with tags")
            raise DataError(
                f"{validation.table.name} has {kinds[not validation.is_text]}, but the training data have {kinds[not data.is_text]}"
            )
        return rows_of(validation)


def as_key(sentence: Any) -> str:
    """A sentence as one text."""
    return sentence if isinstance(sentence, str) else " ".join(sentence)


def rows_of(data: TaggedData) -> TaggedRows:
    assert data.labels is not None
    return TaggedRows(data.sentences, data.labels, data.scheme, data.accounting, data.table.rows, PurePath(data.table.name).name)


def describe(data: TaggedData) -> list[str]:
    """Where the rows come from, which columns are used, what the tags mean and how often each label occurs."""
    sentences, labels = ("text", "entities") if data.is_text else ("words", "tags")
    lines = [f"{data.table.name}: {len(data):,} rows; {sentences} '{data.text_column}', {labels} '{data.label_column}'"]
    unused = [name for name in data.table.data.column_names if name not in (data.text_column, data.label_column)]
    if unused:
        lines.append(f"columns not used: {', '.join(unused)}")
    if not data.is_text:
        lines.append(f"tags are read as {described(data.scheme)}{' (found by the tags)' if data.guessed else ''}")
    counts = count_labels(data.labels or [], data.sentences, data.scheme)
    most = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(8)) + (" …" if len(counts) > 8 else "")
    lines.append(f"{len(counts)} {'labels' if data.scheme == 'words' else 'types of entities'}: {most or 'none'}")
    lines += [f"{count:,} rows dropped: {reason}" for reason, count in data.accounting.dropped.items()]
    return lines + [f"{count:,} rows: {reason}" for reason, count in data.accounting.notes.items()]


def described(scheme: Scheme) -> str:
    """A scheme in words."""
    return "labels of single words" if scheme == "words" else scheme


def count_labels(labels: Sequence[Any], sentences: Sequence[Any], scheme: Scheme) -> Counter[str]:
    """How often each label occurs: entities, or words."""
    rows = truth_rows(labels, sentences, "labels") if labels else []
    return Counter(span.label or NAMELESS for row in rows for span in spans_in(row, scheme) if span.label != OUTSIDE or scheme == "words")


def in_scheme(labels: Sequence[Any], scheme: Scheme, wanted: Scheme) -> list[Any]:
    """Tags of one scheme in another. Raises `DataError` where one has labels of single words and the other entities."""
    if scheme == wanted:
        return list(labels)
    if "words" in (scheme, wanted):
        raise DataError(
            f"the tags are {described(scheme)}, but the model's are {described(wanted)}: name another column of tags, or the scheme"
        )
    return [tags_of(spans_of(row, scheme), len(row), wanted) for row in labels]


def source_stem(source: Any) -> Any:
    """The source for the name of a run: a CoNLL file without its suffix."""
    path = Path(source) if isinstance(source, str | Path) else None
    return source if path is None or path.is_dir() else path.with_suffix("") if path.suffix else path
