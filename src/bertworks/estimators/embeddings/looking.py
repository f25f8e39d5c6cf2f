"""The verbs that look: `inspect` at the rows of a training of vectors, `explain` at what makes two texts alike."""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertworks.checkpoints.hub import resolve
from bertworks.data.faults import OnBadRows
from bertworks.data.inspection import Inspection
from bertworks.data.inspection.findings import by_level
from bertworks.data.inspection.reading import TOLERATED
from bertworks.data.table import split_names
from bertworks.data.text_data import TextData
from bertworks.estimators import runs
from bertworks.estimators.embeddings.data_settings import (
    EmbeddingRows,
    judged_columns,
    negative_columns,
    objective_of,
    read_columns,
    rows_of,
)
from bertworks.estimators.embeddings.explanation import explain_vectors
from bertworks.estimators.embeddings.folder import read_text_side
from bertworks.estimators.embeddings.inspection import check_source, inspect_embedding_rows
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.estimators.verbs.inspect import InspectionReport
from bertworks.explain import Kind
from bertworks.tasks.embedding_objective import ObjectiveName
from bertworks.tokenization import Tokenizer

# ---- inspect


def inspect(
    data: Any,
    *,
    against: Any = None,
    model: str | Path | None = None,
    objective: ObjectiveName | None = None,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "drop",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InspectionReport:
    """Looks through rows before a training of vectors, read as `train` reads them: pairs with scores or without, pairs with negatives,
    or texts alone (`inspect_embedding_rows`). Labels of pairs that are no scores, at which a training stops, are told.

    `against` is a second source with the same columns, on which the model is to be validated or tested. `model` is the folder or
    hub name whose tokenizer and limit are used. The other arguments are those of `verbs.inspect`, and `objective` of `train`.
    """
    started = time.perf_counter()
    names = split_names(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("train"), "shuffle_seed": shuffle_seed, "limit": limit, "delimiter": delimiter}
    reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding}
    read = read_columns(data, objective, text=text, pair=pair, label=label, **slices, **reading)
    rows = rows_of(read, objective)
    other = None if against is None else _read_against(against, read, objective, {**reading, "delimiter": delimiter})
    folder = model_path(resolve(model))
    name = "the default encoder" if model is None else str(model)
    found = inspect_embedding_rows(rows, other, task=read_text_side(folder), tokenizer=Tokenizer.load(folder), model_name=name)
    used = {"text": read.text_column, "pair": read.pair_column, "label": read.label_column}
    columns: dict[str, Any] = {**used, "unused": [name for name in read.unused_columns if name not in negative_columns(read, objective)]}
    findings = by_level([*check_source(data, read, {**slices, "encoding": encoding}), *found.findings])
    inspection = replace(found, findings=findings, columns=columns)
    if progress is not None:
        progress(len(rows.texts), len(rows.texts))
    given = {**slices, "split": split, "objective": objective, "model": model, "encoding": None if encoding == "utf-8" else encoding}
    told = [line for line in rows.facts if " rows dropped: " not in line]  # findings tell that
    facts = [*told, f"objective: {objective or objective_of(rows)}"]
    return InspectionReport(inspection, facts, name, _next_steps(data, inspection, read, given), time.perf_counter() - started)


def _read_against(source: Any, data: TextData, objective: ObjectiveName | None, reading: Mapping[str, Any]) -> EmbeddingRows:
    """The second source by the columns of the first, as a training reads what it validates on; its scores may be missing."""
    names = split_names(source)
    options: dict[str, Any] = {**reading, "split": names.get("test") or names.get("validation")}
    options |= {"text": data.text_column, "pair": data.pair_column}
    columns = read_columns(source, "ranking", **options).table.data.column_names
    label = data.label_column if data.labels is not None and data.label_column in columns else None
    return rows_of(judged_columns(source, objective, label=label, **{**options, "on_bad_rows": "drop"}))


def _next_steps(data: Any, inspection: Inspection, read: TextData, given: Mapping[str, Any]) -> list[str]:
    """The command that trains on these data, or looks at them again; nothing for data in memory."""
    if not isinstance(data, str | Path):
        return []
    wrong = bool(inspection.of_level("error"))
    options = {"text": read.text_column, "pair": read.pair_column, "label": read.label_column, **given}
    if wrong:
        del options["objective"]
    elif any(reason not in TOLERATED for reason in read.accounting.dropped):
        options["on_bad_rows"] = "drop"
    words = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    source = runs.quoted(Path(data)) if Path(data).exists() else shlex.quote(str(data))
    return [" ".join(["bertworks", "inspect" if wrong else "train", source, "--task embeddings", *words])]


# ---- explain


def explain(
    model: str | Path,
    text: str,
    pair: str | None = None,
    *,
    kind: Kind | None = None,
    layer: int | None = None,
    head: int | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explains why `text` and `pair` are alike to a sentence encoder, or shows the attention in a text alone
    (`SentenceEncoder.explain`); all else is as in `verbs.explain.explain`."""
    started = time.perf_counter()
    encoder = SentenceEncoder(model, device=device, precision=precision, threads=threads)
    explanation = explain_vectors(encoder, text, pair, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
