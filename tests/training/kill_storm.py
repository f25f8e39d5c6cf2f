"""Kills a training hundreds of times, and counts what was lost: `python -m tests.training.kill_storm`.

Each run is killed with SIGKILL up to ten times, nearly half of them at a random time, as many at a random moment of the
writing of a checkpoint, the others while the finished model is written, and resumed after each. When it has ended, its
model (hashes of all files) and its log (without times) must be those of a run that nobody disturbed. After each kill
every checkpoint in the folder must be whole, and the newest that was ever seen complete must still be there.
Single-threaded, with a model of two layers; takes some minutes.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import machine
from tests.conftest import make_reviews, write_tiny_bert
from tests.training.runs_in_pieces import SETTINGS, Runs, Storm, Worker


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.training.kill_storm", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--in-saves", type=int, default=50, help="at least so many of them while a checkpoint is written")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=machine.RESULTS)
    arguments = parser.parse_args()
    facts = machine.facts(gemm=False)
    with tempfile.TemporaryDirectory() as home:
        (texts, labels), (validation_texts, validation_labels) = make_reviews(72, longest=12), make_reviews(40, seed=1)
        data = {"texts": texts, "labels": labels, "validation": [validation_texts, validation_labels]}
        settings = {**SETTINGS, "precision": arguments.precision}
        worker = Worker()
        runs = Runs(worker, write_tiny_bert(Path(home) / "bert"), Path(home) / "whole", data, settings)
        storm = Storm(runs, Path(home), arguments.seed)
        storm.rage(arguments.kills, arguments.in_saves)
        worker.close()
    given = {"kills": arguments.kills, "in_saves": arguments.in_saves, "seed": arguments.seed}
    command = machine.command_line("kill_storm", [], given).replace("benchmarks.", "tests.training.")
    result = {"command": command, "settings": settings, "counts": storm.counts, "machine": {**facts, "threads": 1}}
    machine.log(f"{storm.counts}")
    machine.log(f"written: {machine.write_result(arguments.results, 'kill_storm', result).name}")


if __name__ == "__main__":
    main()
