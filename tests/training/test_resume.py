"""A run that is killed at any moment and resumed ends in the same bits as one that ran through."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WRITING = ["checkpoints/atomic.py", "checkpoints/leftovers.py", "checkpoints/safetensors_file.py", "training/state.py", "training/run.py"]
EVALUATING = ["inference/engine.py", "evaluation/classification.py", "training/checkpoints.py"]
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

    def __init__(self, worker: Worker, model: Path, home: Path, data: dict[str, Any], settings: dict[str, Any]) -> None:
        self.worker, self.home = worker, home
        self.command = {"model": str(model), "data": data, "settings": settings}
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
        assert answer["code"] in (0, KILLED, INTERRUPTED), answer["error"]
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

    def killed_by_the_clock(self, folder: Path, kills: int, seed: int) -> None:
        """Kills the run at random times until it was hit `kills` times, then lets it finish."""
        draws, hits = np.random.default_rng(seed), 0
        while hits < kills:
            hits += self.train(folder, kill_after=float(draws.uniform(0.02, 0.6) * self.seconds))["code"] == KILLED
            if (folder / "model").exists():
                self.train(folder)
                self.assert_same(folder)
                shutil.rmtree(folder)
        self.train(folder)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def make_runs(
    worker: Worker, tiny_bert: Path, reviews: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Runs]:
    made: dict[str, Runs] = {}

    def make(**changes: Any) -> Runs:
        name = json.dumps(changes)
        if name not in made:
            (texts, labels), (validation_texts, validation_labels) = reviews(72, longest=12), reviews(40, seed=1)
            data = {"texts": texts, "labels": labels, "validation": [validation_texts, validation_labels]}
            made[name] = Runs(worker, tiny_bert, tmp_path_factory.mktemp("runs"), data, {**SETTINGS, **changes})
        return made[name]

    return make


def test_the_run_that_is_compared_with_does_what_it_should(make_runs: Callable[..., Runs]) -> None:
    log = make_runs().whole[1]
    steps = [line["step"] for line in log if line["kind"] == "train"]
    scores = {line["step"]: line["accuracy"] for line in log if line["kind"] == "validation"}
    assert steps == sorted(set(steps))
    assert max(scores.values()) > scores[max(scores)], "the last model must not be the best, or keeping the best is not tested"
    assert max(scores) < 36, "the training must stop early, or its decision is not tested"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_killed_at_random_times(make_runs: Callable[..., Runs], tmp_path: Path, precision: str) -> None:
    runs = make_runs(precision=precision)
    runs.killed_by_the_clock(tmp_path / "run", kills=3, seed=0)
    runs.assert_same(tmp_path / "run")


@pytest.mark.parametrize("files", [WRITING, EVALUATING], ids=["writing", "evaluating"])
def test_killed_in_the_midst_of(make_runs: Callable[..., Runs], tmp_path: Path, files: list[str]) -> None:
    runs = make_runs()
    for share in (0.1, 0.35, 0.2):
        assert runs.kill_at(tmp_path / "run", share, files) == KILLED
    runs.train(tmp_path / "run")
    runs.assert_same(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_killed_at_twenty_random_times(make_runs: Callable[..., Runs], tmp_path: Path, precision: str) -> None:
    runs = make_runs(precision=precision)
    runs.killed_by_the_clock(tmp_path / "run", kills=20, seed=1)
    runs.assert_same(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("files", [WRITING, EVALUATING, []], ids=["writing", "evaluating", "anywhere"])
def test_killed_once_at_each_of_twenty_places(make_runs: Callable[..., Runs], tmp_path: Path, files: list[str]) -> None:
    runs = make_runs()
    for number, share in enumerate(np.random.default_rng(2).uniform(0, 1, 20)):
        folder = tmp_path / f"run-{number}"
        assert runs.kill_at(folder, share, files) in (KILLED, 0)
        runs.train(folder)
        runs.assert_same(folder)


def test_interrupted_by_ctrl_c(make_runs: Callable[..., Runs], tmp_path: Path) -> None:
    runs = make_runs()
    interrupted = 0
    for share in (0.5, 0.4, 0.3, 0.6):
        answer = runs.train(tmp_path / "run", interrupt_after=share * runs.seconds)
        if answer["code"] == INTERRUPTED:
            assert answer["error"].startswith("Interrupted: stopped at step ")
            assert str(tmp_path / "run") in answer["error"]
            interrupted += 1
    assert interrupted
    runs.train(tmp_path / "run")
    runs.assert_same(tmp_path / "run")


def test_a_run_may_be_moved_and_may_write_at_other_times(make_runs: Callable[..., Runs], tmp_path: Path) -> None:
    runs = make_runs()
    assert runs.kill_at(tmp_path / "here", 0.5, WRITING) == KILLED
    (tmp_path / "here").rename(tmp_path / "there")
    settings = {**runs.command["settings"], "checkpoint_minutes": 1, "checkpoint_steps": None}
    answer = runs.worker.ask({**runs.command, "output": str(tmp_path / "there"), "settings": settings})
    assert answer["code"] == 0, answer["error"]
    runs.assert_same(tmp_path / "there", "bertworks.json", "smoke.json")  # which tell of the settings


def test_a_finished_run_that_is_resumed_stays_as_it_is(make_runs: Callable[..., Runs], tmp_path: Path) -> None:
    runs = make_runs()
    shutil.copytree(runs.home / "whole", tmp_path / "run")
    before = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    runs.train(tmp_path / "run")
    runs.assert_same(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == before


def test_nothing_is_left_behind(make_runs: Callable[..., Runs]) -> None:
    folder = make_runs().home / "whole"
    steps = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert len(steps) == 3
    assert steps[0] == "best"
    assert not [path for path in folder.rglob(".*") if path.name != ".gitignore"]
