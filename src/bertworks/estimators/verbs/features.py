"""`features`: hidden states of a frozen encoder, for another model to learn from."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import read_texts
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.embeddings.writing import SUFFIXES, check_output, write_npy, write_parquet, write_token_parquet
from bertworks.estimators.feature_extractor import Combine, FeatureExtractor, Pool, TokenFeatures
from bertworks.estimators.rows import text_rows
from bertworks.tokenization import Overflow

Part = TypeVar("Part")


@dataclass(frozen=True)
class FeaturesReport:
    """What an extraction gave."""

    features: Array | None
    """`[rows, width]`; None where they were written to a file, or are those of tokens."""
    output: Path | None
    width: int
    """Features of a text, or of a token."""
    accounting: Accounting
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    tokens: list[TokenFeatures] | None = None
    """Those of each text's tokens, where they were asked for and not written to a file."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {"output": None if self.output is None else str(self.output), "width": self.width, "notes": self.notes}
        out |= {"seconds": self.seconds, "accounting": self.accounting.to_dict()}
        out |= {} if self.features is None else {"features": self.features.tolist()}
        return out | ({} if self.tokens is None else {"tokens": [text.to_list() for text in self.tokens]})


def features(
    model: str | Path | None = None,
    texts: str | Sequence[str] | None = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    layers: int | Sequence[int] = -1,
    combine: Combine = "concat",
    pooling: Pool = "mean",
    tokens: bool = False,
    overflow: Overflow = "window",
    max_tokens: int | None = None,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: Any = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeaturesReport:
    """The features of `texts`, or of a column of `file`; `layers` to `max_tokens` are those of `FeatureExtractor`.

    `output` is an .npy file, or a .parquet file, which has all columns of the file and a further one, `vector`. It is written
    as the features come, so that memory does not grow by them; without it they are returned. With `tokens` the features are not of
    texts but of each of their tokens (`FeatureExtractor.tokens`), and the .parquet file has a row a token: `row`, the number of the
    text's row in the file, `token`, `start` and `end`, its characters in the text, and `vector`. `progress` is called with the rows
    done and the rows in all.

    Raises `CheckpointError` where there is no such model, `SettingsError` for parameters that make no sense, `DataError` where
    the texts cannot be read.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows}
    reading |= {"encoding": encoding, "delimiter": delimiter}
    check_given(texts, file, None, reading, "texts or a file")
    if tokens and pooling != "mean":
        raise SettingsError("pooling makes one vector of all tokens of a text: leave out either pooling or tokens")
    path = None if output is None else check_output(Path(output), (".parquet",) if tokens else SUFFIXES)
    options: dict[str, Any] = {"overflow": overflow, "max_tokens": max_tokens, "device": device, "precision": precision}
    extractor = FeatureExtractor(model, layers=layers, combine=combine, pooling=pooling, threads=threads, **options).fit()
    started = time.perf_counter()
    if file is None:
        rows, table, read = [texts] if isinstance(texts, str) else text_rows(texts), None, Accounting()
        numbers: Sequence[int] = range(len(rows))
    else:
        data = read_texts(file, label=False, require_labels=False, **reading)
        rows, table, read, numbers = list(data.texts), data.table.data, data.accounting, data.table.rows.tolist()
    if not rows:
        raise DataError("there are no texts to read")
    width = len(extractor.get_feature_names_out())
    found, of_tokens, notes = None, None, []
    each = _watched(extractor.stream_tokens(rows), len(rows), progress, lambda text: 1)
    chunks = _watched(extractor.stream(rows), len(rows), progress, len)
    if tokens and path is None:
        of_tokens = list(each)
    elif tokens and path is not None:
        write_token_parquet(path, zip(numbers, each, strict=True), width)
    elif path is None:
        found = np.concatenate(list(chunks))
    elif path.suffix == ".npy":
        write_npy(path, chunks, len(rows))
    else:
        notes = write_parquet(path, chunks, pa.table({"text": rows}) if table is None else table)
    seen = extractor.accounting_ if table is None else with_reading(extractor.accounting_, read)
    return FeaturesReport(found, path, width, seen, notes, time.perf_counter() - started, of_tokens)


def _watched(
    parts: Iterable[Part], rows: int, progress: Callable[[int, int], None] | None, rows_of: Callable[[Part], int]
) -> Iterator[Part]:
    done = 0
    for part in parts:
        yield part
        done += rows_of(part)
        if progress is not None:
            progress(done, rows)
