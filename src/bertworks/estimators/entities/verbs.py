"""The verbs for labels of words: as those of text classification (`estimators/verbs`), which hand over to them."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.conll import SUFFIXES, WORDS, write_conll
from bertworks.data.faults import OnBadRows
from bertworks.data.tag_schemes import NAMELESS
from bertworks.data.tagged import read_tagged, tagged_splits
from bertworks.data.writing import check_writable, with_columns, write_table
from bertworks.errors import DataError, SettingsError
from bertworks.estimators import runs
from bertworks.estimators.data_settings import check_given, with_reading
from bertworks.estimators.entities.data_settings import as_key, describe, in_scheme, rows_of
from bertworks.estimators.entities.explanation import explain_entity
from bertworks.estimators.entities.inspection import inspect_tagged
from bertworks.estimators.entities.recognizer import SENTENCES_AT_ONCE, EntityRecognizer
from bertworks.estimators.entities.training import TRAINING
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.rows import plain_list
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.evaluate import Counting, EvaluationReport
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.estimators.verbs.inspect import InspectionReport
from bertworks.estimators.verbs.predict import PredictionReport
from bertworks.explain import Kind
from bertworks.tasks.tagging import Entity
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress

_DIGITS = 6


# ---- train


def train(
    data: Any = None,
    *,
    output: str | Path | None = None,
    model: str | Path | None = None,
    validation: Any = None,
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    scheme: str | None = None,
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
    """Trains a recognizer on labelled words or texts, and keeps everything in a run folder.

    `data` is read as `data.tagged.read_tagged` says: `text` is the column of the words or texts, `label` that of tags or
    entities, `scheme` what tags mean. All else is as in `verbs.train.train`; `settings` are parameters of `EntityRecognizer`
    and fields of `TrainingConfig`.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "label": label, "scheme": scheme, "shuffle_seed": shuffle_seed}
    reading |= {"limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    return TRAINING.train(
        data, reading, settings, output=output, model=model, validation=validation, resume=resume, seeds=seeds, progress=progress
    )


# ---- evaluate


