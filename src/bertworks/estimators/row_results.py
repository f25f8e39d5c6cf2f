"""What a model answered row by row, in a file: by it, two models can be compared on the same rows, and mistakes be studied.

`predictions.parquet` has the columns text, pair (of pairs), label, prediction and `probability_<label>` (or, for a number,
only the numbers); the file's metadata say what kind of task it was, its labels and thresholds.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from bertworks.batch import Array
from bertworks.data.files import split_suffixes
from bertworks.data.writing import write_table
from bertworks.errors import CheckpointError, DataError
from bertworks.tasks.text_classification import TextClassification

FILE = "predictions.parquet"
_KEY = b"bertworks"
_ROWS_AT_ONCE = 4096


class RowResultsWriter:
    """Writes the results of rows as they come, in constant memory; the file stands under its name when all are written. It is Parquet
    unless its suffix is that of another table.

    Raises `CheckpointError` where the disk refuses it.
    """

    def __init__(self, path: Path, task: TextClassification) -> None:
        self._path, self._task = path, task
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        about = {"kind": task.kind, "labels": list(task.labels), "thresholds": None if task.kind != "multi" else task.limits().tolist()}
        label = {"single": pa.string(), "multi": pa.list_(pa.string()), "number": pa.float64()}[task.kind]
        fields = [("text", pa.string()), *([("pair", pa.string())] if task.pairs else []), ("label", label), ("prediction", label)]
        fields += [(_column(name), pa.float64()) for name in task.labels]
        self._schema = pa.schema(fields, metadata={_KEY: json.dumps(about).encode()})
        self._file: parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        with self._explained():
            self._file = parquet.ParquetWriter(self._unfinished, self._schema, compression="zstd")
        return self

    def add(self, rows: Sequence[Any], labels: Sequence[Any], outputs: Array, decided: Sequence[Any] | None = None) -> None:
        """Adds rows with their true labels, the model's probabilities (or numbers), `[rows, outputs]`, and what was decided by them,
        where it was not by the task."""
        assert self._file is not None, "only within its with block"
        task, decided = self._task, self._task.decide(outputs) if decided is None else decided
        texts = {"text": [row[0] for row in rows], "pair": [row[1] for row in rows]} if task.pairs else {"text": list(rows)}
        columns: dict[str, Any] = {**texts, "label": [self._named(v) for v in labels], "prediction": [self._named(v) for v in decided]}
        columns |= {_column(name): outputs[:, i].astype(np.float64) for i, name in enumerate(task.labels)}
        with self._explained():
            self._file.write_table(pa.table(columns, schema=self._schema))

    def _named(self, value: Any) -> Any:
        if self._task.kind == "number":
            return float(value)
        return [str(v) for v in value] if self._task.kind == "multi" else str(value)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._file is not None
        try:
            with self._explained():
                self._file.close()
                if kind is None:
                    self._finish()
        except CheckpointError:
            if kind is None:  # else it is what has been told already
                raise
        finally:
            with suppress(OSError):
                self._unfinished.unlink(missing_ok=True)

    def _finish(self) -> None:
        if split_suffixes(self._path)[1:] in ((".parquet", ""), ("", "")):
            self._unfinished.replace(self._path)
        else:
            write_table(parquet.read_table(self._unfinished), self._path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise CheckpointError(f"cannot save {self._path}: {reason}; free some space or choose another place") from error


class RowResults:
    """Reads what `RowResultsWriter` wrote.

    Raises `DataError` where the file is missing, damaged or not one of these.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = parquet.ParquetFile(path)
            about = json.loads((self._file.schema_arrow.metadata or {})[_KEY])
        except FileNotFoundError:
            raise DataError(f"there is no {path}: the run has no validation data, or was made by an older version") from None
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise DataError(f"{path} cannot be read as the results of rows: {error}") from None
        self.path = path
        self.kind: str = about["kind"]
        self.labels: list[Any] = about["labels"]
        self.thresholds: Array | float = 0.5 if about["thresholds"] is None else np.array(about["thresholds"])
        self.pairs = "pair" in self._file.schema_arrow.names
        self.rows: int = self._file.metadata.num_rows

    def predictions(self) -> list[Any]:
        """The answer to each row: the name of a label, a list of names, or a number."""
        return self._file.read(["prediction"])["prediction"].to_pylist()  # type: ignore[no-any-return]

    def chunks(self) -> Iterator[tuple[list[Any], Array, Array]]:
        """Some rows at a time: texts (or pairs), targets and outputs as the metrics of this kind of task take them."""
        for batch in self._file.iter_batches(_ROWS_AT_ONCE):
            texts = batch["text"].to_pylist()
            rows = list(zip(texts, batch["pair"].to_pylist(), strict=True)) if self.pairs else texts
            labels = batch["label"].to_pylist()
            if self.kind == "number":
                yield rows, np.array(labels), np.array(batch["prediction"])
                continue
            outputs = np.stack([np.asarray(batch[_column(name)]) for name in self.labels], axis=1)
            index = {str(name): i for i, name in enumerate(self.labels)}
            if self.kind == "single":
                yield rows, np.array([index[label] for label in labels]), outputs
            else:
                yield rows, np.array([[str(name) in of_row for name in self.labels] for of_row in labels]), outputs


def _column(label: Any) -> str:
    return f"probability_{label}"
