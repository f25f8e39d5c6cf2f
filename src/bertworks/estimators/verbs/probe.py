"""`probe`: what an encoder has learnt, by a fixed set of small tasks with fixed settings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bertworks.architectures import read_description
from bertworks.checkpoints.files import read_json, write_json
from bertworks.checkpoints.hub import resolve
from bertworks.checkpoints.smoke import fingerprint
from bertworks.errors import BertworksError, DataError, Interrupted, SettingsError
from bertworks.estimators import runs
from bertworks.estimators.probing.data import TaskFiles, TaskRows, find_files, read_rows
from bertworks.estimators.probing.tasks import PUBLISHED, SETTINGS, SHAPES, ProbeTask, chosen_tasks
from bertworks.estimators.probing.trials import Trial, classify_features, fine_tune, fingerprint_of_shape, forget, write_twin
from bertworks.estimators.train_report import told_of
from bertworks.nn.machine import choose
from bertworks.training.progress import Progress

REPORT = "probe.json"
_RESULTS, _WORKING = "results", "working"
FLOOR = "no pretraining"
_DIGITS = 16


@dataclass(frozen=True)
class ProbeResult:
    """What one training reached."""

    task: str
    seed: int
    floor: bool
    """Whether it began from random weights."""
    metrics: Mapping[str, Any]
    """Of the rows that were evaluated on; shares lie in [0, 1]."""
    about: Mapping[str, Any]
    """`training` and `evaluation`, the accounting of the rows; `precision` and `seconds`."""


@dataclass(frozen=True)
class ProbeReport:
    """What a probe found."""

    folder: Path
    model: str
    shape: str
    """Layers and hidden size, as in 4/256."""
    tasks: list[ProbeTask]
    """Those whose data are there."""
    skipped: dict[str, str]
    """Tasks whose data are not there, and what is missing."""
    results: list[ProbeResult]
    limit: int | None = None

    def values(self, task: ProbeTask, metric: str, *, floor: bool) -> list[float]:
        """The metric of each seed."""
        found = (r for r in self.results if r.task == task.name and r.floor is floor)
        return [float(result.metrics[metric]) for result in found]

    def table(self) -> list[list[str]]:
        """The figures in percent, one row a task and metric, the names of the columns first: mean ± standard deviation over the
        seeds (n - 1 in the denominator), beside what others published."""
        has_floor = any(result.floor for result in self.results)
        head = ["task", "metric", f"{self.model} ({self.shape})", *([FLOOR] if has_floor else [])]
        rows = [[*head, *(f"{name} ({SHAPES[name]})" for name in PUBLISHED)]]
        for task in self.tasks:
            for metric in task.metrics:
                own = [_spread(self.values(task, metric, floor=floor)) for floor in ([False, True] if has_floor else [False])]
                others = [figures.get((task.name, metric)) for figures in PUBLISHED.values()]
                rows.append([task.name, metric.replace("_", " "), *own, *("–" if x is None else f"{x:.1f}" for x in others)])
        return rows

    def label_table(self) -> list[list[str]]:
        """Precision, recall and F1 of each label by the frozen features, in the mean over the seeds; empty where they were not probed."""
        reports = [r.metrics["per_class"] for r in self.results if "per_class" in r.metrics and not r.floor]
        if not reports:
            return []
        names = ("precision", "recall", "f1")
        rows = [
            [str(of_label[0]["label"]), *(f"{mean(row[name] for row in of_label):.4f}" for name in names), f"{of_label[0]['support']:,}"]
            for of_label in zip(*reports, strict=True)
        ]
        return [["label", *names, "rows"], *rows]

    @property
    def lines(self) -> list[str]:
        """What has to be known beside the table."""
        lines = [f"skipped: {name}: {why}" for name, why in self.skipped.items()]
        passes = ", ".join(f"{task.name} {task.epochs:g}" for task in self.tasks if task.epochs is not None)
        if passes:
            lines.append(
                f"fine-tuned alike: batch size {SETTINGS['batch_size']}, learning rate {SETTINGS['learning_rate']:g}, epochs: {passes}; "
                "the weights of the last step, nothing chosen on the rows that are evaluated on"
            )
        if self.limit is not None:
            lines.append(f"at most {self.limit:,} training rows a task: no figure to report")
        lines.append(
            "BERT-Tiny to BERT-Medium: Turc et al. 2019, on GLUE's TEST sets, each figure with the best of 20 settings; the others: the "
            "dev part of your data, with one setting. They do not compare closely"
        )
        return lines + self._verdict()

    def _verdict(self) -> list[str]:
        """By which metrics the model is better than random weights by more than the sum of both standard deviations."""
        better: list[str] = []
        not_better: list[str] = []
        for task in self.tasks:
            for metric in task.metrics:
                own, floor = (self.values(task, metric, floor=is_floor) for is_floor in (False, True))
                if len(own) > 1 and len(floor) > 1:
                    clear = mean(own) - mean(floor) > stdev(own) + stdev(floor)
                    (better if clear else not_better).append(f"{task.name} {metric.replace('_', ' ')}")
        out = [f"better than {FLOOR} by more than the sum of both sd: {', '.join(better)}"] if better else []
        return out + ([f"not better than {FLOOR} by more than the sum of both sd: {', '.join(not_better)}"] if not_better else [])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as probe.json and `--json` have them; shares in [0, 1], published figures in percent."""
        summary = []
        for task in self.tasks:
            for metric in task.metrics:
                row: dict[str, Any] = {"task": task.name, "metric": metric}
                for name, floor in (("model", False), ("no_pretraining", True)):
                    values = self.values(task, metric, floor=floor)
                    if values:
                        row[name] = {"mean": mean(values), "standard_deviation": stdev(values) if len(values) > 1 else None}
                        row[name]["values"] = values
                row["published_test_percent"] = {n: f[task.name, metric] for n, f in PUBLISHED.items() if (task.name, metric) in f}
                summary.append(row)
        results = [{"task": r.task, "seed": r.seed, "floor": r.floor, "metrics": r.metrics, **r.about} for r in self.results]
        facts = {"folder": str(self.folder), "model": self.model, "shape": self.shape, "settings": dict(SETTINGS), "limit": self.limit}
        epochs = {task.name: task.epochs for task in self.tasks}
        return {**facts, "epochs": epochs, "skipped": self.skipped, "lines": self.lines, "summary": summary, "results": results}