def evaluate(
    model: str | Path,
    data: Any,
    *,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    scheme: str | None = None,
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
    """Evaluates a model on labelled words or texts, read as `train` reads them; all else is as in `verbs.evaluate.evaluate`.

    The tags of the data may be of another scheme than the model's: they are read in their own, and compared as entities.
    """
    file = None if results is None else check_writable(results)
    recognizer: EntityRecognizer = load(model, device=device, precision=precision, threads=threads)
    names = tagged_splits(data) if split is None else {}
    options: dict[str, Any] = {"text": text, "label": label, "scheme": scheme, "shuffle_seed": shuffle_seed, "limit": limit}
    options |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    read = read_tagged(data, split=split or names.get("test") or names.get("validation"), **options)
    rows = rows_of(read)
    done, started = 0, time.perf_counter()

    def count(sentences: int) -> None:
        nonlocal done
        done += sentences
        if progress is not None:
            progress(done, len(read))

    labels = rows.labels if read.is_text else in_scheme(rows.labels, read.scheme, recognizer.task_.scheme)
    found = recognizer.assess(rows.sentences, labels, mistakes=mistakes, results=file, progress=count)
    shown = [{**mistake, "row": int(rows.numbers[mistake["row"]])} for mistake in found.mistakes]
    seen, seconds = with_reading(found.accounting, read.accounting), time.perf_counter() - started
    facts = describe(read)
    known = [name or NAMELESS for name in recognizer.task_.types]
    unknown = [row["label"] for row in found.metrics["per_type"] if row["label"] not in known]
    if unknown:
        facts.append(f"labels that the model does not know, counted as missed: {', '.join(unknown)}")
    return EvaluationReport(recognizer.task_.metrics().headline, found.metrics, seen, facts, shown, seconds)


# ---- predict


@dataclass(frozen=True)
class TaggedPrediction:
    """The answer for one sentence."""

    text: str
    """The text, or its words with a space between them."""
    words: list[str] | None
    """The words, where the sentence came as a list of them."""
    tags: list[str] | None
    """A tag for each of these."""
    entities: list[Entity]
    """The entities of the text."""

    @property
    def line(self) -> str:
        """The text in one line, each entity in brackets with its label; words with their tags where it came as words.

        >>> TaggedPrediction("Ada saw Rome.", None, None, [Entity("Ada", "PER", 0, 3, 0.98)]).line
        '[Ada PER 0.98] saw Rome.'
        """
        if self.words is not None:
            return " ".join(f"{word}/{tag}" for word, tag in zip(self.words, self.tags or (), strict=True))
        parts, place = [], 0
        for entity in self.entities:
            parts += [self.text[place : entity.start], f"[{entity.text} {entity.label} {entity.score:.2f}]"]
            place = entity.end
        return " ".join("".join([*parts, self.text[place:]]).split())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        if self.words is not None:
            return {"words": self.words, "tags": self.tags}
        return {"text": self.text, "entities": [_plain(entity) for entity in self.entities]}


def _plain(entity: Entity) -> dict[str, Any]:
    return {**entity.to_dict(), "score": round(entity.score, _DIGITS)}


def predict(
    model: str | Path,
    texts: str | Sequence[Any] | None = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    split: str | None = None,
    text: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Finds the entities of `texts` (one, or a list of texts or of lists of words) or of every row of `file`, any source that
    `train` reads, labelled or not.

    With `output`, the table in `file` is written there with all its columns, in its order, and a further one: `entities`
    (text, label, start, end, score), or `prediction`, a tag for each word. Words can also be written as .conll: word, the
    tag that the file has, and the predicted one. `progress` is called with the rows done and the rows in all.
    """
    options: dict[str, Any] = {"split": split, "text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding}
    options |= {"delimiter": delimiter}
    check_given(texts, file, output, options)
    as_lines = output is not None and str(output).lower().endswith(SUFFIXES)
    if output is not None and not as_lines:
        check_writable(output)
    recognizer: EntityRecognizer = load(model, device=device, precision=precision, threads=threads)
    started = time.perf_counter()
    if file is None:
        rows = [texts] if isinstance(texts, str) else plain_list(texts, "texts")
        found, seen = _all_answers(recognizer, rows, progress)
        return PredictionReport(found, None, seen, _counts(found), seconds=time.perf_counter() - started)
    data = read_tagged(file, require_labels=False, **options)
    found, seen = _all_answers(recognizer, data.sentences, progress)
    seen = with_reading(seen, data.accounting)
    if output is None:
        return PredictionReport(found, None, seen, _counts(found), seconds=time.perf_counter() - started)
    if as_lines:
        path, notes = _write_lines(Path(output), found, data.table.data), list[str]()
    else:
        values = [one.tags if one.words is not None else [_plain(entity) for entity in one.entities] for one in found]
        table, notes = with_columns(data.table.data, {"entities" if data.is_text else "prediction": values})
        path = write_table(table, output)
    return PredictionReport([], path, seen, _counts(found), notes, time.perf_counter() - started)


def answers(
    classifier: EntityRecognizer,
    rows: Sequence[Any],
    *,
    probabilities: bool = False,
    first_row: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[list[TaggedPrediction], Accounting]]:
    """The answers for sentences, in their order: some at a time, with what became of them. `first_row` is the number of the first one in
    messages."""
    if probabilities:
        raise SettingsError("predict has no option 'probabilities' for the task 'entities': each entity comes with its own")
    for start in range(0, len(rows), SENTENCES_AT_ONCE):
        chunk = rows[start : start + SENTENCES_AT_ONCE]
        found, seen = classifier.predict_with_accounting(chunk, first_row=first_row + start)
        told = []
        for row, answer in zip(chunk, found, strict=True):
            plain = isinstance(row, str)
            told.append(TaggedPrediction(as_key(row), None if plain else list(row), None if plain else answer, answer if plain else []))
        yield told, seen
        if progress is not None:
            progress(start + len(chunk), len(rows))


def _all_answers(
    recognizer: EntityRecognizer, rows: Sequence[Any], progress: Callable[[int, int], None] | None
) -> tuple[list[TaggedPrediction], Accounting]:
    found: list[TaggedPrediction] = []
    seen = Accounting()
    for some, accounting in answers(recognizer, rows, progress=progress):
        found += some
        seen += accounting
    return found, seen


def _counts(found: Sequence[TaggedPrediction]) -> Counter[str]:
    """How often each label was predicted: entities, or words."""
    return Counter(name for one in found for name in ([entity.label for entity in one.entities] if one.words is None else one.tags or ()))


def _write_lines(path: Path, found: Sequence[TaggedPrediction], table: Any) -> Path:
    from bertworks.checkpoints.atomic import atomic_write

    if any(one.words is None for one in found):
        raise SettingsError(f"'{path}' is for words, but these are texts: write a table (.jsonl, .csv, .parquet …)")
    tags = table["tags"].to_pylist() if "tags" in table.column_names and WORDS in table.column_names else [None] * len(found)
    rows = [[one.words or [], *([given] if given is not None else []), one.tags or []] for one, given in zip(found, tags, strict=True)]
    try:
        atomic_write(path, write_conll(rows).encode())
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}; choose another place") from error
    return path


# ---- inspect and explain


def inspect(
    data: Any,
    *,
    against: Any = None,
    model: str | Path | None = None,
    split: str | None = None,
    text: str | None = None,
    label: str | None = None,
    scheme: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "drop",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InspectionReport:
    """Looks through labelled words or texts before a training (`inspect_tagged`). `against` is a second source, on which the
    model is to be validated or tested; `model` the folder or hub name whose tokenizer is used."""
    started = time.perf_counter()
    names = tagged_splits(data) if split is None else {}
    options: dict[str, Any] = {"text": text, "label": label, "on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    read = read_tagged(data, split=split or names.get("train"), scheme=scheme, shuffle_seed=shuffle_seed, limit=limit, **options)
    other = None
    if against is not None:
        there = tagged_splits(against)
        other = rows_of(read_tagged(against, split=there.get("test") or there.get("validation"), scheme=read.scheme, **options))
    folder = model_path(resolve(model))
    name = "the default encoder" if model is None else str(model)
    found = inspect_tagged(
        rows_of(read),
        other,
        tokenizer=Tokenizer.load(folder),
        limit=read_description(folder)[2].max_tokens,
        model_name=name,
        data=read,
    )
    given = {"split": split, "text": text, "label": label, "scheme": scheme, "shuffle_seed": shuffle_seed, "limit": limit, "model": model}
    facts = [line for line in describe(replace(read, accounting=Accounting())) if not line.endswith("none")]
    return InspectionReport(found, facts[:-1], name, _next_steps(data, given, bool(found.of_level("error"))), time.perf_counter() - started)


def _next_steps(data: Any, given: Mapping[str, Any], wrong: bool) -> list[str]:
    if not isinstance(data, str | Path):
        return []
    words = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    source = runs.quoted(Path(data)) if Path(data).exists() else shlex.quote(str(data))
    return [" ".join(["bertworks", "inspect" if wrong else "train", source, "--task entities", *words])]


def explain(
    model: str | Path,
    text: str,
    *,
    target: str | None = None,
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
    """Explains one entity of `text` (`EntityRecognizer.explain`); all else is as in `verbs.explain.explain`."""
    started = time.perf_counter()
    recognizer: EntityRecognizer = load(model, device=device, precision=precision, threads=threads)
    explanation = explain_entity(recognizer, text, target=target, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
