"""`predict`: answers for texts, or for the rows of a table, whose other columns are kept."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import read_texts
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import check_given, check_pairs, rows_of, with_reading
from bertworks.estimators.load import load
from bertworks.estimators.rows import split_pairs, text_rows
from bertworks.estimators.verbs import kinds

_CHUNK = 2048
"""Rows that are predicted at once."""
_DIGITS = 6


@dataclass(frozen=True)
class Prediction:
    """The answer for one text or pair of texts."""

    text: str
    pair: str | None
    prediction: Any
    """The label; a tuple of those that apply, for several labels; or the number."""
    score: float | tuple[float, ...] | None
    """The probability of the label, or of each of several; None for a number."""
    probabilities: dict[str, float] | None = None
    """The probability of every label, where it was asked for."""
    windows: int = 1
    """Sequences in which the text was read: more than one for a long text."""
    truncated_tokens: int = 0
    """Tokens that were not read."""

    @property
    def line(self) -> str:
        """What the command line shows: label, probability, what else was asked for and the text, with tabs between them."""
        several = isinstance(self.prediction, tuple)
        label = "|".join(map(str, self.prediction)) if several else f"{self.prediction:.4f}" if self.score is None else str(self.prediction)
        scores = self.score if isinstance(self.score, tuple) else [] if self.score is None else [self.score]
        parts = [label, "|".join(f"{score:.4f}" for score in scores)] if self.score is not None else [label]
        parts += [f"{name}={value:.4f}" for name, value in (self.probabilities or {}).items()]
        parts += [text for text in (self.text, self.pair) if text is not None]
        return "\t".join(" ".join(part.split()) for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them; what is usual (no pair, one window, nothing truncated) is left out."""
        usual = {"pair": None, "score": None, "probabilities": None, "windows": 1, "truncated_tokens": 0}
        return {name: value for name, value in vars(self).items() if name not in usual or value != usual[name]}


class Answer(Protocol):
    """What is predicted for one row, whatever the task."""

    @property
    def line(self) -> str:
        """As the command line shows it."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        ...


@dataclass(frozen=True)
class PredictionReport:
    """What a prediction gave."""

    predictions: Sequence[Answer]
    """One a row; empty where they were written to a file."""
    output: Path | None
    """The file that was written."""
    accounting: Accounting
    counts: Counter[str]
    """How often each label was predicted."""
    notes: list[str] = field(default_factory=list)
    """Columns that had to be renamed, say."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {"output": None if self.output is None else str(self.output), "rows": self.accounting.rows}
        out |= {"counts": dict(self.counts), "notes": self.notes, "seconds": self.seconds, "accounting": self.accounting.to_dict()}
        return out | ({"predictions": [p.to_dict() for p in self.predictions]} if self.output is None else {})


