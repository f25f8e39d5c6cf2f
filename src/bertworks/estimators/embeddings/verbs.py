"""The verbs for vectors of texts: those of text classification (`inspect` and `explain` are in `looking`), and `embed` and `search`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.data.faults import OnBadRows
from bertworks.data.table import split_names
from bertworks.data.text_data import TextData, read_texts
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.embeddings.data_settings import read_rows
from bertworks.estimators.embeddings.encoder_training import TRAINING
from bertworks.estimators.embeddings.encoding import VectorDtype, Vectors
from bertworks.estimators.embeddings.looking import explain, inspect
from bertworks.estimators.embeddings.relevance import read_retrieval
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.embeddings.vector_index import NEIGHBOURS, VectorIndex, fingerprint_of, library
from bertworks.estimators.embeddings.writing import check_output, ranges_path, write_npy, write_parquet
from bertworks.estimators.rows import text_rows
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.evaluate import Counting, EvaluationReport
from bertworks.tasks.embedding_objective import ObjectiveName, score_range
from bertworks.training.progress import Progress

__all__ = ["EmbedReport", "Hit", "answers", "embed", "evaluate", "explain", "inspect", "rounded", "search", "train"]

_DIGITS = 6
_SAMPLE = 10_000
"""Texts that int8 is calibrated by where the model was not."""

# ---- train


def train(
    data: Any = None,
    *,
    output: str | Path | None = None,
    model: str | Path | None = None,
    objective: ObjectiveName | None = None,
    validation: Any = None,
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    resume: str | Path | None = None,
    seeds: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainReport:
    """Trains a sentence encoder, and keeps everything in a run folder.

    Without an `objective`, pairs with a column of numbers (`label`) are scored pairs, pairs without are texts that belong
    together, and texts alone are learnt from by themselves (SimCSE); with a `teacher`, its vectors are imitated. Columns
    called negative, negative_1 … are negatives of a row. All else is as in `verbs.train.train`; `settings` are parameters of
    `SentenceEncoder` and fields of `TrainingConfig`.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "shuffle_seed": shuffle_seed, "limit": limit}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter, "objective": objective}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    if "activation" in settings and settings.get("dense") is None:
        raise SettingsError("activation is that of the layer that dense adds: give dense (--dense) too, or leave out activation")
    if settings.get("activation", "") is None:
        settings["activation"] = "identity"  # which config.toml can hold
    return TRAINING.train(
        data, reading, settings, output=output, model=model, validation=validation, resume=resume, seeds=seeds, progress=progress
    )


# ---- evaluate


def evaluate(
    model: str | Path,
    data: Any,
    *,
    objective: Literal["scores", "ranking"] | None = None,
    corpus: Any = None,
    relevance: Any = None,
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
    mistakes: int = 0,
    progress: Counting | None = None,
) -> EvaluationReport:
    """Evaluates vectors on scored pairs (Spearman), on texts that belong together (how high each partner is ranked), or on a
    search: `data` are queries then, and `corpus` and `relevance` say what is to be found (`relevance.read_retrieval`).

    `objective` says which of the first two: "scores" or "ranking", which does not look at labels. Without it, pairs with a column of
    numbers are scored pairs. Of a search, `split`, `limit` and `shuffle_seed` choose queries; `encoding`, `delimiter` and
    `on_bad_rows` are how all three tables are read.

    `mistakes` is there for the sake of other tasks: what is wrong cannot be told row by row.
    """
    if objective not in (None, "scores", "ranking"):
        raise SettingsError(f"vectors are evaluated by the objective 'scores' or 'ranking', not {objective!r}")
    encoder = SentenceEncoder(model, device=device, precision=precision, threads=threads)
    started = time.perf_counter()
    names = split_names(data) if split is None else {}
    part = split or names.get("test") or names.get("validation")
    slices: dict[str, Any] = {"split": part, "shuffle_seed": shuffle_seed, "limit": limit}
    reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    if (corpus is None) != (relevance is None):
        raise SettingsError("a search is judged by a corpus and by what is relevant in it: give both corpus and relevance")
    if corpus is not None:
        for name, value in (("pair", pair), ("label", label), ("objective", objective)):
            if value is not None:
                raise SettingsError(f"a search has no {name} (--{name}): leave it out, or leave out corpus and relevance")
        told = read_retrieval(data, corpus, relevance, text=text, slices=slices, **reading)
        found = encoder.evaluate_search(told.queries, told.corpus, told.relevance)
        seen = Accounting.from_dict(found.pop("accounting"))
        return EvaluationReport("ndcg@10", found, seen, told.facts, [], time.perf_counter() - started)
    rows = read_rows(data, objective, label=label, text=text, pair=pair, **slices, **reading)
    if len(rows.texts[0]) < 2:
        raise DataError(f"{rows.name} has single texts: name the two columns of pairs with text and pair (--text, --pair)")
    if rows.scores is not None:
        score_range(rows.scores)  # equal ones judge nothing
    found = encoder.evaluate(rows.texts, rows.scores)
    seen = with_reading(Accounting.from_dict(found.pop("accounting")), rows.accounting)
    if progress is not None:
        progress(len(rows.texts), len(rows.texts))
    return EvaluationReport("ndcg@10" if rows.scores is None else "spearman", found, seen, rows.facts, [], time.perf_counter() - started)


