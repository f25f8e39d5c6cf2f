"""One training, run whole and in pieces, and whether both end in the same."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.checkpoints.checksums import damage

TIMES = {"tokens_per_second", "seconds_left"}
KILLED, INTERRUPTED = -9, 130
SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 12,
    "learning_rate": 0.02,
    "schedule": "constant",
    "token_budget": 120,
    "precision": "float32",
    "checkpoint_steps": 2,
    "evaluations_per_epoch": 2,
    "patience": 3,
    "log_steps": 3,
}


class Worker:
    """The process of `killed_runs`."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("killed_runs.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


class Runs:
    """Runs of one training, whole and in pieces."""

    def __init__(
        self, worker: Worker, model: Path, home: Path, data: dict[str, Any], settings: dict[str, Any], estimator: str = "TextClassifier"
    ) -> None:
        self.worker, self.home = worker, home
        self.command = {"model": str(model), "data": data, "settings": settings, "estimator": estimator}
        self._calls: dict[str, int] = {}
        self.train(home / "first")
        started = time.perf_counter()
        self.train(home / "whole")
        self.seconds = time.perf_counter() - started
        self.whole = self.result(home / "whole")
        self.assert_same(home / "first")

    def train(self, folder: Path, **how: Any) -> dict[str, Any]:
        answer = self.worker.ask({**self.command, "output": str(folder), **how})
        assert answer["code"] == 0 or how, answer["error"]
        too_early = "interrupt_after" in how and answer["error"].startswith("KeyboardInterrupt")  # the loop did not listen yet, or any more
        assert answer["code"] in (0, KILLED, INTERRUPTED) or too_early, answer["error"]
        return answer

    def kill_at(self, folder: Path, share: float, files: list[str]) -> int:
        """Kills the run at a share of the calls that a whole run makes in some files."""
        if "".join(files) not in self._calls:
            counted = self.home / f"counted-{len(self._calls)}"
            self._calls["".join(files)] = int(self.train(counted, within=files)["calls"])
        call = max(1, round(share * self._calls["".join(files)]))
        return int(self.train(folder, kill_at=call, within=files)["code"])

    @staticmethod
    def result(folder: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Hashes of the model's files, and the log without times."""
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "model").iterdir())}
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        return files, [{key: value for key, value in line.items() if key not in TIMES} for line in lines]

    def assert_same(self, folder: Path, *besides: str) -> None:
        files, log = self.result(folder)
        assert log == self.whole[1]
        assert [name for name in self.whole[0] if files[name] != self.whole[0][name]] == list(besides)

    def finish(self, folder: Path) -> None:
        """Lets the run end, and compares."""
        self.train(folder)
        self.assert_same(folder)
        shutil.rmtree(folder)


class Storm:
    """Kills runs again and again, at any moment and in the midst of a save, and sees after each kill what is left."""

    def __init__(self, runs: Runs, home: Path, seed: int) -> None:
        self.runs, self.home = runs, home
        self._draws = np.random.default_rng(seed)
        self.counts = dict.fromkeys(("kills", "while_a_checkpoint_was_written", "while_the_model_was_written", "sessions", "runs"), 0)
        self.counts |= dict.fromkeys(("checkpoints_seen", "checkpoints_lost", "checkpoints_damaged", "runs_that_ended_otherwise"), 0)

    def rage(self, kills: int, in_saves: int, kills_a_run: int = 10) -> None:
        """Until there were so many kills, and so many of them in the midst of a checkpoint's writing."""
        while not self._enough(kills, in_saves):
            folder = self.home / f"run-{self.counts['runs']}"
            newest, before = 0, self.counts["kills"]
            while self.counts["kills"] - before < kills_a_run and not self._enough(kills, in_saves):
                newest = self._session(folder, newest)
                if (folder / "model").exists():
                    break
            self.counts["runs"] += 1
            try:
                self.runs.finish(folder)
            except AssertionError:
                self.counts["runs_that_ended_otherwise"] += 1

    def _enough(self, kills: int, in_saves: int) -> bool:
        return self.counts["kills"] >= kills and self.counts["while_a_checkpoint_was_written"] >= in_saves

    def _session(self, folder: Path, newest: int) -> int:
        """Starts or resumes a run and kills it; returns the newest checkpoint that there ever was."""
        kinds: list[dict[str, Any]] = [
            {"kill_after": float(self._draws.uniform(0.02, 1.0) * self.runs.seconds)},
            {"kill_in_save": [int(self._draws.integers(3)), float(self._draws.random())]},
            {"kill_in_model": float(self._draws.uniform(0, 0.05))},
        ]
        answer = self.runs.train(folder, **kinds[self._draws.choice(3, p=[0.45, 0.45, 0.1])])
        self.counts["sessions"] += 1
        if answer["code"] != KILLED:
            return newest
        self.counts["kills"] += 1
        hidden = [path.name for path in folder.glob(".model.*")] + [path.name for path in folder.glob("checkpoints/.step-*")]
        there = {int(path.name.removeprefix("step-")): path for path in folder.glob("checkpoints/step-*")}
        newest_now = max([newest, *answer["seen"]])
        self.counts["while_the_model_was_written"] += any(name.startswith(".model.") for name in hidden)
        self.counts["while_a_checkpoint_was_written"] += any(
            name.startswith(".step-") and int(name[6:14]) not in {*there, *answer["seen"]} for name in hidden
        )
        self.counts["checkpoints_seen"] += len(set(answer["seen"]) - {newest})
        self.counts["checkpoints_damaged"] += sum(damage(path) is not None for path in there.values())
        self.counts["checkpoints_lost"] += newest_now > 0 and newest_now > max(there, default=0)
        return newest_now
