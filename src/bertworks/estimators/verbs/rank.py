"""`rank`: the rows of a table by how well they go with a query, as a model of pairs says."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import check_one_text, read_texts
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.errors import SettingsError
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.load import load

_DIGITS = 6


@dataclass(frozen=True)
class RankedRow:
    """A passage of a table, and how well it goes with the query."""

    rank: int
    """From 1."""
    score: float
    """The probability of the label, or the number, that the model gives to the query with the passage."""
    row: int
    """The number of the row in its source, from 0."""
    text: str

    @property
    def line(self) -> str:
        """As the command line shows it."""
        return f"{self.score:.4f}\t{self.row}\t{' '.join(self.text.split())}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "score": round(self.score, _DIGITS)}


@dataclass(frozen=True)
class RankReport:
    """The passages of a table, the best first."""

    ranked: list[RankedRow]
    output: Path | None
    """The file that was written."""
    accounting: Accounting
    """What became of all passages that were read."""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {"output": None if self.output is None else str(self.output), "rows": self.accounting.rows}
        out |= {"notes": self.notes, "seconds": self.seconds, "accounting": self.accounting.to_dict()}
        return out | ({"ranked": [row.to_dict() for row in self.ranked]} if self.output is None else {})


def rank(
    model: str | Path | TextClassifier,
    query: str,
    *,
    file: Any,
    output: str | Path | None = None,
    label: Any = None,
    top_k: int | None = None,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> RankReport:
    """Sorts the texts of `file` by how well they go with a query (`TextClassifier.rank`): every one is read together with it.

    With `output`, the rows of the table are written there in this order, with the further columns `rank` and `score`. `label` and
    `top_k` are those of `TextClassifier.rank`.

    Raises `SettingsError` for a model that does not sort pairs, `CheckpointError` where there is none, `DataError` where the
    passages cannot be read.
    """
    if output is not None:
        check_writable(output)
    classifier = model if isinstance(model, TextClassifier) else load(model, device=device, precision=precision, threads=threads)
    if not isinstance(classifier, TextClassifier) or classifier.task_.pairs is False:
        other = "" if isinstance(classifier, TextClassifier) else f"; this one is for {classifier.task_.name.replace('_', ' ')}"
        raise SettingsError(
            f"passages are ranked by a text classifier that was trained on pairs{other or ', and this one reads single texts'}: train one "
            "(bertworks train … --text query --pair passage), or use bertworks search, which takes a sentence encoder"
        )
    started = time.perf_counter()
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    data = read_texts(file, label=False, require_labels=False, delimiter=delimiter, **reading)
    check_one_text(data, "passages")
    found, seen = classifier.rank_with_accounting(query, data.texts, label=label, top_k=top_k)
    ranked = [RankedRow(number, best.score, int(data.table.rows[best.index]), best.text) for number, best in enumerate(found, 1)]
    path: Path | None = None
    notes: list[str] = []
    if output is not None:
        table = data.table.data.take([best.index for best in found])
        table, notes = with_columns(table, {"rank": [row.rank for row in ranked], "score": [round(row.score, _DIGITS) for row in ranked]})
        path = write_table(table, output)
    return RankReport(ranked, path, with_reading(seen, data.accounting), notes, time.perf_counter() - started)
