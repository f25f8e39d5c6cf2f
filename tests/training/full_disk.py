"""Trains on a disk that is full, or read-only, at the worst moments: started by test_full_disk on small file systems of its own.

`python full_disk.py HOME`, where HOME/disk is a file system of 3 MiB and HOME/events one of 4 KiB, answers with a line of JSON
for each case: the error, what is left in the folder, whether the training could go on and ended in the same.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from bertworks import TextClassifier
from bertworks.checkpoints import atomic
from bertworks.checkpoints.checksums import damage
from bertworks.errors import BertworksError
from bertworks.training.progress import Progress, StepReport
from tests.conftest import make_reviews, write_tiny_bert

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "learning_rate": 0.01, "precision": "float32"}
SETTINGS |= {"log_steps": 1, "checkpoint_steps": 2}
AT_THE_END = -1


class Watcher(Progress):
    """Does something at a step, or at the end, and keeps the messages."""

    def __init__(self, at: int | None = None, act: Callable[[], None] = lambda: None) -> None:
        self._at, self._act, self.messages = at, act, list[str]()
        self.begun = False

    def start(self, steps: int, done: int) -> None:
        self.begun = True

    def step(self, report: StepReport) -> None:
        if report.step == self._at:
            self._act()

    def finish(self) -> None:
        if self._at == AT_THE_END:
            self._act()

    def message(self, text: str) -> None:
        self.messages.append(text)


class Cases:
    def __init__(self, home: Path) -> None:
        self.disk, self.events = home / "disk", home / "events"
        self.filler = self.disk / "filler"
        self.bert = write_tiny_bert(home / "bert")
        self.train(home / "whole", Watcher())
        self.whole = (home / "whole" / "model" / "model.safetensors").read_bytes()

    def train(self, run: Path, watcher: Watcher) -> None:
        texts, labels = make_reviews(48)
        TextClassifier(self.bert, output=run, progress=watcher, **SETTINGS).fit(
            texts, labels, validation=make_reviews(20, seed=1), resume=True
        )

    def fill(self, leaving: int) -> None:
        free = os.statvfs(self.disk)
        with self.filler.open("wb") as stream:
            stream.write(b"0" * (free.f_bavail * free.f_frsize - leaving))

    def attempt(self, case: str, watcher: Watcher) -> None:
        """Trains, tells what happened and what is left, then makes room and goes on, where it can."""
        run = self.disk / "run"
        told: dict[str, Any] = {"case": case, "error": None}
        try:
            self.train(run, watcher)
        except BertworksError as error:
            told |= {"error": type(error).__name__, "message": str(error)}
        told["checkpoints"] = sorted(path.name for path in run.glob("checkpoints/step-*"))
        told["damaged"] = [path.name for path in run.glob("checkpoints/step-*") if damage(path)]
        told["hidden"] = [path.name for path in run.rglob(".*") if path.name != ".gitignore"]
        if os.access(self.disk, os.W_OK):
            self.filler.unlink(missing_ok=True)
            self.train(run, Watcher())
            told["same"] = (run / "model" / "model.safetensors").read_bytes() == self.whole
            shutil.rmtree(run)
        print(json.dumps({**told, "begun": watcher.begun, "messages": watcher.messages}), flush=True)  # noqa: T201 - this is the protocol


def main(home: Path) -> None:
    torch.set_num_threads(1)
    cases = Cases(home)
    cases.fill(100_000)
    cases.attempt("no room at the beginning", Watcher())
    cases.fill(700_000)
    cases.attempt("little room at the beginning", Watcher())
    cases.attempt("checkpoint", Watcher(3, lambda: cases.fill(300_000)))
    cases.attempt("log", Watcher(3, lambda: cases.fill(0)))
    cases.attempt("finished model", Watcher(AT_THE_END, lambda: cases.fill(50_000)))
    real, atomic.require_space = atomic.require_space, lambda path, needed: None
    cases.attempt("checkpoint, unforeseen", Watcher(3, lambda: cases.fill(300_000)))
    cases.attempt("finished model, unforeseen", Watcher(AT_THE_END, lambda: cases.fill(50_000)))
    atomic.require_space = real
    (cases.events / "filler").write_bytes(b"0" * 4096)
    (cases.disk / "run").mkdir()
    (cases.disk / "run" / "events").symlink_to(cases.events)
    cases.attempt("events", Watcher())
    with suppress(BertworksError):
        cases.train(cases.disk / "run", Watcher(3, lambda: cases.fill(0)))
    subprocess.run(["mount", "-o", "remount,ro", str(cases.disk)], check=True)
    cases.attempt("read-only", Watcher())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
