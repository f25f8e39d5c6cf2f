"""The speedrun: how soon a small encoder reaches a fixed masked-LM loss.

    python -m benchmarks.speedrun run 02-packed --seeds 0 1 2     # measures a record; its results go on where they stopped
    python -m benchmarks.speedrun run                             # what `make speedrun` does: the current record once more, beside
                                                                  # its stored results, which stay as they are
    python -m benchmarks.speedrun board                           # README.md from the results

A record is a TOML file in `records/`: a configuration of `bertworks pretrain` with a table [record] that says what it
changes. It trains four layers of 256, however they are built: fewer reach this target sooner (LAB.md), and nobody wants them.
The clock runs while the model is trained, not while text is prepared or the held-out tokens are judged, on the two
cores of one machine with nothing else to do. A record counts where the mean loss of its three seeds is no more than the
target, and its time is their mean. The current record is the fastest that counts.
"""

import argparse
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import machine
from benchmarks.speedrun import plain
from benchmarks.speedrun.task import HELD_OUT_TOKENS, LENGTH, TARGET, VOCABULARY, Course
from bertworks.estimators.pretraining.run import pretrain
from bertworks.inference.engine import evaluate
from bertworks.inference.models import load_model
from bertworks.nn.machine import choose
from bertworks.tasks.pretraining import Pretraining
from bertworks.training.progress import Progress, StepReport

HERE = Path(__file__).parent
SEEDS = 3
"""Trainings of which a record is the mean."""
RECORDS, RESULTS, BOARD = HERE / "records", HERE / "results", HERE / "README.md"


class Clock(Progress):
    """Times a training from its start to its last step."""

    def __init__(self) -> None:
        self._begun = self.seconds = 0.0
        self.tokens = 0

    def start(self, steps: int, done: int) -> None:
        self._begun = time.perf_counter()

    def step(self, report: StepReport) -> None:
        self.seconds, self.tokens = time.perf_counter() - self._begun, report.tokens


def names() -> list[str]:
    """All records, the oldest first."""
    return sorted(path.stem for path in RECORDS.glob("*.toml"))


def current() -> str:
    """The fastest of the records whose mean loss of three seeds met the target; the newest while there is none."""
    counted = {name: runs for name in names() if len(runs := result(name)["runs"]) >= SEEDS}
    met = [(_mean(runs, "seconds"), name) for name, runs in counted.items() if _mean(runs, "loss") <= TARGET]
    return min(met)[1] if met else names()[-1]


def _mean(runs: Iterable[dict[str, Any]], key: str) -> float:
    return mean(run[key] for run in runs)


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((RECORDS / f"{name}.toml").read_text(encoding="utf-8"))


def run(course: Course, name: str, seed: int, threads: int, steps: int | None = None) -> dict[str, Any]:
    """One training of a record."""
    recipe = read(name)
    about = recipe.pop("record")
    if steps is not None:
        recipe["training"]["steps"] = steps
    before = machine.load()
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "run"
        if about.get("by") == "transformers":
            output.mkdir()
            timed = plain.train(course, recipe, seed, output)
        else:
            clock = Clock()
            recipe["corpus"] = {"max_tokens": LENGTH, **recipe.get("corpus", {}), "path": str(course.folder / "corpus")}
            recipe["training"] |= {"seed": seed, "threads": threads, "evaluations": 1, "checkpoint_minutes": 1000.0}
            pretrain(recipe, output=output, progress=clock)
            timed = {"seconds": clock.seconds, "tokens": clock.tokens}
        loss = judge(course, output / "model")
    told = {"steps": recipe["training"]["steps"], "commit": machine.commit(), "load_before": before}
    return {"record": name, "seed": seed, **timed, "loss": loss, **told}


def judge(course: Course, folder: Path) -> float:
    """The loss on the held-out tokens, in float32."""
    objective = course.objective(0)
    loaded = load_model(folder, {objective.name: objective.head})
    chosen = choose("cpu", "float32", training=False)
    loaded.model.to(chosen.torch_device).compute_in(chosen.dtype)
    task = Pretraining([objective])
    metrics = evaluate(loaded.model, task, course.held_out, device=chosen.torch_device, token_budget=chosen.token_budget)
    return float(metrics.compute()["masked_lm_loss"])


# ---- results


