"""What `train`, `evaluate`, `predict`, `inspect` and `explain` do for question answering; `text` is the question, `pair` the context,
`label` the answers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.checkpoints.files import write_json
from bertworks.checkpoints.hub import resolve
from bertworks.data.faults import OnBadRows
from bertworks.data.files import split_suffixes
from bertworks.data.question_examples import QuestionData, QuestionExample
from bertworks.data.questions import read_questions
from bertworks.data.writing import check_writable, write_table
from bertworks.errors import BertworksError, DataError, SettingsError, nearest
from bertworks.estimators import runs
from bertworks.estimators.answers.answerer import QuestionAnswerer
from bertworks.estimators.answers.data_settings import QuestionSettings, describe, question_splits
from bertworks.estimators.answers.explanation import explain_answer
from bertworks.estimators.answers.inspection import inspect_questions, with_reading_of
from bertworks.estimators.answers.training import finished, own_settings, read_material, train_in, train_one
from bertworks.estimators.data_settings import with_reading
from bertworks.estimators.default_model import default_model
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.load import load
from bertworks.estimators.one_training import TrainReport
from bertworks.estimators.several_seeds import train_seeds
from bertworks.estimators.verbs.evaluate import EvaluationReport
from bertworks.estimators.verbs.explain import ExplanationReport
from bertworks.estimators.verbs.inspect import InspectionReport
from bertworks.estimators.verbs.predict import PredictionReport
from bertworks.explain import Kind
from bertworks.explain.saving import resolved_kind
from bertworks.tasks.question_answering import Answer, QuestionAnswering
from bertworks.tokenization import Tokenizer
from bertworks.training.config import TrainingConfig
from bertworks.training.progress import Progress

_READING = ("split", "text", "pair", "label", "shuffle_seed", "limit", "on_bad_rows", "encoding", "delimiter")
_CHUNK = 512
_DIGITS = 6


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
    if resume is not None:
        usual = QuestionSettings()
        changed = [name for name, value in {"output": output, "model": model, **settings}.items() if value is not None]
        changed += [name for name, value in reading.items() if value != getattr(usual, name)] + (["seeds"] if seeds != 1 else [])
        if changed:
            raise SettingsError(f"a run is resumed with its own settings: leave out {', '.join(changed)}")
        return _resume(Path(resume), data, validation, progress)
    if data is None:
        raise SettingsError("there is nothing to train on: name a file or a data set")
    _check_names(settings)
    if not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"seeds is a number of trainings, at least 1, not {seeds!r}")
    folder = runs.free_name(Path("runs") / runs.source_name(data)) if output is None else Path(output)
    if (folder / runs.SETTINGS).exists():
        raise SettingsError(f"{folder} already holds a run: resume it (--resume), choose another folder, or delete it")
    if model is not None:
        settings["model"] = str(Path(model).absolute()) if Path(model).is_dir() else str(model)
    config = TrainingConfig(**{f.name: settings[f.name] for f in fields(TrainingConfig) if f.name in settings})
    chosen = replace(QuestionSettings(source=data, validation=validation, **reading).resolved(), validation_seed=config.seed)
    material = read_material(chosen, progress)
    if seeds == 1:
        return train_one(folder, chosen, settings, progress, material)
    if material.validation is None:
        raise SettingsError("several seeds are compared on validation data, but there are none: name some, or hold out a part")
    runs.write_settings(folder, {"seeds": {"count": seeds}, QuestionAnswerer.settings_table: settings, "data": chosen.to_dict()})
    try:
        return _train_seeds(folder, chosen, settings, seeds, progress, material)
    except BertworksError:
        runs.forget_unbegun(folder)
        raise


def _train_seeds(
    folder: Path, data: QuestionSettings, settings: Mapping[str, Any], count: int, progress: Progress | None, material: Any
) -> TrainReport:
    def train(one: Path, seed: int) -> TrainReport:
        return train_in(one, data, {**settings, "seed": seed}, progress, material)

    return train_seeds(folder, train, settings.get("seed", 0), count, progress)


def _resume(folder: Path, data: Any, validation: Any, progress: Progress | None) -> TrainReport:
    settings = runs.read_settings(folder)
    if runs.is_finished(folder):
        return finished(folder)
    chosen = QuestionSettings.from_dict(settings["data"], data, validation)
    assert isinstance(chosen, QuestionSettings)
    material = read_material(chosen, progress)
    if "seeds" in settings:
        return _train_seeds(folder, chosen, settings[QuestionAnswerer.settings_table], settings["seeds"]["count"], progress, material)
    return train_one(folder, chosen, own_settings(settings), progress, material, resume=True)


def _check_names(settings: Mapping[str, Any]) -> None:
    """Raises `SettingsError` for an argument that does not exist, before any data are read."""
    own = [name for name in QuestionAnswerer._own_names() if name not in ("output", "progress")]
    known = [*own, *(f.name for f in fields(TrainingConfig))]
    for name in settings:
        if name not in known:
            hint = nearest(name, [*known, *_READING])
            raise SettingsError(f"train has no option '{name}' for the task 'answers'.{hint or ' Leave it out'}")


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

    found = answerer.assess(read.examples, mistakes=mistakes, results=results is not None, progress=count)
    if results is not None:
        write_table(pa.Table.from_pylist(found.results), results)
    seen, seconds = with_reading(found.accounting, read.accounting), time.perf_counter() - started
    return EvaluationReport("f1", found.metrics, seen, describe(read), found.mistakes, seconds)


# ---- prediction


@dataclass(frozen=True)
class AnswerPrediction:
    """The answer to one question."""

    question: str
    answer: Answer
    candidates: tuple[Answer, ...] = ()
    """The next best, where they were asked for."""
    id: str | None = None

    @property
    def line(self) -> str:
        """What the command line shows: the answer, its score and the question, with tabs between them."""
        parts = [self.answer.text or "(no answer)", f"{self.answer.score:.4f}"]
        parts += [f"{each.text or '(no answer)'}={each.score:.4f}" for each in self.candidates]
        return "\t".join(" ".join(part.split()) for part in [*parts, self.question])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        out: dict[str, Any] = {} if self.id is None else {"id": self.id}
        out |= {"question": self.question, **_rounded(self.answer)}
        return out | ({"candidates": [_rounded(each) for each in self.candidates]} if self.candidates else {})


def _rounded(answer: Answer) -> dict[str, Any]:
    values = {"answer": answer.text, **{name: value for name, value in answer.to_dict().items() if name != "text"}}
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in values.items()}


def answers(
    classifier: QuestionAnswerer, rows: Sequence[Any], *, probabilities: bool = False, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[list[AnswerPrediction], Accounting]]:
    """The answers for pairs of a question and a context, some at a time; with `probabilities`, the next best ones too."""
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        examples = [row if isinstance(row, QuestionExample) else _example(row) for row in chunk]
        found, seen = classifier.predict_with_accounting(examples)
        yield [_prediction(example, candidates, probabilities) for example, candidates in zip(examples, found, strict=True)], seen
        if progress is not None:
            progress(start + len(chunk), len(rows))


def _example(row: Any) -> QuestionExample:
    if not isinstance(row, list | tuple) or len(row) != 2 or not all(isinstance(text, str) for text in row):
        raise DataError(f"this model answers questions: give a question and a context, two texts, not {row!r:.60}")
    return QuestionExample(row[0], row[1])


def _prediction(example: QuestionExample, candidates: Sequence[Answer], more: bool) -> AnswerPrediction:
    return AnswerPrediction(example.question, candidates[0], tuple(candidates[1:5]) if more else (), example.id or None)


def predict(
    model: str | Path,
    texts: Any = None,
    *,
    file: Any = None,
    output: str | Path | None = None,
    probabilities: bool = False,
    split: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionReport:
    """Answers `texts` (pairs of a question and a context) or every question of `file`, a SQuAD file or any other source.

    `output` is a table with a row for each question (id, question, answer, start, end, score, answerable), or, with the
    suffix .json, what SQuAD's official evaluations read: an object from ids to answers, "" for none; beside it
    `….no_answer.json` has the doubts that go with it where questions may have no answer. With `probabilities` the next best
    answers are told. The other arguments are those of `verbs.predict`.
    """
    if (texts is None) == (file is None):
        raise SettingsError("give either texts (question and context) or a file to predict")
    if output is not None and file is None:
        raise SettingsError("an output file needs an input file: give it as file (--file)")
    if output is not None:
        check_writable(output)
    answerer: QuestionAnswerer = load(model, device=device, precision=precision, threads=threads)
    started, rows, read = time.perf_counter(), texts, None
    if file is not None:
        reading: dict[str, Any] = {"on_bad_rows": on_bad_rows, "encoding": encoding, "delimiter": delimiter}
        read = read_questions(file, split=split, question=text, context=pair, limit=limit, require_answers=False, **reading)
        rows = read.examples
    found: list[AnswerPrediction] = []
    seen = Accounting()
    for some, accounting in answers(answerer, list(rows), probabilities=probabilities, progress=progress):
        found += some
        seen += accounting
    seen = seen if read is None else with_reading(seen, read.accounting)
    counts = Counter("an answer" if each.answer.text else "no answer" for each in found)
    seconds = time.perf_counter() - started
    if output is None:
        return PredictionReport(found, None, seen, counts, seconds=seconds)
    path, notes = _write(found, Path(output), answerer.task_)
    return PredictionReport([], path, seen, counts, notes, seconds)


def _write(found: Sequence[AnswerPrediction], path: Path, task: QuestionAnswering) -> tuple[Path, list[str]]:
    if split_suffixes(path)[1:] != (".json", ""):
        rows = [each.to_dict() for each in found]
        return write_table(pa.Table.from_pylist(rows), path), []
    repeated = [key for key, count in Counter(each.id for each in found).items() if count > 1]
    if repeated:
        raise DataError(
            f"{len(repeated):,} ids stand several times ({repeated[0]}), so that a .json of them would lose answers: write .jsonl"
        )
    write_json(path, {str(each.id): each.answer.text for each in found})
    if not task.unanswerable:
        return path, ["ids and answers, as SQuAD's official evaluations read them"]
    beside = path.with_name(f"{path.stem}.no_answer.json")
    write_json(beside, {str(each.id): 1 - each.answer.answerable for each in found})
    return path, [f"ids and answers, as SQuAD's official evaluations read them; probabilities that there is none: {beside}"]


# ---- one question


def answer(
    model: str | Path,
    question: str,
    *,
    context: str | None = None,
    file: str | Path | None = None,
    candidates: int = 1,
    encoding: str = "utf-8",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> list[Answer]:
    """The answer to one question by a context, or by all that a text `file` holds; and the next best, so many in all.

    Raises `SettingsError` where neither, or both, are given, or the model is not one for answers.
    """
    from bertworks.data.files import decode_text, read_bytes

    if (context is None) == (file is None):
        raise SettingsError("give either a context (--context) or a file that holds it (--file)")
    if candidates < 1:
        raise SettingsError(f"candidates is a number of answers, at least 1, not {candidates}")
    text = context if file is None else decode_text(read_bytes(Path(file).expanduser()), encoding, str(file))
    answerer = load(model, device=device, precision=precision, threads=threads)
    if not isinstance(answerer, QuestionAnswerer):
        raise SettingsError(f"{model} is a model for {answerer.task_.name.replace('_', ' ')}: name one for question answering")
    return answerer.candidates(question, text or "", candidates)


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
    folder = default_model() if model is None else resolve(model)
    folder = folder / "model" if (folder / "model" / "config.json").exists() else folder
    max_tokens = read_description(folder)[2].max_tokens
    encoded = QuestionAnswering(max_tokens=max_tokens).encode(read.examples, Tokenizer.load(folder), targets=True, on_bad_rows="drop")
    if progress is not None:
        progress(len(read), len(read))
    found = with_reading_of(inspect_questions(read, other), read.examples, encoded, max_tokens)
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
    path = None if output is None else Path(output)
    picture = path is not None and path.suffix.lower() in (".png", ".svg")
    chosen = resolved_kind(explanation, kind, layer, head, picture=picture)
    if path is not None:
        explanation.save(path, chosen, layer=layer, head=head)
    return ExplanationReport(explanation, chosen, layer, head, path, time.perf_counter() - started)
