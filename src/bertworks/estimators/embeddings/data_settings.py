"""Where the rows of a training of vectors come from: pairs with scores, texts that belong together, or texts alone."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import PurePath
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.holdout import Division
from bertworks.data.labels import read_labels
from bertworks.data.table import split_names
from bertworks.data.text_data import TextData, read_texts
from bertworks.errors import DataError
from bertworks.estimators.data_settings import DataSettings
from bertworks.tasks.embedding_objective import ObjectiveName

_NEGATIVE = re.compile(r"(hard_)?negatives?(_?\d+)?", re.IGNORECASE)
"""Names of columns whose texts are negatives of the row's first text."""
_MOST_CLASSES = 3
"""So many whole numbers that differ are taken for classes rather than scores, where pairs were said to belong together."""


@dataclass(frozen=True)
class EmbeddingRows:
    """Rows of texts with their scores, and what became of the source's rows."""

    texts: list[tuple[str, ...]]
    scores: list[float] | None
    accounting: Accounting
    numbers: Int[Array, "rows"]
    """The number of each row in its source."""
    name: str
    """The source, for messages."""
    facts: list[str]
    """What was read, in lines."""

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Any]:
        """What is learnt from, row by row."""
        return zip(self.texts, self.scores or repeat(None), strict=False)

    @property
    def division(self) -> Division:
        """How the rows may be divided."""
        return Division.free(len(self))

    def part(self, chosen: Int[Array, "part"], accounting: Accounting, name: str) -> "EmbeddingRows":
        """Some of the rows."""
        scores = None if self.scores is None else [self.scores[i] for i in chosen]
        return replace(
            self, texts=[self.texts[i] for i in chosen], scores=scores, accounting=accounting, numbers=self.numbers[chosen], name=name
        )


def read_rows(source: Any, objective: ObjectiveName | None, *, label: str | None = None, **reading: Any) -> EmbeddingRows:
    """Reads rows of one text, of a pair, or of a pair with negatives; `reading` are options of `read_texts`.

    Scores are read for the objective "scores", and where none is named and a column of a pair's label holds numbers. Columns
    called negative, negative_1 …, of texts or lists of them, are read for "ranking", and where none is named. Rows with an empty
    text are left out and counted.

    Raises `DataError` where nothing can be read, and where labels are no numbers: they do not say which texts belong together.
    """
    return _checked_rows(read_columns(source, objective, label=label, **reading), objective)


def _checked_rows(data: TextData, objective: ObjectiveName | None) -> EmbeddingRows:
    if lacks_scores(data):
        raise DataError(
            f"{data.table.name}: '{data.label_column}' does not hold a number for each pair. If each pair belongs together, say so "
            'with objective="ranking" (--objective ranking); else leave out the pairs that do not'
        )
    return rows_of(data, objective)


def read_columns(source: Any, objective: ObjectiveName | None, *, label: str | None = None, **reading: Any) -> TextData:
    """The columns of texts as `read_rows` reads them, with scores where there are any."""
    wants_scores = objective in (None, "scores")
    data = read_texts(source, label=label if wants_scores else False, kind="number", require_labels=objective == "scores", **reading)
    if objective is None and data.pairs is not None and data.label_column is not None and _holds_numbers(data):
        data = read_texts(source, label=data.label_column, kind="number", require_labels=True, **reading)
    return data


def judged_columns(source: Any, objective: ObjectiveName | None, *, label: str | None = None, **reading: Any) -> TextData:
    """The columns of rows by which a model is judged: with scores where there are any, whatever the `objective` of its training is.

    Where "ranking" is named, whose training reads no labels, a column that is not named as `label` holds scores only where it can be
    nothing else: numbers that differ, and are not whole ones of three kinds at most, as classes are (0 and 1; those of NLI). Other
    columns are not used, and the texts of a row belong together, as in the training.
    """
    data = read_columns(source, None, label=label, **reading)
    if objective != "ranking" or label is not None or _are_scores(data.labels):
        return data
    return read_columns(source, "ranking", **reading)


def _are_scores(labels: Sequence[Any] | None) -> bool:
    different = set(labels or ())
    return len(different) > (_MOST_CLASSES if all(float(value).is_integer() for value in different) else 1)


def lacks_scores(data: TextData) -> bool:
    """Whether there is a column of a pair's label, but it holds no numbers."""
    return data.pairs is not None and data.label_column is not None and data.labels is None


def _holds_numbers(data: TextData) -> bool:
    try:
        read_labels(data.table.data[data.label_column], "number", data.table.name)
    except DataError:
        return False
    return True


