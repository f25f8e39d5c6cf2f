"""`mine`: pairs of texts that say the same, within one file, or between two files of different languages."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.table import read_table
from bertworks.data.text_data import TextData, check_one_text, read_texts
from bertworks.data.writing import check_writable, write_table
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.embeddings.encoding import Vectors
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.evaluation.nearest import Pair

_DIGITS = 6
_PAIRS = 1000
"""Pairs that are kept of one file, unless said otherwise."""
_NEIGHBOURS = 4


@dataclass(frozen=True)
class MinedPair:
    """Two texts that say the same."""

    score: float
    """Their similarity; of two files the margin, which is above 1 where the two are nearer to each other than to others."""
    row: int
    """The number of the first one's row in its source, from 0."""
    text: str
    other_row: int
    """The number of the second one's row, of the same file or of the other."""
    other: str

    @property
    def line(self) -> str:
        """As the command line shows it."""
        parts = (f"{self.score:.4f}", str(self.row), str(self.other_row), " ".join(self.text.split()), " ".join(self.other.split()))
        return "\t".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "score": round(self.score, _DIGITS)}


@dataclass(frozen=True)
class MiningReport:
    """The pairs that were found, the surest first."""

    pairs: list[MinedPair]
    output: Path | None
    """The file that was written."""
    accounting: Accounting
    """What became of all texts."""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {"output": None if self.output is None else str(self.output), "rows": self.accounting.rows}
        out |= {"found": len(self.pairs), "notes": self.notes, "seconds": self.seconds, "accounting": self.accounting.to_dict()}
        return out | ({"pairs": [pair.to_dict() for pair in self.pairs]} if self.output is None else {})


def mine(
    model: str | Path | SentenceEncoder,
    file: Any,
    *,
    against: Any = None,
    output: str | Path | None = None,
    top_k: int | None = None,
    least: float | None = None,
    neighbours: int = _NEIGHBOURS,
    text: str | None = None,
    against_text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MiningReport:
    """The nearest pairs among the texts of `file` (`SentenceEncoder.mine_paraphrases`); with `against`, the texts of the two files
    that are translations of each other, each in one pair at most (`SentenceEncoder.mine_bitext`).

    `top_k` keeps the best so many: without it 1,000 of one file, and all of two. `least` is the lowest similarity, 0 unless said
    otherwise, or of two files the lowest margin, 1. `neighbours` are those that a margin compares with. `against_text` is the column
    of the second file, by default that of the first where it has one of this name; all else that says how files are read holds for
    both. Empty texts are left out and counted; the others keep the numbers of their rows. `output` is a table: sentence1, sentence2,
    score, row1, row2, as `train --task embeddings --objective ranking` reads it (by their scores, the last of the pairs would be
    taught to be unlike). `progress` is called with the rows embedded and the rows in all.

    Raises `SettingsError` for wrong numbers, `DataError` where texts cannot be read, there are two in a row or there is but one,
    `CheckpointError` where there is no such model.
    """
    if output is not None:
        check_writable(output)
    if top_k is not None and top_k < 1:
        raise SettingsError(f"top_k is a number of pairs, at least 1, not {top_k}")
    if neighbours < 1:
        raise SettingsError(f"neighbours is a number of texts, at least 1, not {neighbours}")
    if least is not None and (isinstance(least, bool) or not isinstance(least, int | float | np.number) or not isfinite(least)):
        raise SettingsError(f"least is the lowest score of a pair, a finite number, not {least!r}")
    if against is None and against_text is not None:
        raise SettingsError("against_text names a column of the second file: give that too (--against), or leave it out")
    if against is None and neighbours != _NEIGHBOURS:
        raise SettingsError("neighbours are what the margins of two files compare with: name the second (--against), or leave it out")
    started = time.perf_counter()
    reading: dict[str, Any] = {"split": split, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    files = [_read(file, text, reading, "text")]
    if against is not None:
        files.append(_read(against, against_text, reading, "against_text", files[0].text_column))
    elif len(files[0]) < 2:
        raise DataError(f"{files[0].table.name} has one text: pairs are found among two at least")
    encoder = model if isinstance(model, SentenceEncoder) else SentenceEncoder(model, device=device, precision=precision, threads=threads)
    told = None if progress is None else _adding_up(progress, sum(map(len, files)))
    vectors: list[Vectors] = []
    seen = Accounting()
    for data in files:
        some, of_file = encoder.encode_with_accounting(data.texts, progress=told)
        vectors.append(some)
        seen += with_reading(of_file, data.accounting)
    lowest = float(against is not None) if least is None else float(least)
    found = _nearest(encoder, vectors, top_k, lowest, neighbours)
    best = [] if found else _nearest(encoder, vectors, 1, -inf, neighbours)
    notes = [f"no pair reaches {lowest:g}; the nearest has {pair.score:.4f}" for pair in best]
    first, second = files[0], files[-1]
    pairs = [
        MinedPair(score, int(first.table.rows[i]), first.texts[i], int(second.table.rows[j]), second.texts[j]) for score, i, j in found
    ]
    path = None if output is None else write_table(_table(pairs), output)
    return MiningReport(pairs, path, seen, notes, time.perf_counter() - started)


def _read(source: Any, column: str | None, reading: dict[str, Any], option: str, usual: str | None = None) -> TextData:
    """The texts of a source without the empty ones: of the column `column`, or of `usual` where none is named and there is such a one."""
    table = read_table(source, **reading)
    data = read_texts(table, text=usual if column is None and usual in table.data.column_names else column, label=False)
    check_one_text(data, option=option)
    return data


def _nearest(encoder: SentenceEncoder, vectors: list[Vectors], most: int | None, least: float, neighbours: int) -> list[Pair]:
    if len(vectors) == 1:
        return encoder.mine_paraphrases(vectors[0], _PAIRS if most is None else most, least=least)
    return encoder.mine_bitext(*vectors, neighbours=neighbours, least=least)[:most]


def _adding_up(progress: Callable[[int, int], None], rows: int) -> Callable[[int], None]:
    """What is to be called with the rows done since the last call."""
    done = 0

    def tell(some: int) -> None:
        nonlocal done
        done += some
        progress(done, rows)

    return tell


def _table(pairs: list[MinedPair]) -> pa.Table:
    columns: dict[str, Any] = {
        "sentence1": pa.array([pair.text for pair in pairs], pa.string()),
        "sentence2": pa.array([pair.other for pair in pairs], pa.string()),
        "score": pa.array([round(pair.score, _DIGITS) for pair in pairs], pa.float64()),
        "row1": pa.array([pair.row for pair in pairs], pa.int64()),
        "row2": pa.array([pair.other_row for pair in pairs], pa.int64()),
    }
    return pa.table(columns)
