"""`inspect`: what labelled texts are like, and what would spoil a training on them."""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bertworks.accounting import Accounting
from bertworks.architectures import read_config, read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.faults import OnBadRows
from bertworks.data.files import read_bytes, split_suffixes
from bertworks.data.inspection import Finding, Inspection, TextRows, inspect_rows
from bertworks.data.inspection.characters import WrongBytes, check_bytes
from bertworks.data.inspection.confident_learning import check_label_issues
from bertworks.data.inspection.findings import by_level
from bertworks.data.inspection.reading import TOLERATED, check_reading
from bertworks.data.inspection.rows import of_all
from bertworks.data.labels import read_labels
from bertworks.data.table import split_names
from bertworks.data.text_data import TextData, read_texts
from bertworks.estimators import runs
from bertworks.estimators.data_settings import check_pairs, describe, known_labels, rows_of
from bertworks.estimators.stored_task import SETTINGS, is_few_shot, task_name
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.verbs import kinds
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer

if TYPE_CHECKING:
    from bertworks.estimators.classifier import TextClassifier

_CHUNK = 2048
"""Rows that are predicted at once."""


@dataclass(frozen=True)
class InspectionReport:
    """What an inspection found, and what to do next."""

    inspection: Inspection
    facts: list[str]
    """What was read, in lines."""
    tokenizer: str
    """The model whose tokens lengths are counted in."""
    next_steps: list[str]
    """Commands to go on with."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**self.inspection.to_dict(), "tokenizer": self.tokenizer, "next_steps": self.next_steps, "seconds": self.seconds}


@kinds.dispatched(kinds.of_data)
def inspect(
    data: Any,
    *,
    task: str | None = None,
    against: Any = None,
    model: str | Path | None = None,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    kind: Literal["auto", "single", "multi", "number"] = "auto",
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "drop",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InspectionReport:
    """Looks through a source of labelled texts before a training, read as `train` reads it, except that rows which cannot
    be read are told and left out. Where the source has several splits and none is named, it is its training part.

    `against` is a second source, with the same columns, on which the model is to be validated or tested: texts that
    stand in both are found, and labels that stand in one only. Lengths are counted with the tokenizer of `model`, a
    model folder or a hub name, by default of the encoder that comes with bertworks. Where `model`
    is a finished classifier, labels that look wrong to it are listed; `device`, `precision`, `threads` and `progress`
    (called with the rows done and the rows in all) are for its predictions.

    `task` says what is to be learnt where the form of the data does not (see `train`).

    Raises `DataError` where the source cannot be read at all, `CheckpointError` where there is no such model.
    """
    started = time.perf_counter()
    names = split_names(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("train"), "shuffle_seed": shuffle_seed, "limit": limit, "delimiter": delimiter}
    wrong = _check_bytes(data, encoding)
    readable = encoding if wrong is None else wrong.readable
    reader = _reader(model, device, precision, threads)
    columns: dict[str, Any] = {"text": text, "pair": pair, "label": label, "kind": kind}
    read = read_texts(data, encoding=readable, on_bad_rows=on_bad_rows, **columns, **slices)
    other = None if against is None else _read_against(against, read, encoding, delimiter, on_bad_rows)
    rows = TextRows.of(
        rows_of(read), read.labels, kind=read.label_kind or "auto", numbers=read.table.rows, name=PurePath(read.table.name).name
    )
    found = inspect_rows(
        rows,
        other,
        tokenizer=reader.tokenizer,
        limit=reader.limit,
        model_name=reader.name,
        columns={"text": read.text_column, "pair": read.pair_column, "label": read.label_column, "unused": read.unused_columns},
        accounting=read.accounting,
    )
    more = [*([wrong.finding] if wrong is not None else []), *check_reading(data, read, {**slices, "encoding": readable})]
    if reader.classifier is not None:
        more += _doubtful_labels(reader.classifier, rows, read, progress)
    if wrong is not None:  # what looks garbled comes of the encoding that was tried
        found = replace(found, findings=tuple(f for f in found.findings if f.title != "Garbled characters"))
    inspection = replace(found, findings=by_level([*more, *found.findings]))
    facts = describe(replace(read, accounting=Accounting()))
    settings = {
        **slices,
        "split": split,
        "kind": kind,
        "encoding": readable if wrong is not None and wrong.throughout else encoding,
        "on_bad_rows": on_bad_rows,
        "model": model,
        "task": task,
    }
    return InspectionReport(
        inspection=inspection,
        facts=facts if read.label_kind == "number" else facts[:-1],  # labels are counted by the inspection
        tokenizer=reader.name,
        next_steps=_next_steps(data, inspection, settings, read, model is not None and reader.classifier is None),
        seconds=time.perf_counter() - started,
    )


def _check_bytes(data: Any, encoding: str) -> WrongBytes | None:
    path = Path(data).expanduser() if isinstance(data, str | Path) else None
    if path is None or not path.is_file() or split_suffixes(path)[1] in ("", ".parquet"):
        return None
    return check_bytes(read_bytes(path), encoding, str(data))


def _read_against(source: Any, data: TextData, encoding: str, delimiter: str | None, on_bad_rows: OnBadRows) -> TextRows:
    """The second source by the columns of the first; its labels may be missing."""
    names = split_names(source)
    split = names.get("test") or names.get("validation")
    options: dict[str, Any] = {"encoding": encoding, "delimiter": delimiter, "on_bad_rows": on_bad_rows, "split": split}
    read = read_texts(source, text=data.text_column, pair=data.pair_column, label=False, require_labels=False, **options)
    labels = None
    if data.label_column in read.table.data.column_names:
        where = f"{read.table.name}, column '{data.label_column}'"
        values = read_labels(read.table.data[data.label_column], data.label_kind or "auto", where, read.table.rows.tolist()).values
        labels = known_labels(values, data.labels or [])
    return TextRows.of(rows_of(read), labels, kind=data.label_kind or "auto", numbers=read.table.rows, name=PurePath(read.table.name).name)


@dataclass(frozen=True)
class _Reader:
    """What reads the texts: a tokenizer, perhaps a classifier."""

    name: str
    tokenizer: Tokenizer
    limit: int | None
    classifier: "TextClassifier | None" = None


def _reader(model: str | Path | None, device: str, precision: str, threads: int | None) -> _Reader:
    folder = resolve(model)
    name = "the default encoder" if model is None else str(model)
    if _is_classifier(folder):
        from bertworks.estimators.load import load

        classifier = load(model or folder, device=device, precision=precision, threads=threads)
        return _Reader(name, classifier.tokenizer_, classifier.task_.max_tokens, classifier)
    encoder = model_path(folder)
    return _Reader(name, Tokenizer.load(encoder), read_description(encoder)[2].max_tokens)


def _is_classifier(folder: Path) -> bool:
    """Whether a folder is a run, or a finished model of ours or of `transformers`, and no pretrained encoder."""
    if (model_path(folder) / SETTINGS).exists():
        return task_name(model_path(folder)) == TextClassification.name
    if (folder / "config.toml").exists() or is_few_shot(folder):
        return True
    classes = read_config(folder).get("architectures") or []
    return any(str(name).endswith("ForSequenceClassification") for name in classes)


def _doubtful_labels(
    classifier: "TextClassifier", rows: TextRows, read: TextData, progress: Callable[[int, int], None] | None
) -> list[Finding]:
    """Labels that look wrong to a classifier."""
    task = classifier.task_
    check_pairs(read, task.pairs)
    if task.kind != "single" or rows.kind != "single":
        return [Finding("note", "Labels not checked", "Labels that look wrong to a model are looked for where a row has one label only.")]
    index = {label: i for i, label in enumerate(task.labels)}
    given = known_labels(list(rows.labels or []), task.labels)
    places = [i for i, label in enumerate(given) if label in index]
    unknown = [i for i, label in enumerate(given) if label not in index]
    findings = []
    if unknown:
        message = f"{of_all(len(unknown), len(rows))} have labels that the model does not have, so it cannot judge them."
        findings.append(rows.finding("warning", "Labels that the model does not know", message, unknown))
    texts = rows_of(read)
    outputs = []
    for start in range(0, len(places), _CHUNK):
        outputs.append(classifier.predict_proba([texts[i] for i in places[start : start + _CHUNK]]))
        if progress is not None:
            progress(min(start + _CHUNK, len(places)), len(places))
    if outputs:
        labels = [str(label) for label in task.labels]
        findings += check_label_issues(rows, np.array(places), np.array([index[given[i]] for i in places]), np.concatenate(outputs), labels)
    return findings


def _next_steps(data: Any, report: Inspection, settings: Mapping[str, Any], read: TextData, is_encoder: bool) -> list[str]:
    """The command that trains on these data, or looks at them again; nothing for data in memory."""
    if not isinstance(data, str | Path):
        return []
    options = {"text": read.text_column, "pair": read.pair_column, "label": read.label_column}
    options |= {name: settings[name] for name in ("split", "shuffle_seed", "limit", "delimiter")}
    usually = {"task": None, "kind": "auto", "encoding": "utf-8"}
    options |= {name: settings[name] for name, usual in usually.items() if settings[name] != usual}
    wrong = report.of_level("error")
    if settings["on_bad_rows"] == "drop" and not wrong and any(reason not in TOLERATED for reason in read.accounting.dropped):
        options["on_bad_rows"] = "drop"
    if is_encoder:
        options["model"] = settings["model"]
    words = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    source = runs.quoted(Path(data)) if Path(data).exists() else shlex.quote(str(data))
    return [" ".join(["bertworks", "inspect" if wrong else "train", source, *words])]