def result(name: str) -> dict[str, Any]:
    return machine.read_result(RESULTS, name) or {"record": name, "runs": []}


def board(rows: Iterable[dict[str, Any]]) -> str:
    """The table of all records, as Markdown."""
    lines = [
        "# Speedrun",
        "",
        (
            f"How soon a masked-LM loss of {TARGET:g} on {HELD_OUT_TOKENS:,} held-out tokens is reached: Wikipedia text, a vocabulary of "
            f"{VOCABULARY:,}, sequences of up to {LENGTH} tokens, two processor cores. The rules stand in `__main__.py`; this "
            "file is written by `python -m benchmarks.speedrun board`."
        ),
        "",
        "| record | changed | minutes | loss | seeds | tokens | machine | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first: float | None = None
    for row in rows:
        runs = row["runs"]
        if not runs:
            continue
        seconds, losses = [r["seconds"] for r in runs], [r["loss"] for r in runs]
        first = first or mean(seconds)
        factor = "" if mean(seconds) == first else f" ({first / mean(seconds):.1f}×)"
        spread = f" ± {stdev(losses):.3f}" if len(losses) > 1 else ""
        missed = "" if mean(losses) <= TARGET else " (missed)"
        cells = [row["record"], read(row["record"])["record"]["changed"], f"{mean(seconds) / 60:.1f}{factor}"]
        cells += [
            f"{mean(losses):.3f}{spread}{missed}",
            str(len(runs)),
            f"{mean(r['tokens'] for r in runs) / 1e6:.2f} M",
            row["machine"]["cpu"],
            ", ".join(dict.fromkeys(r.get("commit") or "–" for r in runs)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def told(name: str, runs: Sequence[dict[str, Any]], about: str) -> str:
    """One line on some runs of a record: their means."""
    if not runs:
        return f"{name}, {about}: none"
    minutes, loss = _mean(runs, "seconds") / 60, _mean(runs, "loss")
    goal = "reaches" if loss <= TARGET else "misses"
    return f"{name}, {about}: {minutes:.2f} min, loss {loss:.4f} ({goal} {TARGET:g}), {_mean(runs, 'tokens'):,.0f} tokens"


def repeat(course: Course, seeds: Sequence[int], threads: int, steps: int | None = None) -> None:
    """Trains the current record, whatever results there are, and prints what comes of it beside these; stores nothing."""
    name = current()
    made = []
    for seed in seeds:
        made.append(run(course, name, seed, threads, steps))
        machine.log(told(name, made[-1:], f"now, seed {seed}"))
    stored = result(name)["runs"]
    machine.log(told(name, stored, f"stored, seeds {', '.join(str(r['seed']) for r in stored)}" if stored else "stored"))


def measure(course: Course, name: str, seeds: Sequence[int], threads: int) -> None:
    """Trains a record with those seeds that have no result yet, and stores each."""
    stored = result(name)
    for seed in seeds:
        if any(r["seed"] == seed for r in stored["runs"]):
            machine.log(f"{name} seed {seed}: there is a result already")
            continue
        stored["runs"].append(run(course, name, seed, threads))
        machine.write_result(RESULTS, name, {**stored, "machine": machine.environment()})
        machine.log(told(name, stored["runs"][-1:], f"seed {seed}"))
    BOARD.write_text(board(result(name) for name in names()), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "board"))
    parser.add_argument("record", nargs="?", help="name of a record to measure; without, the current record is run and nothing stored")
    parser.add_argument("--text", type=Path, default=Path("../shared/data/corpus/wikipedia.txt.xz"))
    parser.add_argument("--folder", type=Path, default=Path("runs/speedrun"), help="where the prepared text is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="try another number of steps; writes no result")
    arguments = parser.parse_args()
    if arguments.verb == "board":
        BOARD.write_text(board(result(name) for name in names()), encoding="utf-8")
        return
    course = Course.prepare(arguments.text, arguments.folder)
    if arguments.record is None:
        repeat(course, arguments.seeds, arguments.threads, arguments.steps)
    elif arguments.steps is None:
        measure(course, arguments.record, arguments.seeds, arguments.threads)
    else:
        for seed in arguments.seeds:
            made = run(course, arguments.record, seed, arguments.threads, arguments.steps)
            machine.log(told(arguments.record, [made], f"{arguments.steps} steps, seed {seed}"))


if __name__ == "__main__":
    main()
