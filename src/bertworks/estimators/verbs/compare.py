"""`compare`: whether one model is better than another, or whether that could be chance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.batch import Array
from bertworks.data.faults import OnBadRows
from bertworks.data.table import split_names
from bertworks.data.text_data import read_texts
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.classifier import TextClassifier
from bertworks.estimators.data_settings import check_labels, check_pairs, describe, known_labels, rows_of
from bertworks.estimators.load import load
from bertworks.estimators.row_results import FILE, RowResults
from bertworks.estimators.verbs import kinds
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.comparison import Chunk, Comparison
from bertworks.evaluation.comparison import compare as compare_chunks

_CHUNK = 2048
_LEVEL = 0.05
"""A difference that chance makes less often than this is called one."""


@dataclass(frozen=True)
class ComparisonReport:
    """What a comparison found."""

    first: str
    """Name of the first model."""
    second: str
    headline: str
    """Name of the main metric."""
    comparison: Comparison
    facts: list[str]
    """What was compared on, in lines."""

    @property
    def verdict(self) -> str:
        """The main metric's difference in a sentence."""
        found = self.comparison.metrics[self.headline]
        name, (low, high) = self.headline.replace("_", " "), found.interval
        numbers = f"{name} {found.first:.4f} and {found.second:.4f}, difference {found.difference:+.4f}"
        doubt = f"95 % interval {low:+.4f} to {high:+.4f}, p = {found.p_value:.3g}"
        if found.p_value >= _LEVEL:
            return f"no difference that could not be chance: {numbers} ({doubt})"
        better = self.second if found.difference > 0 else self.first
        return f"{better} is better: {numbers} ({doubt})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        named = {"first": self.first, "second": self.second, "headline": self.headline, "verdict": self.verdict}
        return named | self.comparison.to_dict()


def compare(
    first: str | Path,
    second: str | Path,
    data: Any = None,
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
    replicates: int = DEFAULT_REPLICATES,
    progress: Callable[[int, int], None] | None = None,
) -> ComparisonReport:
    """Compares two models (run folders or model folders) on the same labelled rows.

    Without `data`, two runs are compared on the validation rows that both keep in predictions.parquet; these must be the
    same. With `data`, both models answer its rows, read as `evaluate` reads them. `progress` is called with the rows done
    and the rows in all. Every metric gets a paired bootstrap interval and a p-value (`evaluation.comparison`).

    Raises `DataError` where the two did not answer the same rows, or are not models of the same task; `SettingsError` where one is
    no classifier.
    """
    for folder in (first, second):
        kind = kinds.of_model({"model": folder})
        if kind is not kinds.CLASSIFICATION and "answers" not in kind.as_classification:
            raise SettingsError(
                f"compare knows classifiers of texts, and '{folder}' is a model for {kind.name}: name others, or evaluate each"
            )
    if data is None:
        return _compare_runs(Path(first), Path(second), replicates)
    models = [load(folder, device=device, precision=precision, threads=threads) for folder in (first, second)]
    one, other = (model.task_ for model in models)
    _check_alike((first, one.kind, one.labels, one.pairs), (second, other.kind, other.labels, other.pairs))
    names = split_names(data) if split is None else {}
    options: dict[str, Any] = {"text": text, "pair": pair, "label": label, "kind": one.kind, "on_bad_rows": on_bad_rows}
    options |= {"shuffle_seed": shuffle_seed, "limit": limit, "encoding": encoding, "delimiter": delimiter}
    read = read_texts(data, split=split or names.get("test") or names.get("validation"), **options)
    for model in models:
        check_pairs(read, model.task_.pairs)
    labels = known_labels(read.labels or [], one.labels)
    if one.kind != "number":
        check_labels(read.table.name, read.table.rows, labels, one.labels, "the models")
    rows = rows_of(read)

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            answers, others = (_outputs(model, rows[part], start) for model in models)
            yield one.truth(labels[part]), answers, others
            if progress is not None:
                progress(min(start + _CHUNK, len(rows)), len(rows))

    limits = (one.limits(), other.limits()) if one.kind == "multi" else (0.5, 0.5)
    found = compare_chunks(one.kind, chunks(), labels=one.labels, thresholds=limits, replicates=replicates)
    return ComparisonReport(str(first), str(second), one.metrics().headline, found, describe(read))


def _compare_runs(first: Path, second: Path, replicates: int) -> ComparisonReport:
    one, other = (RowResults(folder / FILE) for folder in (first, second))
    _check_alike((first, one.kind, one.labels, one.pairs), (second, other.kind, other.labels, other.pairs))
    headline = load(first).task_.metrics().headline
    if one.rows != other.rows:
        raise DataError(_other_rows(first, second, f"{one.rows:,} and {other.rows:,} rows"))

    def chunks() -> Iterator[Chunk]:
        at = 0
        for (rows, targets, outputs), (also, again, others) in zip(one.chunks(), other.chunks(), strict=True):
            if rows != also or not np.array_equal(targets, again):
                differ = (targets != again).reshape(len(rows), -1).any(axis=1) | [a != b for a, b in zip(rows, also, strict=True)]
                raise DataError(_other_rows(first, second, f"they differ in row {at + int(differ.argmax())}"))
            at += len(rows)
            yield targets, outputs, others

    limits = (one.thresholds, other.thresholds)
    found = compare_chunks(one.kind, chunks(), labels=one.labels, thresholds=limits, replicates=replicates)  # type: ignore[arg-type]
    return ComparisonReport(str(first), str(second), headline, found, [f"{one.rows:,} validation rows that both runs kept"])


def _other_rows(first: Path, second: Path, why: str) -> str:
    return (
        f"'{first}' and '{second}' were not validated on the same rows ({why}): name data that both answer, "
        f"as in bertworks compare {first} {second} --data test.csv"
    )


def _check_alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Raises `DataError` where two models do not answer the same question. Each is its folder, kind, labels and whether it reads pairs;
    None is not known."""
    first, second = one[0], other[0]
    if one[1] != other[1] or {one[3], other[3]} == {False, True}:
        raise DataError(f"'{first}' and '{second}' are models of different tasks: they cannot be compared")
    if [str(name) for name in one[2]] != [str(name) for name in other[2]]:
        odd = sorted({str(name) for name in one[2]} ^ {str(name) for name in other[2]})
        raise DataError(
            f"'{first}' and '{second}' have different labels ({', '.join(odd[:5]) or 'in another order'}): they cannot be compared"
        )


def _outputs(model: TextClassifier, rows: list[Any], first_row: int) -> Array:
    outputs = model.predict_with_accounting(rows, first_row=first_row)[1]
    return outputs[:, 0] if model.task_.kind == "number" else outputs
