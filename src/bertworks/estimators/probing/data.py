"""Where a probing task's files stand in a folder of data, and the rows in them.

FOLDER/SST-2/train.tsv, dev.tsv          GLUE's own layout; its CoLA has no header, and is known by that
FOLDER/glue/sst2/validation.parquet      any names of folders, one or two deep, that only differ in case and signs
FOLDER/pairs/mrpc/train.csv, dev.jsonl   any format of tables, compressed or not; columns are known by their names
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.data.files import split_suffixes
from bertworks.data.table import Table, read_table
from bertworks.data.text_data import TextData, read_texts
from bertworks.errors import DataError
from bertworks.estimators.data_settings import known_labels, rows_of
from bertworks.estimators.probing.tasks import FEATURE_ROWS, ProbeTask

_STEMS = {"train": ("train", "training"), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
_FORMATS = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
_PART = re.compile(r"[-_]\w[\w-]*|")
"""What may follow in a file's name: train-00000-of-00001, train_10k."""
_LIMIT_SEED = 0
"""Which rows are taken where not all are."""


@dataclass(frozen=True)
class TaskFiles:
    """The two files of a task."""

    train: Path
    held: Path


@dataclass(frozen=True)
class TaskRows:
    """Texts (or pairs) and labels of a task."""

    texts: list[Any]
    labels: list[Any]
    held_texts: list[Any]
    held_labels: list[Any]
    read: Accounting
    """What became of the training rows in reading …"""
    held_read: Accounting
    """… and of those that are evaluated on."""

    def fingerprint(self) -> str:
        """A hash of all rows."""
        digest = hashlib.sha256(json.dumps([self.texts, self.labels, self.held_texts, self.held_labels]).encode())
        return digest.hexdigest()[:16]


def find_files(folder: Path, task: ProbeTask) -> TaskFiles | str:
    """The files of a task below `folder`, or, where one is missing, a sentence that says which.

    Raises `DataError` where there is no such folder, or several files could be the one that is wanted.
    """
    if not folder.is_dir():
        raise DataError(f"'{folder}' is no folder: name the one that holds the tasks' folders (SST-2, MRPC …)")
    below = [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_dir()]
    homes = [path for path in below if re.sub(r"[\W_]", "", path.name.lower()) in task.folders]
    if not homes:
        return f"no folder {' or '.join(task.folders)} in {folder}"
    found = [_in_home(home, task) for home in homes]
    return next((files for files in found if isinstance(files, TaskFiles)), found[0])


def _in_home(home: Path, task: ProbeTask) -> TaskFiles | str:
    parts = []
    for part in ("train", task.held):
        matching = [path for path in sorted(home.iterdir()) if _is_part(path, part)]
        if not matching:
            return f"no {home / part}{_FORMATS[0]} (nor {' '.join(_FORMATS[1:])})"
        if len(matching) > 1:
            names = ", ".join(path.name for path in matching)
            raise DataError(f"{home} holds several files that could be its part {part} ({names}): leave one there")
        parts.append(matching[0])
    return TaskFiles(*parts)


def _is_part(path: Path, part: str) -> bool:
    stem, suffix, _ = split_suffixes(path)
    return suffix in _FORMATS and any(stem.startswith(name) and _PART.fullmatch(stem[len(name) :]) for name in _STEMS[part])


def read_rows(files: TaskFiles, task: ProbeTask, *, limit: int | None = None, draw: int = _LIMIT_SEED) -> TaskRows:
    """The rows of a task; at most `limit` training rows, drawn by the seed `draw`. Raises `DataError` as `read_texts` does."""
    if task.epochs is None:
        limit = min(limit or FEATURE_ROWS, FEATURE_ROWS)
    train = _read(files.train, task, limit=limit, shuffle_seed=None if limit is None else draw)
    held = _read(files.held, task)
    labels, held_labels = list(train.labels or []), known_labels(list(held.labels or []), train.labels or [])
    unknown = sorted({str(label) for label in held_labels} - {str(label) for label in labels}) if task.kind == "single" else []
    if unknown:
        raise DataError(f"{files.held} has labels that {files.train} does not have, or not in the rows taken: {', '.join(unknown[:5])}")
    if task.positive and not any(str(label).lower() in task.positive for label in labels):
        raise DataError(f"{files.train}: no label is one of {', '.join(task.positive)}, whose F1 is wanted: call it 1, and the other 0")
    return TaskRows(rows_of(train), labels, rows_of(held), held_labels, train.accounting, held.accounting)


def _read(path: Path, task: ProbeTask, **options: Any) -> TextData:
    table = read_table(str(path))
    source: Any = str(path)
    columns: dict[str, Any]
    if task.name == "cola" and _lacks_header(table):
        source = _with_header(table)
        columns = {"text": "sentence", "label": "label"}
    else:
        names = table.data.column_names
        columns = {role: _column(path, names, accepted) for role, accepted in _roles(task)}
    return read_texts(source, kind=task.kind, **columns, **options)


def _roles(task: ProbeTask) -> list[tuple[str, tuple[str, ...]]]:
    return [("text", task.text), *([("pair", task.pair)] if task.pair else []), ("label", task.label)]


def _column(path: Path, names: Sequence[str], accepted: Sequence[str]) -> str:
    by_name = {name.lower(): name for name in names}
    found = next((by_name[name] for name in accepted if name in by_name), None)
    if found is None:
        raise DataError(f"{path} has no column {' or '.join(accepted)}; it has {', '.join(names)[:200]}: rename the one that is meant")
    return found


def _lacks_header(table: Table) -> bool:
    """Whether this is CoLA as GLUE hands it out: source, label, mark of the source, sentence, and no names above."""
    names = table.data.column_names
    return len(names) == 4 and names[1] in ("0", "1")


def _with_header(table: Table) -> dict[str, list[str]]:
    """The first row, which stands where names should, put back."""
    columns = {name: [name, *table.data[name].to_pylist()] for name in table.data.column_names}
    _, label, _, sentence = columns.values()
    return {"sentence": sentence, "label": label}
