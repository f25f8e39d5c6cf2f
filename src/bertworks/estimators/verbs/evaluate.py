"""`evaluate`: all metrics of a finished model on labelled data, or of a pretrained one on text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.table import split_names
from bertworks.data.text_data import read_texts
from bertworks.data.writing import check_writable
from bertworks.estimators.data_settings import check_labels, check_pairs, describe, known_labels, rows_of, with_reading
from bertworks.estimators.load import load
from bertworks.estimators.verbs import kinds

Counting = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation found."""

    headline: str
    """Name of the main metric."""
    metrics: dict[str, Any]
    accounting: Accounting
    facts: list[str]
    """What was read, in lines."""
    mistakes: list[dict[str, Any]]
    """The worst mistakes, the worst first; `row` is the number of the row in its source."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        accounting = self.accounting.to_dict()
        found = {"headline": self.headline, "metrics": self.metrics, "accounting": accounting, "mistakes": self.mistakes}
        return {**found, "seconds": self.seconds}


@kinds.dispatched(kinds.of_model)
def evaluate(
    model: str | Path,
    data: Any,
    *,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    mistakes: int = 20,
    results: str | Path | None = None,
    progress: Counting | None = None,
) -> EvaluationReport:
    """Evaluates a model folder or a finished run on a source of labelled texts, read as `train` reads it.

    Where the source has several splits and none is named, it is its test part, else its validation part. Metrics come
    with 95 % intervals, and with the worst `mistakes`. `results` is a table to write the answers to, row by row
    (`RowResultsWriter`). `progress` is called with the rows done and the rows in all. A pretrained model is evaluated on text, with
    options of its own (`estimators.pretraining.evaluation`).

    Raises `CheckpointError` where there is no finished model, `DataError` where the data do not fit it.
    """
    file = None if results is None else check_writable(results)
    classifier = load(model, device=device, precision=precision, threads=threads)
    task = classifier.task_
    names = split_names(data) if split is None else {}
    options: dict[str, Any] = {"text": text, "pair": pair, "label": label, "kind": task.kind, "on_bad_rows": on_bad_rows}
    options |= {"shuffle_seed": shuffle_seed, "limit": limit, "encoding": encoding, "delimiter": delimiter}
    read = read_texts(data, split=split or names.get("test") or names.get("validation"), **options)
    check_pairs(read, task.pairs)
    labels = known_labels(read.labels or [], task.labels)
    if task.kind != "number":
        check_labels(read.table.name, read.table.rows, labels, task.labels)
    done, started = 0, time.perf_counter()

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, len(read))

    found = classifier.assess(rows_of(read), labels, mistakes=mistakes, results=file, progress=count)
    shown = [{**mistake, "row": int(read.table.rows[mistake["row"]])} for mistake in found.mistakes]
    seen, seconds = with_reading(found.accounting, read.accounting), time.perf_counter() - started
    return EvaluationReport(task.metrics().headline, found.metrics, seen, describe(read), shown, seconds)