def probe(
    model: str | Path | None = None,
    data: str | Path | None = None,
    *,
    tasks: Sequence[str] | None = None,
    seeds: int = 1,
    limit: int | None = None,
    floor: bool = True,
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> ProbeReport:
    """Fine-tunes a model on small tasks with settings that are the same for every model, with the seeds 0 … `seeds` - 1.

    `model` is a model folder, a run folder, a hub name, or None for the default encoder. `data` is a folder with the
    tasks' files (`probing/data.py` says how they may stand there); of `tasks`, by default all, those whose files are not
    there are skipped and named. With `floor`, the same shape with random weights is trained in the same way: what it
    reaches was not learnt in pretraining. `limit` takes so many training rows, to try things out.

    Every finished training is kept in the folder `output`, by default `runs/<name of the model>-probe`, and read by the
    next call, which may ask for more seeds or tasks. The floor depends on no weights: its files in `results` hold for every model of
    the same shape and tokenizer, and may be copied from one probe's folder to another's.

    Raises `SettingsError` for an unknown task or a folder of another probe, `DataError` where no task's data are there or
    those of a task that was asked for are not, `CheckpointError` for the model, `Interrupted` after Ctrl-C.
    """
    if not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"seeds is a number of trainings of each task, at least 1, not {seeds!r}")
    if not data:
        raise SettingsError("there is nothing to probe with: name the folder with the tasks' files (SST-2, MRPC …) as data")
    wanted = chosen_tasks(tasks)
    encoder = resolve(model)
    encoder = encoder / "model" if (encoder / "model" / "config.json").exists() else encoder
    spec = read_description(encoder)[2]
    files, skipped = _files(Path(data), wanted, asked=bool(tasks))
    name = _name(model, encoder)
    folder = Path(output) if output is not None else Path("runs") / f"{name}-probe"
    identity = {"model": fingerprint(encoder)[:_DIGITS], "limit": limit}
    _open_folder(folder, {"kind": "probe", **identity}, data)
    machine = {"device": device, "precision": precision, "threads": threads}
    study = _Probe(folder, identity, encoder, machine, progress or Progress())
    results: list[ProbeResult] = []
    present = [task for task in wanted if task.name in files]
    total = len(present) * seeds * (1 + floor)
    try:
        for task, seed, is_floor in product(present, range(seeds), (False, True)[: 1 + floor]):
            results.append(study.result(task, files[task.name], seed, is_floor, f"{len(results) + 1} of {total}"))
    except BertworksError:
        if not any((folder / part).exists() for part in (_RESULTS, _WORKING)):
            runs.forget_unbegun(folder)
        raise
    report = ProbeReport(folder, name, f"{len(spec.layers)}/{spec.hidden}", present, skipped, results, limit)
    write_json(folder / REPORT, {k: v for k, v in report.to_dict().items() if k != "folder"})
    return report


def _name(model: str | Path | None, encoder: Path) -> str:
    """What the model is called: by its folder, or that of its run, or by its name on the hub."""
    named = encoder if model is None or Path(model).exists() else Path(model)
    return runs.source_name(named.parent if named.name == "model" else named)


def _files(folder: Path, tasks: Sequence[ProbeTask], *, asked: bool) -> tuple[dict[str, TaskFiles], dict[str, str]]:
    """The files of the tasks that have some, and what is missing for the others."""
    files: dict[str, TaskFiles] = {}
    skipped: dict[str, str] = {}
    for task in tasks:
        found = find_files(folder, task)
        if isinstance(found, str):
            skipped[task.name] = found
        else:
            files[task.name] = found
    if skipped and (asked or not files):
        raise DataError("; ".join(f"{name}: {why}" for name, why in skipped.items()))
    return files, skipped


