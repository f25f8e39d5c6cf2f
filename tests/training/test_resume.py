"""A run that is killed at any moment and resumed ends in the same bits as one that ran through."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.estimators.test_entities import made
from tests.training.runs_in_pieces import INTERRUPTED, KILLED, SETTINGS, Runs, Storm, Worker

WRITING = ["checkpoints/atomic.py", "checkpoints/leftovers.py", "checkpoints/safetensors_file.py", "training/state.py", "training/run.py"]
EVALUATING = ["inference/engine.py", "evaluation/classification.py", "training/checkpoints.py"]


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
    assert_nothing_lost(Storm(make_runs(precision=precision), tmp_path, seed=0), kills=3, in_saves=1)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_killed_at_thirty_random_times(make_runs: Callable[..., Runs], tmp_path: Path, precision: str) -> None:
    assert_nothing_lost(Storm(make_runs(precision=precision), tmp_path, seed=1), kills=30, in_saves=10)


def assert_nothing_lost(storm: Storm, kills: int, in_saves: int) -> None:
    storm.rage(kills, in_saves)
    assert storm.counts["checkpoints_lost"] == storm.counts["checkpoints_damaged"] == storm.counts["runs_that_ended_otherwise"] == 0
    assert storm.counts["checkpoints_seen"] > 0


@pytest.mark.parametrize("files", [WRITING, EVALUATING], ids=["writing", "evaluating"])
def test_killed_in_the_midst_of(make_runs: Callable[..., Runs], tmp_path: Path, files: list[str]) -> None:
    runs = make_runs()
    for share in (0.1, 0.35, 0.2):
        assert runs.kill_at(tmp_path / "run", share, files) == KILLED
    runs.train(tmp_path / "run")
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


def test_killed_while_transitions_are_learnt(worker: Worker, tiny_bert: Path, tmp_path: Path) -> None:
    """Long sentences, too, which are cut between the windows that a step computes in turn."""
    (words, tags), (held_words, held_tags) = made(60), made(20, seed=1)
    words, tags = ([*rows, [one for row in rows[:12] for one in row]] for rows in (words, tags))
    data = {"texts": words, "labels": tags, "validation": [held_words, held_tags]}
    settings = {**SETTINGS, "epochs": 3, "transitions": True, "max_tokens": 40}
    runs = Runs(worker, tiny_bert, tmp_path, data, settings, estimator="EntityRecognizer")
    for share in (0.3, 0.4):
        assert runs.kill_at(tmp_path / "run", share, ["checkpoints/atomic.py", "nn/tag_sequences.py"]) == KILLED
    runs.train(tmp_path / "run")
    runs.assert_same(tmp_path / "run")


def test_interrupted_by_ctrl_c(make_runs: Callable[..., Runs], tmp_path: Path) -> None:
    runs = make_runs()
    interrupted = 0
    for share in (0.5, 0.4, 0.3, 0.2, 0.1, 0.05):  # of the time that a run took: how long it takes now depends on the machine's load
        folder = tmp_path / f"run-{share}"
        answer = runs.train(folder, interrupt_after=share * runs.seconds)
        if answer["code"] == INTERRUPTED:
            assert answer["error"].startswith("Interrupted: stopped at step ")
            assert str(folder) in answer["error"]
            runs.train(folder)
            runs.assert_same(folder)
            interrupted += 1
        if interrupted == 2:
            break
    assert interrupted


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
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "config.toml", "events", "log.jsonl", "model"]
    for checkpoint in (folder / "checkpoints").iterdir():
        names = ["best.safetensors", "checksums.json", "model.safetensors", "optimizer.safetensors", "state.json"]
        assert sorted(path.name for path in checkpoint.iterdir()) == names
    assert len(list((folder / "checkpoints").iterdir())) == 2
    assert not [path for path in folder.rglob(".*") if path.name != ".gitignore"]
