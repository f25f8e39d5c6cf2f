"""What `train`, `evaluate`, `predict`, `inspect` and `explain` do for question answering; `text` is the question, `pair` the context,
`label` the answers."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.architectures import read_description
from bertworks.checkpoints.hub import resolve
from bertworks.data.faults import OnBadRows
from bertworks.data.question_examples import QuestionData
from bertworks.data.questions import read_questions
from bertworks.data.writing import check_writable, write_table
from bertworks.errors import SettingsError
from bertworks.estimators import runs
from bertworks.estimators.answers.answerer import QuestionAnswerer
from bertworks.estimators.answers.data_settings import describe, question_splits
from bertworks.estimators.answers.explanation import explain_answer
from bertworks.estimators.answers.inspection import inspect_questions, with_reading_of
from bertworks.estimators.answers.prediction import AnswerPrediction, answer, answers, predict
from bertworks.estimators.answers.training import TRAINING
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.evaluate import EvaluationReport
from bertworks.estimators.verbs.explain import ExplanationReport, written
from bertworks.estimators.verbs.inspect import InspectionReport
from bertworks.explain import Kind
from bertworks.tasks.question_answering import QuestionAnswering
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress

__all__ = ["AnswerPrediction", "answer", "answers", "evaluate", "explain", "inspect", "predict", "train"]


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
    """Trains an answerer on a SQuAD file or any source that `read_questions` reads, and keeps everything in a run folder.

    The arguments are those of `verbs.train`; `settings` are parameters of `QuestionAnswerer` and fields of `TrainingConfig`.
    Where nothing is named to validate on, whole contexts are held out with all of their questions.
    """
    reading: dict[str, Any] = {"split": split, "text": text, "pair": pair, "label": label, "shuffle_seed": shuffle_seed, "limit": limit}
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
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> EvaluationReport:
    """Evaluates a model folder or a finished run on questions with answers: exact match and F1 as SQuAD's evaluations define them,
    with 95 % intervals, and the worst `mistakes`. `results` is a table to write every answer to. The other arguments are those of
    `verbs.evaluate`."""
    answerer: QuestionAnswerer = load(model, device=device, precision=precision, threads=threads)
    names = question_splits(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("test") or names.get("validation"), "shuffle_seed": shuffle_seed, "limit": limit}
    reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    read = read_questions(data, question=text, context=pair, answers=label, **slices, **reading)
    if results is not None:
        check_writable(results)
    done, started = 0, time.perf_counter()

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, len(read))

    found = answerer.assess(read.examples, mistakes=mistakes, results=results is not None, on_bad_rows=on_bad_rows, progress=count)
    if results is not None:
        write_table(pa.Table.from_pylist(found.results), results)
    shown = [{**mistake, "row": int(read.rows[mistake["row"]])} for mistake in found.mistakes]
    seen, seconds = with_reading(found.accounting, read.accounting), time.perf_counter() - started
    return EvaluationReport("f1", found.metrics, seen, describe(read), shown, seconds)


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
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "drop",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InspectionReport:
    """Looks through questions before a training: answers that cannot be found or are no tokens, contexts that are too long, what is
    asked twice, what `against` shares with them, and how many have no answer. The arguments are those of `verbs.inspect`."""
    started = time.perf_counter()
    names = question_splits(data) if split is None else {}
    slices: dict[str, Any] = {"split": split or names.get("train"), "shuffle_seed": shuffle_seed, "limit": limit}
    reading: dict[str, Any] = {"question": text, "context": pair, "answers": label}
    reading |= {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
    read = read_questions(data, **slices, **reading)
    other = None if against is None else _read_against(against, reading)
    folder = model_path(resolve(model))
    max_tokens = read_description(folder)[2].max_tokens
    encoded = QuestionAnswering(max_tokens=max_tokens).encode(read.examples, Tokenizer.load(folder), targets=True, on_bad_rows="drop")
    if progress is not None:
        progress(len(read), len(read))
    found = with_reading_of(inspect_questions(read, other), read, encoded, max_tokens)
    next_steps = (
        [f"bertworks train {runs.quoted(Path(data))} --task answers"] if isinstance(data, str | Path) and Path(data).exists() else []
    )
    name = "the default encoder" if model is None else str(model)
    return InspectionReport(found, describe(read), name, next_steps, time.perf_counter() - started)


def _read_against(source: Any, reading: Mapping[str, Any]) -> QuestionData:
    names = question_splits(source)
    return read_questions(source, split=names.get("test") or names.get("validation"), require_answers=False, **reading)


# ---- explanation


def explain(
    model: str | Path,
    text: str,
    pair: str | None = None,
    *,
    target: Any = None,
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
    """Explains a model's answer to the question `text` by the context `pair`; `target` is a text of the context, "" for no answer.
    See `QuestionAnswerer.explain` and `verbs.explain`."""
    started = time.perf_counter()
    if pair is None:
        raise SettingsError("an answer is explained by its question and its context: give two texts")
    answerer = load(model, device=device, precision=precision, threads=threads)
    explanation = explain_answer(answerer, text, pair, target=target, window=window, baseline=baseline, progress=progress)
    return written(explanation, kind, layer, head, output, started)
