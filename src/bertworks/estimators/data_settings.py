"""Where a training's data come from: the settings that config.toml keeps, so that a run can go on from its folder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePath
from typing import Any, Literal, Self, TypeVar

from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.faults import OnBadRows
from bertworks.data.holdout import Divided, Division, hold_out_part
from bertworks.data.labels import LabelKind
from bertworks.data.table import split_names
from bertworks.data.text_data import TextData, read_texts
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.tasks.stored_settings import from_stored

AnyRows = TypeVar("AnyRows", bound=Divided)

IN_MEMORY = "(in memory)"
"""Stands in config.toml for data that were handed over as an object."""


@dataclass(frozen=True)
class Rows:
    """Texts (or pairs of texts) with their labels, and what became of the source's rows."""

    texts: list[Any]
    labels: list[Any]
    accounting: Accounting
    kind: LabelKind
    numbers: Int[Array, "rows"]
    """The number of each row in its source."""
    name: str
    """The source, for messages."""
    classes: tuple[Any, ...]
    """The labels of the whole source, of which these rows may be a part; none where labels are numbers."""

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Any]:
        """What is learnt from, row by row."""
        return zip(self.texts, self.labels, strict=True)

    @property
    def further_classes(self) -> list[Any]:
        """Those that only other rows of the source have."""
        own = set(names_in(self.labels)) if self.classes else set()
        return [name for name in self.classes if name not in own]

    @property
    def division(self) -> Division:
        """How the rows may be divided: each class in its share; of several labels a row, none is only held out."""
        if self.kind == "single":
            return Division(self.labels)
        return replace(Division.free(len(self)), features=self.labels if self.kind == "multi" else ())

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str) -> "Rows":
        """Some of the rows."""
        texts, labels = ([values[i] for i in chosen] for values in (self.texts, self.labels))
        return replace(self, texts=texts, labels=labels, accounting=accounting, numbers=self.numbers[chosen], name=name)