def _open_folder(folder: Path, study: Mapping[str, Any], data: str | Path) -> None:
    """Begins the study's folder, or makes sure that it goes on with the same. Raises `SettingsError` where it holds something else."""
    wanted = runs.plain_settings({"study": study})
    if (folder / runs.SETTINGS).exists():
        begun = runs.read_settings(folder).get("study", {})
        if begun.get("kind") != "probe":
            raise SettingsError(f"{folder} already holds a run: choose another folder")
        odd = [name for name in study if begun.get(name) != wanted["study"].get(name)]
        if odd:
            raise SettingsError(f"{folder} holds the probe of another {' and '.join(odd)}: choose another folder")
        return
    runs.write_settings(folder, {"study": study, "data": {"source": str(Path(data).absolute())}})


class _Probe:
    """The trainings of a probe, each read where it is finished."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], encoder: Path, machine: Mapping[str, Any], progress: Progress) -> None:
        self.folder, self.identity, self.encoder, self.machine, self.progress = folder, dict(identity), encoder, machine, progress
        self._shape = fingerprint_of_shape(encoder)[:_DIGITS]
        self._rows: dict[tuple[str, int], TaskRows] = {}

    def result(self, task: ProbeTask, files: TaskFiles, seed: int, floor: bool, place: str) -> ProbeResult:
        """One training. Raises `SettingsError` where the folder has it with other rows or settings."""
        rows = self._read(task, files, seed)
        name = f"{task.name}-seed-{seed}{'-floor' if floor else ''}"
        kept = self.folder / _RESULTS / f"{name}.json"
        working = self.folder / _WORKING / name
        trained = task.epochs is not None
        made_of = {
            **({"shape": self._shape, "limit": self.identity["limit"]} if floor else self.identity),
            "rows": rows.fingerprint(),
            "epochs": task.epochs,
            **(SETTINGS if trained else {}),
            "precision": choose(**self.machine, training=trained).precision,
        }
        if kept.exists():
            stored = read_json(kept)
            was = {**stored["about"], **stored.get("made_of", {})}  # the precision stood in `about` only
            if floor and was.get("model") == self.identity["model"]:
                was["shape"] = self._shape  # floors were told by the model whose shape they have
            odd = [key for key, value in made_of.items() if was.get(key) != value]
            if odd:
                raise SettingsError(f"{kept} was made with other {', '.join(odd)}: choose another folder, or delete the file")
            forget(working, _twin_of(working))  # where a kill came between the result and this
            return ProbeResult(task.name, seed, floor, stored["metrics"], stored["about"])
        told = f"{task.name}, seed {seed}{f', {FLOOR}' if floor else ''}"
        self.progress.facts("probe", [f"{told} ({place})"])
        found = self._train(task, rows, seed, floor, working)
        about = {key: found.pop(key) for key in ("training", "evaluation", "precision", "seconds")}
        write_json(kept, {"made_of": made_of, "metrics": found, "about": about})
        forget(working, _twin_of(working))
        figures = ", ".join(f"{metric.replace('_', ' ')} {found[metric]:.4f}" for metric in task.metrics)
        self.progress.facts("", [f"{figures} ({about['seconds']:,.0f} s)"])
        return ProbeResult(task.name, seed, floor, found, about)

    def _read(self, task: ProbeTask, files: TaskFiles, seed: int) -> TaskRows:
        draw = seed if task.epochs is None else 0  # the features' few rows are drawn anew with every seed
        if (task.name, draw) not in self._rows:
            self._rows = {(task.name, draw): read_rows(files, task, limit=self.identity["limit"], draw=draw)}
        return self._rows[task.name, draw]

    def _train(self, task: ProbeTask, rows: TaskRows, seed: int, floor: bool, working: Path) -> dict[str, Any]:
        encoder = write_twin(self.encoder, _twin_of(working), seed) if floor else self.encoder
        trial = Trial(task, encoder, seed, self.machine)
        with _telling_how_to_go_on(self.folder), told_of(self.folder, working):
            return classify_features(trial, rows) if task.epochs is None else fine_tune(trial, rows, working, self.progress)


def _twin_of(working: Path) -> Path:
    """Where the encoder with random weights stands while it is trained from."""
    return working.with_name(f"{working.name}-twin")


@contextmanager
def _telling_how_to_go_on(folder: Path) -> Iterator[None]:
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stopped:
        raise Interrupted(f"stopped; what is finished is kept in {folder}, and the same command goes on") from stopped


def _spread(values: Sequence[float]) -> str:
    """Percent, with the standard deviation of several.

    >>> _spread([0.5]), _spread([0.5, 0.75])
    ('50.00', '62.50 ± 17.68')
    """
    deviation = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{deviation}" if values else "–"
