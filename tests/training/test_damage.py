"""Checkpoints that a disk spoilt, and run folders that were moved or half deleted: the training goes back as far as it
must, says so, and ends in the same bits; or it says clearly why it cannot go on."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks.errors import CheckpointError, Interrupted, SettingsError, TrainingError
from bertworks.training.checkpoints import Checkpoints
from bertworks.training.progress import StepReport
from bertworks.training.run import RunFolder
from tests.training.test_identity import StopAt

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "learning_rate": 0.02, "schedule": "constant", "log_steps": 1, "material": {}}
FILES = ["model.safetensors", "optimizer.safetensors", "best.safetensors", "state.json", "checksums.json"]
WEIGHTS = [name for name in FILES if name.endswith(".safetensors")]


class Run:
    """A finished run of twelve steps, evaluated every third, with the checkpoints of steps 9 and 12."""

    def __init__(self, problem: Any, folder: Path) -> None:
        self.problem, self.folder = problem, folder
        self.model = problem.load().model
        self.result = problem.train(self.model, run=RunFolder.create(folder, {}), evaluations_per_epoch=2, **SETTINGS)
        self.log = self.lines()
        assert [path.name for path in self.checkpoints()] == ["step-00000009", "step-00000012"]
        assert self.result.state.best_step < 9, "the best weights must be older than both checkpoints"

    def checkpoints(self) -> list[Path]:
        return sorted((self.folder / "checkpoints").glob("step-*"))

    def lines(self) -> list[dict[str, Any]]:
        read = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name not in ("tokens_per_second", "seconds_left")} for line in read]

    def resume(self, recorder: Any, seed: int = 5) -> None:
        """Resumes the run, with other weights to begin with, which must end as it did before."""
        model = self.problem.load(seed).model
        result = self.problem.train(model, run=RunFolder(self.folder), progress=recorder, evaluations_per_epoch=2, **SETTINGS)
        for name, values in self.model.arrays().items():
            np.testing.assert_array_equal(model.arrays()[name], values)
        assert result.state.evaluations == self.result.state.evaluations
        assert result.best_metrics == self.result.best_metrics


@pytest.fixture(scope="module")
def finished(make_problem: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(make_problem(rows=72, longest=12), tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    """A copy, whose files can be spoilt; its checkpoints share the best weights no longer."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return copy_of(finished, tmp_path / "run")


def copy_of(finished: Run, folder: Path) -> Run:
    copy = object.__new__(Run)
    copy.__dict__ = {**finished.__dict__, "folder": folder}
    return copy


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("spoil", "name"),
    [*((flip, name) for name in FILES), (cut, FILES[1]), (cut, "state.json"), *((Path.unlink, name) for name in FILES[2:])],
)
def test_a_damaged_checkpoint_is_left_for_the_one_before(run: Run, recorder: Any, spoil: Callable[[Path], None], name: str) -> None:
    spoil(run.folder / "checkpoints" / "step-00000012" / name)
    run.resume(recorder)
    assert recorder.started == (12, 9)
    (message,) = recorder.messages
    assert str(run.folder / "checkpoints" / "step-00000012") in message
    assert name in message or name == "checksums.json", "the file is named; of the table itself what it contradicts"
    assert message.endswith("The training goes back to the checkpoint before, step-00000009")
    assert run.lines() == run.log
    again = type(recorder)()
    run.resume(again)
    assert again.messages == [], "the damaged checkpoint was written anew"


def test_what_is_damaged_does_not_push_out_what_is_whole(run: Run, recorder: Any) -> None:
    """The two that are kept are the last two that this run wrote or began from, whatever else stands there."""
    flip(run.folder / "checkpoints" / "step-00000012" / "model.safetensors")
    settings = {**SETTINGS, "evaluations_per_epoch": 2}
    with pytest.raises(Interrupted):
        run.problem.train(run.problem.load().model, run=RunFolder(run.folder), progress=StopAt(10), **settings)
    assert [path.name for path in run.checkpoints()] == ["step-00000009", "step-00000010"]
    run.resume(recorder)
    assert recorder.messages == []
    assert run.lines() == run.log


def test_with_no_whole_checkpoint_it_says_so_and_touches_nothing(run: Run, recorder: Any) -> None:
    for number, folder in enumerate(run.checkpoints()):
        flip(folder / WEIGHTS[number])
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as caught:
        run.resume(recorder)
    message = str(caught.value)
    for number, folder in enumerate(run.checkpoints()):
        assert f"{folder / WEIGHTS[number]} is damaged" in message
    assert f"or delete {run.folder / 'checkpoints'} to begin the training anew" in message
    assert recorder.started is None
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    shutil.rmtree(run.folder / "checkpoints")
    run.resume(recorder, seed=0)
    assert recorder.started == (12, 0)
    assert recorder.messages == [f"{run.folder} has no checkpoint: the training begins anew"]
    assert run.lines() == run.log


def test_the_checkpoints_share_the_best_weights(finished: Run) -> None:
    first, second = (os.stat(folder / "best.safetensors") for folder in finished.checkpoints())
    assert first.st_ino == second.st_ino