def rows_of(data: TextData, objective: ObjectiveName | None = None) -> EmbeddingRows:
    """The rows of columns of texts, with the negatives that stand beside pairs where the objective uses them; those with an empty
    text are left out."""
    names = negative_columns(data, objective)
    negatives = [_texts_of(data, name) for name in names]
    columns: list[Sequence[str]] = [data.texts, *([] if data.pairs is None else [data.pairs])]
    rows = [tuple(row) for row in zip(*columns, strict=True)]
    keep = np.array([all(text.strip() for text in row) for row in rows], dtype=bool)
    rows = [(*row, *(text for some in more for text in some)) for row, *more in zip(rows, *negatives, strict=True)] if names else rows
    seen, chosen = data.accounting, np.flatnonzero(keep)
    notes = {reason: count for reason, count in seen.notes.items() if reason not in ("empty text", "empty second text")}
    seen = replace(seen, notes=type(seen.notes)(notes), dropped=seen.dropped.copy())
    if not keep.all():
        seen.dropped["empty text"] += int((~keep).sum())
    if not len(chosen):
        raise DataError(f"{data.table.name} has no row without an empty text")
    scores = None if data.labels is None else [float(value) for value in data.labels]  # type: ignore[arg-type]
    found = EmbeddingRows(rows, scores, seen, data.table.rows, PurePath(data.table.name).name, _facts(data, names, scores))
    return found if keep.all() else found.part(chosen, seen, found.name)


def negative_columns(data: TextData, objective: ObjectiveName | None = None) -> list[str]:
    """The columns whose texts are negatives of a row's first text; scored pairs have none, and other objectives than "ranking" use
    none."""
    if data.pairs is None or data.labels or objective not in (None, "ranking"):
        return []
    return [name for name in data.table.data.column_names if _NEGATIVE.fullmatch(name)]


def _texts_of(data: TextData, column: str) -> list[list[str]]:
    """The texts of each row of a column of texts or of lists of them, without those that are empty."""
    out = []
    for row, value in zip(data.table.rows, data.table.data[column].to_pylist(), strict=True):
        texts = [text for text in (value if isinstance(value, list) else [value]) if text is not None]
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(
                f"{data.table.name}, row {row} (the first is 0): '{column}' is to hold a text or a list of texts, but has {wrong!r:.60}"
            )
        out.append([text for text in texts if text.strip()])
    return out


def _facts(data: TextData, negatives: Sequence[str], scores: Sequence[float] | None) -> list[str]:
    pair = "" if data.pair_column is None else f", second text '{data.pair_column}'"
    more = f", negatives {', '.join(negatives)}" if negatives else ""
    score = f", score '{data.label_column}' from {min(scores):g} to {max(scores):g}" if scores else ""
    unused = [name for name in data.unused_columns if name not in negatives]
    lines = [f"{data.table.name}: {len(data):,} rows; text '{data.text_column}'{pair}{more}{score}"]
    lines += [f"columns not used: {', '.join(unused)}"] if unused else []
    return lines + [f"{count:,} rows dropped: {reason}" for reason, count in data.accounting.dropped.items()]


@dataclass(frozen=True)
class EmbeddingSettings(DataSettings):
    """What to train and to validate on. `label` is the column of scores; kinds of labels there are none."""

    objective: Literal["scores", "ranking", "simcse", "distillation"] | None = None
    """What vectors are trained by; None is seen from the data."""

    def objective_for(self, rows: EmbeddingRows) -> ObjectiveName:
        """What vectors are trained by on these rows."""
        return self.objective or objective_of(rows)

    def read_rows(self) -> tuple[EmbeddingRows, EmbeddingRows | None, list[str]]:
        """Rows to train on, rows to validate on, and what a person should know about them, in lines.

        Raises `DataError` where the data cannot be read.
        """
        reading = {name: getattr(self, name) for name in ("text", "pair", "on_bad_rows", "encoding", "delimiter")}
        slices = {"split": self.split, "shuffle_seed": self.shuffle_seed, "limit": self.limit}
        rows = read_rows(self.source, self.objective, label=self.label, **slices, **reading)
        objective = self.objective_for(rows)
        lines = [*rows.facts, f"objective: {objective}"]
        if self.validation is not None or self.validation_split is not None:
            source = self.source if self.validation is None else self.validation
            split = self.validation_split or (split_names(source).get("validation") if self.validation is not None else None)
            columns = reading if self.validation is None else {**reading, "text": None, "pair": None}
            label = self.label if self.validation is None else None
            held = _checked_rows(judged_columns(source, self.objective, label=label, split=split, **columns), None)
            return rows, held, [*lines, *(f"validation: {line}" for line in held.facts)]
        if objective == "simcse":
            return rows, None, [*lines, "no validation data: the model of the last step is kept (scored pairs would judge it)"]
        return *self.hold_out(rows, lines), lines


def objective_of(rows: EmbeddingRows) -> ObjectiveName:
    """What rows of such a form are for."""
    if rows.scores is not None:
        return "scores"
    found: ObjectiveName = "ranking" if len(rows.texts[0]) > 1 else "simcse"
    assert found in get_args(ObjectiveName)
    return found
