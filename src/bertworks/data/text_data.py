"""`read_texts`: texts (or pairs of texts) with their labels, from any table."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.columns import choose_columns, is_text, listed
from bertworks.data.examples import Label, TextExample
from bertworks.data.faults import OnBadRows
from bertworks.data.labels import LabelKind, Labels, read_labels
from bertworks.data.table import Table, read_table
from bertworks.errors import DataError


@dataclass(frozen=True)
class TextData:
    """Texts with their labels, column by column; iterating yields a `TextExample` a row."""

    texts: list[str]
    """The texts, or the first texts of pairs."""
    pairs: list[str] | None
    """The second texts of pairs."""
    labels: list[Label] | None
    """The labels. None where there is no label column or, labels not being required, a row lacks one."""
    label_kind: LabelKind | None
    """"single": one class a row, `str` or `int`; "multi": a tuple of names; "number": a float."""
    table: Table
    """The same rows with all columns of the source."""
    text_column: str
    pair_column: str | None
    label_column: str | None
    accounting: Accounting
    """Rows handed in, and rows left out with the reason."""

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> TextExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TextExample]: ...
    def __getitem__(self, index: int | slice) -> TextExample | list[TextExample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        pair = None if self.pairs is None else self.pairs[index]
        label = None if self.labels is None else self.labels[index]
        return TextExample(self.texts[index], pair, label, int(self.table.rows[index]))

    def __iter__(self) -> Iterator[TextExample]:
        return (self[i] for i in range(len(self)))

    @property
    def unused_columns(self) -> list[str]:
        """Columns of the source that are neither text nor pair nor label."""
        used = (self.text_column, self.pair_column, self.label_column)
        return [name for name in self.table.data.column_names if name not in used]


def read_texts(
    source: Any,
    *,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | Literal[False] | None = None,
    kind: Literal["auto", "single", "multi", "number"] = "auto",
    shuffle_seed: int | None = None,
    limit: int | None = None,
    require_labels: bool = True,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> TextData:
    """Reads texts, pairs and labels; `source`, `split`, `shuffle_seed` and `limit` are those of `read_table`.

    A `Table` that is read already is taken as it is; what says how a source is read then has no meaning.

    `text`, `pair` and `label` name columns. Those not named are guessed by well-known names where that is safe
    (`columns.py`); `label=False` reads no labels and requires none. `kind` is what labels are, "auto" looks at them (`labels.py`).

    With `require_labels` (training, evaluation) rows whose text is empty are left out and counted, and a row
    without a label is an error, or left out and counted with `on_bad_rows="drop"`. Without it (prediction) every
    row is kept, a missing text being the empty text.

    Raises `DataError` where nothing can be read, a column cannot be told, or a slice of the source holds a
    single class while the source has more.

    >>> data = read_texts([{"text": "Good.", "label": "pos"}, {"text": " ", "label": "neg"}, {"text": "Bad.", "label": "neg"}])
    >>> data.texts, data.labels, dict(data.accounting.dropped)
    (['Good.', 'Bad.'], ['pos', 'neg'], {'empty text': 1})
    """
    reading: dict[str, Any] = {"split": split, "encoding": encoding, "delimiter": delimiter, "on_bad_rows": on_bad_rows}
    table = source if isinstance(source, Table) else read_table(source, **reading, shuffle_seed=shuffle_seed, limit=limit)
    accounting = Accounting(rows=len(table) + table.dropped.total(), dropped=Counter(table.dropped), notes=Counter(table.notes))
    if not len(table):
        raise DataError(f"{table.name} has columns ({listed(table)}) but no rows: name another file, or another split")
    columns = choose_columns(table, text=text, pair=pair, label=label, require_labels=require_labels)
    labels = _labels(table, columns.label, kind, require_labels)
    keep: Array = np.ones(len(table), dtype=bool)
    for name, reason in ((columns.text, "empty text"), (columns.pair, "empty second text")):
        if name is not None:
            empty = _empty(table, name) & keep
            (accounting.dropped if require_labels else accounting.notes).update({reason: int(empty.sum())} if empty.any() else {})
            keep &= ~empty if require_labels else True
    if labels is not None:
        accounting.notes.update(labels.notes)
        missing: Array = np.array([value is None for value in labels.values], dtype=bool) & keep
        if missing.any() and require_labels:
            _settle_missing(table, columns.label or "", missing, on_bad_rows)
            accounting.dropped["missing label"] += int(missing.sum())
            keep &= ~missing
    if not keep.any():
        raise DataError(f"{table.name} has no usable row: " + ", ".join(f"{n:,} × {reason}" for reason, n in accounting.dropped.items()))
    if labels is not None:
        labels = replace(labels, values=[value for value, kept in zip(labels.values, keep, strict=True) if kept])
        if require_labels:
            _check_classes(table, columns.label or "", labels)
    table = table if keep.all() else table.take(np.flatnonzero(keep))
    return _collect(table, columns.text, columns.pair, columns.label, labels, accounting)


def check_one_text(data: TextData, what: str = "texts", option: str = "text") -> None:
    """Raises `DataError` where a pair of columns was found and single texts are wanted: it is not guessed which of the two is meant.

    `what` is what the column holds; `option` is the argument that names it.
    """
    if data.pair_column is not None:
        both, how = f"'{data.text_column}' and '{data.pair_column}'", f'{option}="…" (--{option.replace("_", "-")} …)'
        raise DataError(f"{data.table.name} has two texts in a row, {both}: name the column of the {what} with {how}")


def _collect(table: Table, text: str, pair: str | None, label: str | None, labels: Labels | None, accounting: Accounting) -> TextData:
    values = None if labels is None else [value for value in labels.values if value is not None]
    complete = values is not None and len(values) == len(table)
    return TextData(
        texts=_strings(table, text),
        pairs=None if pair is None else _strings(table, pair),
        labels=values if complete else None,
        label_kind=labels.kind if labels is not None and complete else None,
        table=table,
        text_column=text,
        pair_column=pair,
        label_column=label,
        accounting=accounting,
    )


def _text_column(table: Table, name: str) -> pa.ChunkedArray:
    column = table.data[name]
    if not is_text(column.type):
        kind = f"is of the type {column.type}, not text"
        raise DataError(f"{table.name}: the column '{name}' {kind}: choose another with text=\"…\" (--text …), or convert it")
    return column.cast(pa.string() if column.nbytes < 2**31 else pa.large_string())


def _strings(table: Table, name: str) -> list[str]:
    return ["" if value is None else value for value in _text_column(table, name).to_pylist()]


def _empty(table: Table, name: str) -> Array:
    """Which texts are null or only white space."""
    blank = compute.equal(compute.utf8_trim_whitespace(_text_column(table, name)), "")
    return np.asarray(compute.fill_null(blank, True).to_numpy(), dtype=bool)


def _labels(table: Table, column: str | None, kind: str, require_labels: bool) -> Labels | None:
    if column is None:
        return None
    try:
        return read_labels(table.data[column], kind, f"{table.name}, column '{column}'", table.rows.tolist())
    except DataError:
        if require_labels:
            raise
        return None


def _settle_missing(table: Table, column: str, missing: Array, on_bad_rows: OnBadRows) -> None:
    if on_bad_rows == "error":
        rows = table.rows[np.flatnonzero(missing)[:5]].tolist()
        raise DataError(
            f"{table.name}: {int(missing.sum()):,} of {len(table):,} rows have no label in the column '{column}' (rows "
            f"{', '.join(map(str, rows))}{' …' if missing.sum() > 5 else ''}; the first is 0). Leave them out with "
            'on_bad_rows="drop" (--on-bad-rows drop), or choose another column with label="…" (--label …).'
        )


def _check_classes(table: Table, column: str, labels: Labels) -> None:
    """Raises `DataError` where a slice has a single class and the whole has more: the source is sorted by label."""
    if table.whole is None or labels.kind != "single" or len(set(labels.values)) != 1 or len(labels.values) < 2:
        return
    whole = Counter(value for value in read_labels(table.whole[column], "single", table.name).values if value is not None)
    if len(whole) > 1:
        most = ", ".join(f"{name} {count:,}" for name, count in whole.most_common(6)) + (" …" if len(whole) > 6 else "")
        raise DataError(
            f"all {len(labels.values):,} rows taken from {table.name} have the label '{labels.values[0]}', but the source has "
            f"{len(whole)} classes ({most}): it seems to be sorted by label. Shuffle before slicing with shuffle_seed=0 (--shuffle-seed 0)."
        )