def answers(*_: Any, **__: Any) -> Any:
    """Raises `SettingsError`: there is nothing to predict."""
    raise SettingsError(
        "this model gives vectors, not answers: bertworks embed MODEL TEXTS, or bertworks search MODEL QUERY --file corpus.csv"
    )


# ---- embed


@dataclass(frozen=True)
class EmbedReport:
    """What became of texts."""

    vectors: Vectors | None
    """A row a text; None where they were written to a file."""
    output: Path | None
    """The file that was written."""
    width: int
    """Features of a vector."""
    accounting: Accounting
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {
            "output": None if self.output is None else str(self.output),
            "rows": self.accounting.rows,
            "width": self.width,
        }
        out |= {"notes": self.notes, "seconds": self.seconds, "accounting": self.accounting.to_dict()}
        return out | ({} if self.vectors is None else {"vectors": rounded(self.vectors)})


def embed(
    model: str | Path | SentenceEncoder,
    texts: str | Sequence[str] | None = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    prompt: str | None = None,
    dtype: VectorDtype = "float32",
    dimensions: int | None = None,
    overflow: str | None = None,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """The vectors of `texts`, or of a column of `file`; the options are those of `SentenceEncoder.encode`.

    `output` is an .npy file, or a .parquet file, which has all columns of the file and a further one, `vector`. It is written as
    the vectors come, so that memory does not grow by them; without it they are returned. For the dtype "int8" the first 10,000
    texts are the sample that it is calibrated by, unless the model was calibrated before. `progress` is called with the rows
    done and the rows in all.

    Raises `CheckpointError` where there is no such model, `DataError` where the texts cannot be read.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    check_given(texts, file, None, reading | {"delimiter": delimiter}, "texts or a file to embed")
    path = None if output is None else check_output(Path(output))
    options: dict[str, Any] = {"device": device, "precision": precision, "threads": threads, "overflow": overflow}
    encoder = model if isinstance(model, SentenceEncoder) else SentenceEncoder(model, **options)
    started = time.perf_counter()
    data: TextData | None = None
    if file is None:
        rows = [texts] if isinstance(texts, str) else text_rows(texts)
    else:
        data = read_texts(file, label=False, require_labels=False, delimiter=delimiter, **reading)
        rows = data.texts
    if not rows:
        raise DataError("there are no texts to embed")
    notes = _calibrated(encoder, rows, path, {"prompt": prompt, "dimensions": dimensions}) if dtype == "int8" else []
    seen = _Seen(len(rows), progress)
    chunks = seen.watch(encoder.encode_stream(rows, prompt=prompt, dtype=dtype, dimensions=dimensions))
    vectors: Vectors | None = None
    if path is None:
        vectors = np.concatenate(list(chunks))
    elif path.suffix == ".npy":
        write_npy(path, chunks, len(rows))
    else:
        notes += write_parquet(path, chunks, pa.table({"text": rows}) if data is None else data.table.data)
    accounting = seen.accounting if data is None else with_reading(seen.accounting, data.accounting)
    return EmbedReport(vectors, path, seen.width, accounting, notes, time.perf_counter() - started)


def _calibrated(encoder: SentenceEncoder, texts: Sequence[str], path: Path | None, options: Mapping[str, Any]) -> list[str]:
    """Takes the ranges of int8 from the first texts where the model has none, and writes them beside the vectors; says so."""
    notes = []
    if not encoder.is_calibrated:
        sample = texts[:_SAMPLE]
        encoder.calibrate(sample, **options)
        notes.append(f"int8: the range of each feature is that of the first {len(sample):,} texts")
    if path is not None:
        np.save(ranges_path(path), np.array(encoder.ranges, dtype=np.float32))
        notes.append(f"int8: the ranges are in {ranges_path(path)}")
    return notes


class _Seen:
    """Counts what passes by."""

    def __init__(self, rows: int, progress: Callable[[int, int], None] | None) -> None:
        self.accounting, self.width = Accounting(), 0
        self._rows, self._progress = rows, progress

    def watch(self, chunks: Iterator[tuple[Vectors, Accounting]]) -> Iterator[Vectors]:
        for vectors, seen in chunks:
            self.accounting += seen
            self.width = vectors.shape[1]
            if self._progress is not None:
                self._progress(self.accounting.rows, self._rows)
            yield vectors


def rounded(vectors: Vectors) -> list[Any]:
    """Vectors as lists of numbers, as JSON has them."""
    return [[round(float(v), _DIGITS) for v in row] if vectors.dtype.kind == "f" else row.tolist() for row in vectors]


# ---- search


@dataclass(frozen=True)
class Hit:
    """A text that was found."""

    query: str
    rank: int
    """From 1."""
    score: float
    row: int
    """The number of the row in its source, from 0."""
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "score": round(self.score, _DIGITS)}


def search(
    model: str | Path | SentenceEncoder,
    queries: str | Sequence[str],
    *,
    file: Any,
    vectors: str | Path | Float[Array, "rows width"] | None = None,
    index: str | Path | None = None,
    top_k: int = 10,
    text: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Hit]:
    """The texts of `file` that are nearest to each query. `vectors` are those of the file's texts, an array or an .npy file that
    `embed` wrote; without them the texts are embedded first. All texts are compared.

    With `index`, the name of a file, they are not: where the file is missing, an index is built of the texts (or their vectors) and
    written there (`SentenceEncoder.build_index`), else it is read, and only the queries are embedded. `tell` is called with a line
    that says which. Raises `DataError` where the index is of other texts, other vectors or another model, `MissingExtraError`
    without faiss.
    """
    encoder = model if isinstance(model, SentenceEncoder) else SentenceEncoder(model, device=device, precision=precision, threads=threads)
    reading: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    data = read_texts(file, label=False, require_labels=False, delimiter=delimiter, **reading)
    asked = [queries] if isinstance(queries, str) else list(queries)
    corpus: Any = data.texts if vectors is None else _stored(vectors)
    if isinstance(vectors, str | Path) and corpus.dtype == np.int8 and ranges_path(Path(vectors)).exists():
        encoder.use_ranges(*np.load(ranges_path(Path(vectors)), allow_pickle=False))
    if vectors is not None and len(corpus) != len(data.texts):
        raise DataError(f"{len(corpus):,} vectors but {len(data.texts):,} texts in {data.table.name}: they are of different files")
    if index is None:
        found = encoder.search(asked, corpus, top_k)
    else:
        found = encoder.search(asked, top_k=top_k, index=_index(encoder, corpus, Path(index).expanduser(), data.table.name, top_k, tell))
    return [
        Hit(query, rank, float(score), int(data.table.rows[place]), data.texts[place])
        for query, places, scores in zip(asked, found.indices, found.scores, strict=True)
        for rank, (place, score) in enumerate(zip(places, scores, strict=True), 1)
    ]


def _index(encoder: SentenceEncoder, corpus: Any, path: Path, name: str, top_k: int, tell: Callable[[str], None] | None) -> VectorIndex:
    """The index in a file, if it is one of this corpus by this model; where there is no such file, it is built and written."""
    library()  # before anything is embedded
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder: name a file" if path.is_dir() else f"the folder '{path.parent}' does not exist: make it first"
        raise DataError(f"the index '{path}' cannot be written: {what}")
    built = not path.exists()
    found = encoder.build_index(corpus, neighbours=max(top_k, NEIGHBOURS)) if built else VectorIndex.load(path)
    for what, own, wanted in (
        (f"of other texts or vectors than those of {name}", found.facts.source, fingerprint_of(corpus)),
        ("with another model, or with other settings of it", found.facts.model, encoder.fingerprint),
    ):
        if own != wanted:
            raise DataError(f"the index '{path}' was built {what}: remove it to have it built anew, or name another file")
    if built:
        found.save(path)
    if tell is not None:
        facts = found.facts
        part = f"a search visits {facts.probes:,} of {facts.cells:,} cells and finds {facts.recall:.1%} of the {facts.neighbours} nearest"
        tell(f"{'built' if built else 'read'} the index {path}: {facts.rows:,} texts; {part}")
    return found


def _stored(vectors: Any) -> Array:
    if not isinstance(vectors, str | Path):
        return np.asarray(vectors)
    try:
        found: Array = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"'{vectors}' is no .npy file of vectors: {error}") from error
    return found