@kinds.dispatched(kinds.of_model)
def predict(
    model: str | Path,
    texts: str | Sequence[Any] | None = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    probabilities: bool = False,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Predicts `texts` (one, or a list of texts or of pairs) or every row of `file`, any source that `train` reads.

    With `output`, the table in `file` is written there with all its columns, in its order, and further ones:
    `prediction`, `score` (the probability of it), with `probabilities` one `probability_<label>` a label, and
    `windows` and `truncated_tokens` where any row was read in windows or not wholly. `progress` is called with the
    rows done and the rows in all.

    Raises `CheckpointError` where there is no finished model, `DataError` where the data do not fit it.
    """
    options: dict[str, Any] = {"split": split, "text": text, "pair": pair, "limit": limit, "on_bad_rows": on_bad_rows}
    options |= {"encoding": encoding, "delimiter": delimiter}
    check_given(texts, file, output, options)
    if output is not None:
        check_writable(output)
    classifier = load(model, device=device, precision=precision, threads=threads)
    started = time.perf_counter()
    if file is None:
        rows = [texts] if isinstance(texts, str) else text_rows(texts)
        found, seen = _answer(classifier, rows, probabilities, progress)
        return PredictionReport(found, None, seen, _counts(found), seconds=time.perf_counter() - started)
    data = read_texts(file, label=False, require_labels=False, **options)
    check_pairs(data, classifier.task_.pairs)
    found, seen = _answer(classifier, rows_of(data), probabilities, progress)
    seen = with_reading(seen, data.accounting)
    if output is None:
        return PredictionReport(found, None, seen, _counts(found), seconds=time.perf_counter() - started)
    table, notes = with_columns(data.table.data, _columns(found))
    path = write_table(table, output)
    return PredictionReport([], path, seen, _counts(found), notes, time.perf_counter() - started)


@kinds.dispatched(kinds.of_estimator)
def answers(
    classifier: TextClassifier,
    rows: Sequence[Any],
    *,
    probabilities: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[list[Prediction], Accounting]]:
    """The answers for texts, or pairs of texts, in their order: chunk by chunk, with what became of the chunk's texts. `first_row` is
    the number of the first one in messages."""
    for start in range(0, len(rows), _CHUNK):
        chunk = [tuple(row) if isinstance(row, list) else row for row in rows[start : start + _CHUNK]]
        yield _answer_chunk(classifier, chunk, first_row + start, probabilities)
        if progress is not None:
            progress(start + len(chunk), len(rows))


def _answer(
    classifier: TextClassifier, rows: list[Any], probabilities: bool, progress: Callable[[int, int], None] | None
) -> tuple[list[Prediction], Accounting]:
    found: list[Prediction] = []
    accounting = Accounting()
    for some, seen in answers(classifier, rows, probabilities=probabilities, progress=progress):
        found += some
        accounting += seen
    return found, accounting


def _answer_chunk(classifier: TextClassifier, rows: list[Any], first_row: int, probabilities: bool) -> tuple[list[Prediction], Accounting]:
    task = classifier.task_
    predicted, outputs, seen = classifier.predict_with_accounting(rows, first_row=first_row)
    lengths = _windows(classifier, rows) if seen.windowed_rows or seen.truncated_rows else [(1, 0)] * len(rows)
    decided = predicted if isinstance(predicted, list) else predicted.tolist()
    found = []
    for row, answer, values, (windows, truncated) in zip(rows, decided, outputs.tolist(), lengths, strict=True):
        of_label = {str(label): round(value, _DIGITS) for label, value in zip(task.labels, values, strict=False)}
        score: Any = tuple(of_label[str(name)] for name in answer) if task.kind == "multi" else of_label.get(str(answer))
        first, second = row if isinstance(row, tuple) else (row, None)
        found.append(Prediction(first, second, answer, score, of_label if probabilities and of_label else None, windows, truncated))
    return found, seen


def _windows(classifier: TextClassifier, rows: list[Any]) -> list[tuple[int, int]]:
    """For each row, in how many sequences it is read and how many of its tokens are not."""
    task = classifier.task_
    first, second = split_pairs(rows)
    encoded = classifier.tokenizer_.encode_batch(
        first, second, max_tokens=task.max_tokens, overflow=task.overflow, stride=task.stride, offsets=False
    )
    return [(len(windows), windows[0].truncated_tokens) for windows in encoded]


def _counts(found: list[Prediction]) -> Counter[str]:
    """How often each label was predicted; empty for numbers."""
    names = (name for p in found if p.score is not None for name in (p.prediction if isinstance(p.prediction, tuple) else [p.prediction]))
    return Counter(str(name) for name in names)


def _columns(found: list[Prediction]) -> dict[str, list[Any]]:
    """The columns of the predictions file."""
    plain = [list(p.prediction) if isinstance(p.prediction, tuple) else p.prediction for p in found]
    columns: dict[str, list[Any]] = {"prediction": plain}
    if any(p.score is not None for p in found):
        columns["score"] = [list(p.score) if isinstance(p.score, tuple) else p.score for p in found]
    if found and found[0].probabilities is not None:
        for name in found[0].probabilities:
            columns[f"probability_{name}"] = [p.probabilities[name] for p in found if p.probabilities is not None]
    if any(p.windows > 1 for p in found):
        columns["windows"] = [p.windows for p in found]
    if any(p.truncated_tokens for p in found):
        columns["truncated_tokens"] = [p.truncated_tokens for p in found]
    return columns
