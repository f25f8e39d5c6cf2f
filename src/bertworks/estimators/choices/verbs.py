"""What `train`, `evaluate`, `predict`, `inspect` and `explain` do for multiple choice; `text` is the question, `pair` a context that is
read before it, `choices` the choices, `label` the answer."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.choices import read_choices
from bertworks.data.faults import OnBadRows
from bertworks.data.table import split_names
from bertworks.data.writing import check_writable, write_table
from bertworks.estimators import runs
from bertworks.estimators.choices.assessment import assess
from bertworks.estimators.choices.data_settings import describe
from bertworks.estimators.choices.explanation import explain_choice
from bertworks.estimators.choices.inspection import inspect_choices, with_lengths
from bertworks.estimators.choices.prediction import ChoicePrediction, answers, predict
from bertworks.estimators.choices.training import TRAINING
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.multiple_choice import MultipleChoice
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.evaluate import EvaluationReport
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.estimators.verbs.inspect import InspectionReport
from bertworks.explain import Kind
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress

__all__ = ["ChoicePrediction", "answers", "evaluate", "explain", "inspect", "predict", "train"]


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
    pair: str | None = None,
    label: str | None = None,
    choices: str | Sequence[str] | None = None,
    first_choice: int | None = None,
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
    """Trains a model that chooses on any source that `read_choices` reads, and keeps everything in a run folder.

    `choices` names the column of lists of choices, or the columns of single choices; `first_choice` is what answers that are numbers
    call the first choice, 0 or 1. The other arguments are those of `verbs.train`; `settings` are parameters of `MultipleChoice` and
    fields of `TrainingConfig`. Where nothing is named to validate on, questions are held out, those on one context together.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "shuffle_seed": shuffle_seed, "limit": limit}
    reading |= {"choices": choices, "first_choice": first_choice}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    reading |= {"validation_split": validation_split, "validation_fraction": validation_fraction}
    return TRAINING.train(
        data, reading, settings, output=output, model=model, validation=validation, resume=resume, seeds=seeds, progress=progress
    )


# ---- evaluation


def evaluate(
    model: str | Path,
    data: Any,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    mistakes: int = 20,
    results: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    choices: str | Sequence[str] | None = None,
    first_choice: int | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> EvaluationReport:
    """Evaluates a model folder or a finished run on questions with answers: accuracy and log-loss with 95 % intervals beside the
    accuracy of guessing, and the worst `mistakes`. `results` is a table to write every answer to. The other arguments are those of
    `train` and of `verbs.evaluate`."""
    chooser: MultipleChoice = load(model, device=device, precision=precision, threads=threads)
    names = split_names(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("test") or names.get("validation"), "shuffle_seed": shuffle_seed, "limit": limit}
    columns: dict[str, Any] = {"question": text, "context": pair, "choices": choices, "answers": label, "first": first_choice}
    read = read_choices(data, **slices, **columns, on_bad_rows=on_bad_rows, encoding=encoding, delimiter=delimiter)
    if results is not None:
        check_writable(results)
    done, started = 0, time.perf_counter()

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, len(read))

    found = assess(chooser, read, mistakes=mistakes, results=results is not None, progress=count)
    if results is not None:
        write_table(pa.Table.from_pylist(found.results), results)
    seen, seconds = with_reading(found.accounting, read.accounting), time.perf_counter() - started
    return EvaluationReport("accuracy", found.metrics, seen, describe(read), found.mistakes, seconds)


# ---- inspection


def inspect(
    data: Any,
    *,
    against: Any = None,
    model: str | Path | None = None,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    choices: str | Sequence[str] | None = None,
    first_choice: int | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "drop",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InspectionReport:
    """Looks through questions before a training: what cannot be used, choices that stand twice, what is asked twice, what `against`
    shares with them, where right choices stand, and how long the texts are. The arguments are those of `verbs.inspect`."""
    started = time.perf_counter()
    names = split_names(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("train"), "shuffle_seed": shuffle_seed, "limit": limit}
    reading: dict[str, Any] = {"question": text, "context": pair, "choices": choices, "answers": label, "first": first_choice}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    read, other = read_choices(data, **slices, **reading), None
    if against is not None:
        parts = split_names(against)
        unasked = {**reading, "answers": None, "first": None}
        other = read_choices(against, split=parts.get("test") or parts.get("validation"), with_answers=False, **unasked)
    folder = model_path(resolve(model))
    max_tokens = read_description(folder)[2].max_tokens
    if progress is not None:
        progress(len(read), len(read))
    found = with_lengths(inspect_choices(read, other), read, Tokenizer.load(folder), max_tokens)
    given: dict[str, Any] = {
        "text": text,
        "pair": pair,
        "label": label,
        "first_choice": first_choice,
        "split": split,
        "shuffle_seed": shuffle_seed,
    }
    given |= {"limit": limit, "delimiter": delimiter, "encoding": None if encoding == "utf-8" else encoding, "model": model}
    given |= {"on_bad_rows": "drop" if read.accounting.dropped else None}
    name = "the default encoder" if model is None else str(model)
    return InspectionReport(found, describe(read), name, _next_steps(data, choices, given), time.perf_counter() - started)


def _next_steps(data: Any, choices: str | Sequence[str] | None, given: Mapping[str, Any]) -> list[str]:
    """The command that trains on what was looked at; nothing for data in memory."""
    if not isinstance(data, str | Path):
        return []
    columns = [] if choices is None else [choices] if isinstance(choices, str) else choices
    words = [f"--choices {shlex.quote(name)}" for name in columns]
    words += [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    source = runs.quoted(Path(data)) if Path(data).exists() else shlex.quote(str(data))
    return [" ".join(["bertworks", "train", source, "--task choices", *words])]


# ---- explanation


def explain(
    model: str | Path,
    text: str,
    *,
    choices: Sequence[str],
    target: str | int | None = None,
    kind: Kind | None = None,
    layer: int | None = None,
    head: int | None = None,
    baseline: BaselineName = "pad",
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExplanationReport:
    """Explains which of the `choices` a model takes for the question `text`, or another of them, the `target`
    (`MultipleChoice.explain`); all else is as in `verbs.explain`."""
    started = time.perf_counter()
    chooser: MultipleChoice = load(model, device=device, precision=precision, threads=threads)
    explanation = explain_choice(chooser, text, choices, target=target, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