@dataclass(frozen=True)
class DataSettings:
    """What to train and to validate on."""

    source: Any = None
    """A file, a folder, a hub data set, a frame, a list of rows."""
    split: str | None = None
    """The part of the source to train on: "train", "train[:2000]", "[:80%]"."""
    text: str | None = None
    """The column of the text; guessed by well-known names where that is safe."""
    pair: str | None = None
    """The column of the second text, for pairs."""
    label: str | None = None
    """The column of the label."""
    kind: Literal["auto", "single", "multi", "number"] = "auto"
    """What labels are: one class a row, several, or a number; auto looks at them."""
    shuffle_seed: int | None = None
    """Shuffle the rows with this seed before a slice is taken (for files sorted by label)."""
    limit: int | None = None
    """Take so many rows at most."""
    on_bad_rows: OnBadRows = "error"
    """What to do with rows that cannot be read or have no label: error, or drop (they are counted)."""
    encoding: str = "utf-8"
    """Encoding of text files."""
    delimiter: str | None = None
    """Delimiter of CSV files, where it is not found out."""
    validation: Any = None
    """A source to validate on."""
    validation_split: str | None = None
    """The part to validate on, of `validation` or else of the source."""
    validation_fraction: float = 0.1
    """Share of the rows held out (the same share of each class) where nothing else is named to validate on; 0 holds out none."""
    validation_seed: int = 0
    """Which rows are held out."""

    @staticmethod
    def splits_of(source: Any) -> dict[str, str]:
        """The names of a source's splits by what they are usually called (train, validation, test)."""
        return split_names(source)

    def resolved(self) -> Self:
        """The same with the usual splits, train and validation, where the source has several and none was named."""
        names = {} if self.split is not None else self.splits_of(self.source)
        if "train" not in names:
            return self
        found = names.get("validation") if self.validation is None and self.validation_fraction > 0 else None
        return replace(self, split=names["train"], validation_split=self.validation_split or found)

    def read(self) -> tuple[Rows, Rows | None, list[str]]:
        """Rows to train on, rows to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        slices: dict[str, Any] = {"split": self.split, "shuffle_seed": self.shuffle_seed, "limit": self.limit}
        data = read_texts(self.source, label=self.label, **slices, **self._columns())
        lines, rows = describe(data), _rows(data)
        if self.validation is not None or self.validation_split is not None:
            validation: Rows | None = self._read_validation(data, lines)
        else:
            how = "the same share of each class" if rows.kind == "single" else "drawn at random"
            rows, validation = self.hold_out(rows, lines, how=how)
        if validation is not None:
            seen = set(rows.texts)
            repeated = sum(text in seen for text in validation.texts)
            if repeated:
                lines.append(f"{repeated:,} texts of the validation data also stand in the training data")
                validation.accounting.notes["also in the training data"] += repeated
        return rows, validation, lines

    def hold_out(
        self, rows: AnyRows, lines: list[str], *, what: str = "rows", how: str = "drawn at random"
    ) -> tuple[AnyRows, AnyRows | None]:
        """Rows to train on and rows held out, as `validation_fraction` and `validation_seed` say; adds to `lines` what was done."""
        kept, held = hold_out_part(rows, self.validation_fraction, self.validation_seed)
        if held is None:
            lines.append("no validation data: the model of the last step is kept")
        else:
            told = f"{held.accounting.rows:,} of {len(rows.division.keys):,} {what} held out for validation"
            lines.append(f"{told} ({how}, seed {self.validation_seed})")
        return kept, held

    def _read_validation(self, data: TextData, lines: list[str]) -> Rows:
        source = self.source if self.validation is None else self.validation
        columns = {**self._columns(), "kind": data.label_kind or "auto"}
        columns |= {"text": data.text_column, "pair": data.pair_column, "label": data.label_column}
        shuffle_seed = self.shuffle_seed if self.validation is None else None  # slices of one source are disjoint in one order only
        validation = read_texts(source, split=self.validation_split, shuffle_seed=shuffle_seed, **columns)
        lines.append(f"validation: {validation.table.name}, {len(validation):,} rows")
        rows = _rows(validation)
        return replace(rows, labels=known_labels(rows.labels, data.labels or []))

    def _columns(self) -> dict[str, Any]:
        names = ("text", "pair", "kind", "on_bad_rows", "encoding", "delimiter")
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.toml; data in memory are only said to be so."""
        values = asdict(replace(self, source=None, validation=None))
        return values | {name: named(getattr(self, name)) for name in ("source", "validation")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: Any = None, validation: Any = None) -> Self:
        """The settings of a run; `source` and `validation` stand in for data that were in memory.

        Raises `SettingsError` for an unknown key or a value of a wrong type, and where data in memory are not handed over again.
        """
        names = [f.name for f in fields(cls)]
        for name in values:
            if name not in names:
                raise SettingsError(f"config.toml: unknown setting '{name}' in [data].{nearest(name, names)}")
        given = {"source": source, "validation": validation}
        for name, value in given.items():
            if values.get(name) == IN_MEMORY and value is None:
                raise SettingsError(
                    "this run was trained on data in memory, which its folder does not hold: resume it in Python, handing them over again "
                    "(bertworks.train(data, resume=…))"
                )
        stored = from_stored(cls, values, "config.toml, [data]")
        return replace(stored, **{name: value for name, value in given.items() if value is not None})


def _absolute(source: Any) -> Any:
    """A path that exists, made absolute, so that a run can be resumed from another folder; anything else as it is."""
    if isinstance(source, str | Path) and Path(source).expanduser().exists():
        return str(Path(source).expanduser().absolute())
    return str(source) if isinstance(source, Path) else source


def named(source: Any) -> str | None:
    """What config.toml calls a source."""
    source = _absolute(source)
    return source if source is None or isinstance(source, str) else IN_MEMORY


def known_labels(labels: list[Any], known: Iterable[Any]) -> list[Any]:
    """Labels as another set has them: a column with 1 and 2 only is read as numbers, one with 1, 2 and x as names."""
    by_name = {str(name): name for name in names_in(known) if not isinstance(name, float)}

    def found(name: Any) -> Any:
        return by_name.get(str(name), name)

    return [tuple(map(found, label)) if isinstance(label, tuple) else found(label) for label in labels]