def test_a_file_system_without_hard_links_gets_copies(finished: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    copied = Run(finished.problem, tmp_path / "run")
    for name, values in finished.model.arrays().items():
        np.testing.assert_array_equal(copied.model.arrays()[name], values)


def test_best_weights_that_are_spoilt_at_the_end_are_told_of_and_computed_again(
    finished: Run, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newest, real = tmp_path / "run" / "checkpoints" / "step-00000012", Checkpoints.restore_best

    def spoil(checkpoints: Checkpoints, *rest: Any) -> None:
        content = (newest / "best.safetensors").read_bytes()
        (newest / "best.safetensors").unlink()  # else the older checkpoint's were spoilt too
        (newest / "best.safetensors").write_bytes(content)
        flip(newest / "best.safetensors")
        real(checkpoints, *rest)

    monkeypatch.setattr(Checkpoints, "restore_best", spoil)
    with pytest.raises(TrainingError) as caught:
        Run(finished.problem, tmp_path / "run")
    best = finished.result.state.best_step
    assert str(caught.value).startswith(f"the best weights, those of step {best}, are lost: {newest / 'best.safetensors'} is damaged")
    assert str(caught.value).endswith(f"bertworks train --resume {tmp_path / 'run'}")
    monkeypatch.undo()
    again = copy_of(finished, tmp_path / "run")
    again.resume(recorder)
    assert recorder.started == (12, 9)


def test_damage_is_not_taken_over_into_the_next_checkpoint_as_if_it_were_sound(finished: Run, recorder: Any, tmp_path: Path) -> None:
    class Spoil(type(recorder)):  # type: ignore[misc]
        def step(self, report: StepReport) -> None:
            if report.step == 11:
                flip(tmp_path / "run" / "checkpoints" / "step-00000009" / "best.safetensors")

    settings = {**SETTINGS, "evaluations_per_epoch": 2}
    run = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(TrainingError, match=r"step-00000012/best\.safetensors is damaged"):
        finished.problem.train(finished.problem.load().model, run=run, progress=Spoil(), **settings)
    with pytest.raises(CheckpointError, match="no checkpoint of this run is whole"):  # they share the file
        finished.problem.train(finished.problem.load().model, run=RunFolder(tmp_path / "run"), **settings)


def test_the_best_weights_removed_under_a_training(finished: Run, recorder: Any, tmp_path: Path) -> None:
    class Remove(type(recorder)):  # type: ignore[misc]
        def step(self, report: StepReport) -> None:
            if report.step == 11:
                (tmp_path / "run" / "checkpoints" / "step-00000009" / "best.safetensors").unlink()

    run = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(TrainingError, match=r"best\.safetensors was removed while the training went on; it held the best weights"):
        finished.problem.train(finished.problem.load().model, run=run, progress=Remove(), evaluations_per_epoch=2, **SETTINGS)


# ---- moved and half deleted folders


def test_a_run_that_was_moved_goes_on(run: Run, recorder: Any, tmp_path: Path) -> None:
    shutil.rmtree(run.checkpoints()[1])
    run.folder.rename(tmp_path / "elsewhere with a space")
    run.folder = tmp_path / "elsewhere with a space"
    run.resume(recorder)
    assert recorder.started == (12, 9)
    assert recorder.messages == []
    assert run.lines() == run.log


def test_without_its_log_it_goes_on_and_says_so(run: Run, recorder: Any) -> None:
    shutil.rmtree(run.checkpoints()[1])
    (run.folder / "log.jsonl").unlink()
    run.resume(recorder)
    assert recorder.messages == [f"{run.folder / 'log.jsonl'} is missing or empty: it begins anew after step 9"]
    assert run.lines() == [line for line in run.log if line["step"] > 9]


def test_damaged_lines_of_the_log_are_counted(run: Run, recorder: Any) -> None:
    shutil.rmtree(run.checkpoints()[1])
    lines = (run.folder / "log.jsonl").read_bytes().split(b"\n")
    lines[1], lines[3], lines[4] = b'{"kind": "train", "st\xff', b"[1]", b'{"kind": "train"}'
    (run.folder / "log.jsonl").write_bytes(b"\n".join(lines))
    run.resume(recorder)
    count = len(run.log)
    assert recorder.messages == [f"{run.folder / 'log.jsonl'}: 3 of {count} lines were damaged, and are dropped"]
    assert run.lines() == [line for number, line in enumerate(run.log) if number not in (1, 3, 4)]


@pytest.mark.parametrize("part", ["events", "checkpoints/step-00000009", "config.toml"])
def test_parts_that_are_not_needed(run: Run, recorder: Any, part: str) -> None:
    path = run.folder / part
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    run.resume(recorder)
    assert recorder.started == (12, 12)
    assert recorder.messages == []


def test_a_run_without_its_settings(tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> None:
    """In Python they are given again, and written again; the command line has them from nowhere else."""
    import tomllib

    from bertworks import TextClassifier
    from bertworks.estimators.verbs.train import train

    def fit(resume: bool = True) -> TextClassifier:
        settings: dict[str, Any] = {"epochs": 1, "batch_size": 12, "precision": "float32", "progress": False}
        return TextClassifier(tiny_bert, output=tmp_path / "run", **settings).fit(*reviews(24), resume=resume)

    fit()
    settings = (tmp_path / "run" / "config.toml").read_bytes()
    (tmp_path / "run" / "config.toml").unlink()
    with pytest.raises(CheckpointError, match=r"run' has no config\.toml"):
        train(resume=tmp_path / "run")
    with pytest.raises(SettingsError, match="already holds a run"):
        fit(resume=False)
    assert fit().result_.state.step == 2
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text()) == tomllib.loads(settings.decode())
