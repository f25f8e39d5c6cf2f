"""Ctrl-C in every phase, and errors in the thread that prepares batches: an answer at once, and a sound run folder."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import TextClassifier
from bertworks.checkpoints import files
from bertworks.checkpoints.checksums import damage
from bertworks.data.sampler import Sampler
from bertworks.errors import Interrupted
from bertworks.estimators import classifier, model_folder, task_estimator
from bertworks.inference import engine
from bertworks.nn import inputs
from bertworks.training import steps
from bertworks.training.checkpoints import Checkpoints
from bertworks.training.run import RunFolder

SETTINGS: dict[str, Any] = {"batch_size": 4, "log_steps": 1, "checkpoint_steps": 2, "material": {}}


@pytest.fixture(scope="module")
def problem(make_problem: Callable[..., Any]) -> Any:
    """Six steps, with the weights of a training of them that nobody disturbed."""
    problem = make_problem(rows=24)
    model = problem.load().model
    problem.train(model, **SETTINGS)
    problem.undisturbed = model.arrays()
    return problem


def resumed_is_the_same(problem: Any, run: Path, recorder: Any) -> int:
    """Resumes a run, which must end like one that nobody disturbed; returns the step at which it went on."""
    begun = RunFolder(run).latest_checkpoint() is not None
    model = problem.load(seed=4 if begun else 0).model
    problem.train(model, run=RunFolder(run), progress=recorder, **SETTINGS)
    for name, values in problem.undisturbed.items():
        np.testing.assert_array_equal(model.arrays()[name], values)
    return int(recorder.started[1])


def press_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at_call: int, presses: int) -> None:
    """Presses Ctrl-C in the midst of a function's call number `at_call` (from 1)."""
    real, calls = getattr(owner, name), []

    def pressed(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == at_call:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, pressed)


@pytest.mark.parametrize(
    ("owner", "name", "at_call", "saved"),
    [
        (files, "write_safetensors", 2, 3),  # of the first checkpoint, the optimizer's state: the step after is made, and saved
        (os, "link", 1, 6),  # in the last checkpoint: there is nothing left to interrupt
        (engine, "model_inputs", 1, 6),
        (Checkpoints, "log", 3, 3),
        (RunFolder, "drop_checkpoints", 1, 3),
    ],
)
def test_once_is_heard_when_the_step_is_done(
    problem: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Any, name: str, at_call: int, saved: int
) -> None:
    press_in(monkeypatch, owner, name, at_call, presses=1)
    run = RunFolder.create(tmp_path / "run", {})
    if saved < 6:
        with pytest.raises(Interrupted, match=f"stopped at step {saved} of 6 and saved"):
            problem.train(problem.load().model, run=run, **SETTINGS)
    else:
        problem.train(problem.load().model, run=run, **SETTINGS)
    monkeypatch.undo()
    assert resumed_is_the_same(problem, tmp_path / "run", recorder) == saved


@pytest.mark.parametrize(
    ("owner", "name", "at_call", "saved"),
    [
        (files, "write_safetensors", 2, 0),
        (files, "write_safetensors", 4, 2),
        (os, "rename", 3, 2),  # every byte of the second checkpoint is on the disk
        (os, "rename", 6, 4),  # the third checkpoint is complete, and not yet at its place
        (os, "link", 1, 4),
        (engine, "model_inputs", 1, 4),
        (Checkpoints, "log", 3, 2),
        (RunFolder, "drop_checkpoints", 2, 4),
    ],
)
def test_twice_stops_at_once_and_leaves_whole_checkpoints_only(
    problem: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Any, name: str, at_call: int, saved: int
) -> None:
    press_in(monkeypatch, owner, name, at_call, presses=2)
    with pytest.raises(KeyboardInterrupt):
        problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), **SETTINGS)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not list((tmp_path / "run").rglob(".*"))
    assert not (tmp_path / "run" / "run.lock").exists()
    assert [damage(path) for path in RunFolder(tmp_path / "run").checkpoints()] == [None] * (saved // 2)
    assert resumed_is_the_same(problem, tmp_path / "run", recorder) == saved


@pytest.mark.parametrize(
    ("owner", "name", "left"),
    [
        (classifier, "_encode", []),
        (task_estimator, "fingerprint_of_data", []),
        (model_folder, "save_model", ["checkpoints", "config.toml", "events", "log.jsonl"]),
        (model_folder, "write_smoke", ["checkpoints", "config.toml", "events", "log.jsonl"]),
    ],
)
def test_before_and_after_the_training(
    tiny_bert: Path, reviews: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Any, name: str, left: list[str]
) -> None:
    """While texts are encoded, and while the finished model is written."""

    def fit(run: Path) -> dict[str, bytes]:
        settings: dict[str, Any] = {"epochs": 1, "batch_size": 12, "precision": "float32", "progress": False}
        TextClassifier(tiny_bert, output=run, **settings).fit(*reviews(24), validation=reviews(12, seed=1), resume=True)
        return {path.name: path.read_bytes() for path in sorted((run / "model").iterdir())}

    press_in(monkeypatch, owner, name, at_call=1, presses=1)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").glob("*")) == left
    monkeypatch.undo()
    assert fit(tmp_path / "run") == fit(tmp_path / "whole")


# ---- the thread that prepares batches


@pytest.mark.parametrize("owner", ["sampler", "inputs"])
def test_an_error_in_the_thread_says_at_which_step_and_what_is_kept(
    problem: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: str
) -> None:
    if owner == "sampler":
        real = Sampler.step

        def fail(sampler: Sampler, number: int, token_budget: int | None = None) -> Any:
            if number == 4:
                raise IndexError("the fifth step is broken")
            return real(sampler, number, token_budget)

        monkeypatch.setattr(Sampler, "step", fail)
    else:
        made: list[int] = []

        def fail_too(*arguments: Any, **options: Any) -> Any:
            made.append(1)
            if options["dropout"][1] == 4:
                raise IndexError("the fifth step is broken")
            return inputs.model_inputs(*arguments, **options)

        monkeypatch.setattr(steps, "model_inputs", fail_too)
    with pytest.raises(IndexError, match="the fifth step is broken") as caught:
        problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), progress=recorder, **SETTINGS)
    assert caught.value.__notes__ == [
        "while step 5 of the training was prepared",
        f"after step 4 of the training. All up to step 4 is kept; go on with: bertworks train --resume {tmp_path / 'run'}",
    ]
    assert recorder.reports[-1].step == 4, "the steps before it were made"
    assert recorder.finished == 1
    monkeypatch.undo()
    assert resumed_is_the_same(problem, tmp_path / "run", type(recorder)()) == 4


def test_an_error_while_scores_are_prepared(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bertworks.batch import PackedBatch

    real = PackedBatch.take

    def take(batch: PackedBatch, indices: Any) -> PackedBatch:
        if batch.sequences == problem.validation.sequences and len(indices) < batch.sequences:
            raise IndexError("this batch is broken")
        return real(batch, indices)

    monkeypatch.setattr(PackedBatch, "take", take)
    with pytest.raises(IndexError, match="this batch is broken") as caught:
        problem.train(problem.load().model, token_budget=100, **SETTINGS)
    assert caught.value.__notes__ == ["after step 6 of the training. Nothing was saved, since this training has no run folder"]