def names_in(labels: Iterable[Any]) -> Iterator[Any]:
    """The labels of rows, one by one; a tuple holds several of a row."""
    return (name for label in labels for name in (label if isinstance(label, tuple) else (label,)))


def check_labels(name: str, rows: Int[Array, "rows"], labels: Iterable[Any], known: Sequence[Any], whose: str = "the model") -> None:
    """Raises `DataError` that names the source and the row there of a label that is none of those of the model, or of what `whose`
    says."""
    names = set(known)
    for row, label in zip(rows.tolist(), labels, strict=True):
        for one in names_in([label]):
            if one not in names:
                listed = ", ".join(map(str, known[:8])) + (" …" if len(known) > 8 else "")
                raise DataError(
                    f"{name}, row {row} (the first is 0): the label {one!r:.60} is none of the {len(known)} labels of {whose} "
                    f"({listed}).{nearest(str(one), map(str, known)) or ' Correct it, or leave the row out'}"
                )


def rows_of(data: TextData) -> list[Any]:
    """Texts, or pairs of texts."""
    return data.texts if data.pairs is None else list(zip(data.texts, data.pairs, strict=True))


def check_pairs(data: TextData, pairs: bool | None) -> None:
    """Raises `DataError` where a model reads pairs of texts and the data have single ones, or the other way round; None reads both."""
    if pairs is None:
        return
    if pairs and data.pairs is None:
        raise DataError(
            f"this model reads pairs of texts, but {data.table.name} gives one: name both columns with text and pair (--text, --pair)"
        )
    if not pairs and data.pairs is not None:
        raise DataError(f"this model reads single texts, but {data.table.name} gives pairs: name the column with text (--text)")


def check_given(texts: Any, file: Any, output: Any, reading: Mapping[str, Any], either: str = "texts or a file to predict") -> None:
    """Raises `SettingsError` unless a verb was given `either` texts or a file, and all else for the one that it was given: an `output`
    is the table of a file with further columns, and `reading`, fields of `DataSettings`, says how a file is read."""
    if (texts is None) == (file is None):
        raise SettingsError(f"give either {either}")
    if file is not None:
        return
    if output is not None:
        raise SettingsError("an output table needs an input table: give it as file (--file)")
    usual = DataSettings()
    odd = [name for name, value in reading.items() if value != getattr(usual, name)]
    if odd:
        raise SettingsError(f"texts are read as they are: leave out {', '.join(odd)}, or name a file")


def with_reading(encoded: Accounting, read: Accounting) -> Accounting:
    """The accounting of encoded rows, with the rows as they were handed in and what was left out in reading them."""
    return replace(encoded, rows=read.rows, dropped=encoded.dropped + read.dropped, notes=encoded.notes + read.notes)


def _rows(data: TextData) -> Rows:
    assert data.labels is not None
    assert data.label_kind is not None
    name, classes = PurePath(data.table.name).name, () if data.label_kind == "number" else tuple(dict.fromkeys(names_in(data.labels)))
    return Rows(rows_of(data), data.labels, data.accounting, data.label_kind, data.table.rows, name, classes)


def describe(data: TextData) -> list[str]:
    """Where the rows come from, which columns are used, and how the labels are spread."""
    pair = "" if data.pair_column is None else f", second text '{data.pair_column}'"
    lines = [f"{data.table.name}: {len(data):,} rows; text '{data.text_column}'{pair}, label '{data.label_column}'"]
    if data.unused_columns:
        lines.append(f"columns not used: {', '.join(data.unused_columns)}")
    values: list[Any] = data.labels or []
    if data.label_kind == "number":
        lines.append(f"numbers from {min(values):g} to {max(values):g}, mean {sum(values) / len(values):g}")
    else:
        counts = Counter(name for row in values for name in row) if data.label_kind == "multi" else Counter(values)
        most = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(8)) + (" …" if len(counts) > 8 else "")
        lines.append(f"{len(counts)} labels{', several a row' if data.label_kind == 'multi' else ''}: {most}")
    lines += [f"{count:,} rows dropped: {reason}" for reason, count in data.accounting.dropped.items()]
    return lines + [f"{count:,} rows: {reason}" for reason, count in data.accounting.notes.items()]
