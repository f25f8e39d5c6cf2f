"""What a trained recognizer is worth: metrics with intervals, the mistakes that it is surest of, and what a list of words reaches."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.tag_schemes import OUTSIDE, Span, spans_of, tags_of
from bertworks.data.writing import write_table
from bertworks.errors import DataError
from bertworks.estimators.assessment import Assessment
from bertworks.estimators.entities.rows import spans_in, types_of
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.spans import SpanMetrics, error_kind
from bertworks.evaluation.word_lookup import WordLookup
from bertworks.tasks.sentence_reading import Reading, Truth
from bertworks.tasks.tag_paths import Lattice
from bertworks.tasks.tagging import Tagging
from bertworks.tokenization.words import word_spans

if TYPE_CHECKING:
    from bertworks.estimators.entities.recognizer import EntityRecognizer

LOOKUP = "most frequent tag of each word"
NOTHING = "nothing"
_CONTEXT = 200
"""Characters of the text around a mistake."""


def assess(
    recognizer: "EntityRecognizer",
    rows: Sequence[Any],
    truth: Sequence[Truth],
    *,
    replicates: int = DEFAULT_REPLICATES,
    mistakes: int = 20,
    results: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Assessment:
    """Evaluates a model on labelled sentences, some at a time, so that memory does not grow with the set.

    Types that the model does not know count as missed. `replicates` are those of the intervals, 0 for none; `results` is a
    table for the answers: text or words, label and prediction of each row. `progress` is called with the number of
    sentences done since the last call. Raises `DataError` for texts where the model labels single words.
    """
    task: Tagging = recognizer.task_
    if task.scheme == "words" and any(row.tags is None for row in truth):
        raise DataError("this model labels single words: evaluate it on words with tags, not on texts with entities")
    metrics = task.metrics(replicates, list(dict.fromkeys([*task.types, *types_of(truth, task.scheme)])))
    seen, worst = Accounting(), list[dict[str, Any]]()
    answers: list[Any] = []
    done = 0
    for readings, scores, accounting in recognizer.read(rows):
        part = truth[done : done + len(readings)]
        found = task.paths(scores)
        count_rows(task, metrics, readings, part, found)
        if mistakes:
            lattices = task.lattices(scores)
            for row, case in enumerate(zip(readings, part, found, lattices, strict=True), done):
                worst += _mistakes(task, row, *case)
            worst = sorted(worst, key=lambda mistake: (-mistake["confidence"], mistake["row"]))[:mistakes]
        if results is not None:
            answers += [_answer(task, reading, tags) for reading, tags in zip(readings, found, strict=True)]
        done += len(readings)
        seen += accounting
        if progress is not None:
            progress(len(readings))
    if results is not None:
        _write(results, rows, truth, answers)
    return Assessment(metrics.compute(), seen, worst)


def count_rows(task: Tagging, metrics: SpanMetrics, readings: Sequence[Reading], truth: Sequence[Truth], tags: Sequence[list[str]]) -> None:
    """Adds rows to metrics: by the tags of their words, or by their spans of characters. `tags` are those of the words read."""
    for reading, true, found in zip(readings, truth, tags, strict=True):
        if true.tags is None:
            metrics.update_spans([true.spans or ()], [task.character_spans(reading, found)])
        else:
            metrics.update([true.tags], [task.word_tags(reading, found)])


def _answer(task: Tagging, reading: Reading, tags: Sequence[str]) -> Any:
    """What a file of answers holds of a row."""
    if reading.sentence.words is not None:
        return task.word_tags(reading, tags)
    return [span._asdict() for span in task.character_spans(reading, tags)]


def _write(path: Path, rows: Sequence[Any], truth: Sequence[Truth], answers: Sequence[Any]) -> None:
    name = "text" if rows and isinstance(rows[0], str) else "words"
    labels = [[span._asdict() for span in row.spans or ()] if row.tags is None else list(row.tags) for row in truth]
    write_table(pa.table({name: list(rows), "label": labels, "prediction": list(answers)}), path)


# ---- mistakes


def _mistakes(task: Tagging, row: int, reading: Reading, truth: Truth, tags: list[str], lattice: Lattice) -> Iterator[dict[str, Any]]:
    """The wrong entities of a sentence, and those that were missed; with the probability of the wrong answer."""
    raw = truth.tags is None
    found = task.character_spans(reading, tags) if raw else task.word_spans(reading, tags)
    true = spans_in(truth, task.scheme)
    if task.scheme == "words" and not raw:
        found = [Span(place, place + 1, tag) for place, tag in enumerate(task.word_tags(reading, tags))]
    for span in sorted(set(found) - set(true)):
        near = [other for other in true if other.start < span.end and span.start < other.end]
        label = ", ".join(_named(reading, other, raw) for other in near) or NOTHING
        kind = error_kind(near[0], true, found) if near and near[0] not in set(found) else "boundary" if near else "spurious"
        yield _told(row, reading, span, raw, label, _named(reading, span, raw), kind, _probability(reading, lattice, span, raw))
    for span in sorted(set(true) - set(found)):
        if not any(other.start < span.end and span.start < other.end for other in found):
            missing = 1 - _probability(reading, lattice, span, raw)
            yield _told(row, reading, span, raw, _named(reading, span, raw), NOTHING, "missed", missing)


def _told(row: int, reading: Reading, span: Span, raw: bool, label: str, prediction: str, kind: str, confidence: float) -> dict[str, Any]:
    start, end = _characters(reading, span, raw)
    text = reading.sentence.text
    first, last = max(0, start - _CONTEXT), min(len(text), end + _CONTEXT)
    shown = ("… " if first else "") + text[first:last] + (" …" if last < len(text) else "")
    return {"row": row, "text": shown, "label": label, "prediction": prediction, "kind": kind, "confidence": confidence}


def _named(reading: Reading, span: Span, raw: bool) -> str:
    start, end = _characters(reading, span, raw)
    return f"{span.label} '{reading.sentence.text[start:end]}'"


def _characters(reading: Reading, span: Span, raw: bool) -> tuple[int, int]:
    words = reading.sentence.words
    if raw or words is None:
        return span.start, span.end
    return int(words[span.start, 0]), int(words[span.end - 1, 1])


def _probability(reading: Reading, lattice: Lattice, span: Span, raw: bool) -> float:
    """The probability of a span by the model; 0 where its borders are none of the words that are read."""
    starts, ends = (reading.spans[:, 0], reading.spans[:, 1]) if raw else (reading.numbers, reading.numbers + 1)
    first, last = np.flatnonzero(starts == span.start), np.flatnonzero(ends == span.end)
    if not len(first) or not len(last):
        return 0.0
    return lattice.span_probability(Span(int(first[0]), int(last[0]) + 1, span.label))


# ---- the baseline


def compare_with_lookup(
    task: Tagging, rows: Sequence[Any], truth: Sequence[Truth], test_rows: Sequence[Any], test_truth: Sequence[Truth]
) -> dict[str, dict[str, Any]]:
    """What the most frequent tag of each word in the training data reaches on the same test rows."""
    lookup = WordLookup(task.scheme)
    metrics = task.metrics(DEFAULT_REPLICATES, list(dict.fromkeys([*task.types, *types_of(test_truth, task.scheme)])))
    for row, true in zip(rows, truth, strict=True):
        words, spans = _words_of(row)
        lookup.add(words, true.tags or tags_of(_touched(spans, true.spans or ()), len(words), task.scheme))
    for row, true in zip(test_rows, test_truth, strict=True):
        words, places = _words_of(row)
        found = lookup.tags(words)
        if true.tags is not None:
            metrics.update([true.tags], [found])
        else:
            answer = [Span(int(places[a, 0]), int(places[b - 1, 1]), label) for a, b, label in spans_of(found, task.scheme)]
            metrics.update_spans([true.spans or ()], [[span for span in answer if span.label != OUTSIDE]])
    return {LOOKUP: metrics.compute()}


def _words_of(row: str | list[str]) -> tuple[list[str], Int[Array, "words 2"]]:
    if not isinstance(row, str):
        return row, np.zeros((0, 2), dtype=np.int64)
    spans = word_spans(row)
    return [row[start:end] for start, end in spans.tolist()], spans


def _touched(words: Array, spans: Sequence[Span]) -> list[Span]:
    """Spans of characters as spans of the words that they touch; where they overlap the first is kept."""
    out: list[Span] = []
    for span in sorted(spans):
        start = int(np.searchsorted(words[:, 1], span.start, side="right"))
        end = int(np.searchsorted(words[:, 0], span.end, side="left"))
        if start < end and (not out or out[-1].end <= start):
            out.append(Span(start, end, span.label))
    return out
