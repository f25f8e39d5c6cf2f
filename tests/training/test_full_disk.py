"""A full or read-only disk ends a training with one clear error, loses nothing, and the run goes on when there is room."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bertworks.checkpoints import files
from bertworks.checkpoints.checksums import damage
from bertworks.errors import CheckpointError, TrainingError
from bertworks.training.events import Events
from bertworks.training.progress import StepReport
from bertworks.training.run import RunFolder

SETTINGS: dict[str, Any] = {"batch_size": 4, "log_steps": 1, "checkpoint_steps": 2, "material": {}}


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class FullDisk:
    """Makes a disk full, as those see it who ask beforehand and those who write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def say(self, free: int) -> None:
        self._patch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - free, free))

    def refuse(self, after: int = 0) -> None:
        """Weight files can be written up to so many bytes."""

        class Full(io.BufferedIOBase):
            def __init__(self, stream: Any) -> None:
                self._stream, self._left = stream, after

            def write(self, data: Any) -> int:
                self._left -= len(data)
                if self._left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return int(self._stream.write(data))

        real = files.write_safetensors
        self._patch.setattr(files, "write_safetensors", lambda stream, *rest: real(Full(stream), *rest))  # type: ignore[arg-type]

    def undo(self) -> None:
        self._patch.undo()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


@pytest.fixture
def problem(make_problem: Callable[..., Any]) -> Any:
    return make_problem(rows=24)  # six steps


def checkpoint_bytes(problem: Any) -> int:
    """Weights and two moments, in float32."""
    return 12 * sum(parameter.numel() for parameter in problem.load().model.parameters())


def whole_checkpoints(run: Path) -> list[str]:
    found = sorted((run / "checkpoints").iterdir())
    assert not [path for path in found if damage(path) is not None or path.name.startswith(".")]
    return [path.name for path in found]


def at_step(recorder: Any, step: int, act: Callable[[], None]) -> Any:
    class Acting(type(recorder)):  # type: ignore[misc]
        def step(self, report: StepReport) -> None:
            if report.step == step:
                act()

    return Acting()


def weights_of_a_run_that_nothing_disturbed(problem: Any) -> dict[str, Any]:
    model = problem.load().model
    problem.train(model, **{**SETTINGS, "checkpoint_steps": None})
    return dict(model.arrays())


@pytest.mark.parametrize("foreseen", [True, False], ids=["foreseen", "unforeseen"])
def test_during_a_checkpoint(problem: Any, recorder: Any, disk: FullDisk, tmp_path: Path, foreseen: bool) -> None:
    expected = weights_of_a_run_that_nothing_disturbed(problem)
    watcher = at_step(recorder, 4, lambda: disk.say(free=200_000) if foreseen else disk.refuse(after=150_000))
    with pytest.raises(TrainingError) as caught:
        problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), progress=watcher, **SETTINGS)
    message = str(caught.value)
    assert str(tmp_path / "run" / "checkpoints" / "step-00000004") in message
    figures = f"the disk is full ({checkpoint_bytes(problem) / 1000:.0f} kB are needed, 200 kB are free)"
    assert (figures if foreseen else "are needed") in message
    assert message.endswith(f"All up to step 2 is kept; go on with: bertworks train --resume {tmp_path / 'run'}")
    assert whole_checkpoints(tmp_path / "run") == ["step-00000002"]
    assert watcher.finished == 1
    disk.undo()
    again = problem.load(seed=7).model
    problem.train(again, run=RunFolder(tmp_path / "run"), **SETTINGS)
    for name, values in expected.items():
        np.testing.assert_array_equal(again.arrays()[name], values)


def test_during_the_log(problem: Any, recorder: Any, disk: FullDisk, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})

    class Full(io.RawIOBase):
        def write(self, data: Any) -> int:
            with (tmp_path / "run" / "log.jsonl").open("ab") as stream:
                stream.write(bytes(data)[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill() -> None:
        run._log = Full()  # type: ignore[assignment]

    with pytest.raises(
        TrainingError, match=r"cannot save .*log\.jsonl: the disk is full \(\d+ bytes are needed, .*\. All up to step 2 is kept"
    ):
        problem.train(problem.load().model, run=run, progress=at_step(recorder, 3, fill), **SETTINGS)
    assert whole_checkpoints(tmp_path / "run") == ["step-00000002"]
    assert (tmp_path / "run" / "log.jsonl").read_text().endswith('\n{"kind": "'), "a line was cut off, or this shows nothing"
    problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), **SETTINGS)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_during_tensorboards_events(problem: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    real = Events.add

    def add(events: Events, step: int, values: Any) -> None:
        if step >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(events, step, values)

    monkeypatch.setattr(Events, "add", add)
    result = problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), progress=recorder, **SETTINGS)
    assert result.state.step == 6
    assert recorder.messages == [
        "TensorBoard's events cannot be written any more (No space left on device): log.jsonl holds the same numbers"
    ]
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 7


def test_during_the_finished_model(disk: FullDisk, tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> None:
    from bertworks import TextClassifier
    from bertworks.training.progress import Progress

    class FillAtTheEnd(Progress):
        def finish(self) -> None:
            disk.refuse(after=10_000)

    def fit(progress: Any) -> TextClassifier:
        settings: dict[str, Any] = {"epochs": 1, "batch_size": 12, "precision": "float32"}
        return TextClassifier(tiny_bert, output=tmp_path / "run", progress=progress, **settings).fit(*reviews(24), resume=True)

    with pytest.raises(
        TrainingError, match=r"model/model\.safetensors: the disk is full .*\. All up to step 2 is kept; go on with: fit\(…, resume=True\)"
    ):
        fit(FillAtTheEnd())
    assert whole_checkpoints(tmp_path / "run") == ["step-00000002"]
    assert not (tmp_path / "run" / "model").exists()
    assert not list((tmp_path / "run").glob(".*"))
    disk.undo()
    fit(False)
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_disk_without_room_is_known_before_the_training(problem: Any, recorder: Any, disk: FullDisk, tmp_path: Path) -> None:
    disk.say(free=250_000)
    one, most = (f"{checkpoint_bytes(problem) * times / 1000:.0f} kB" for times in (1, 3))
    figures = f"run: no room for this training: a checkpoint takes {one}, up to {most} will be needed, and 250 kB are free"
    with pytest.raises(CheckpointError, match=figures):
        problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), progress=recorder, **SETTINGS)
    assert recorder.started is None
    disk.say(free=900_000)
    problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), progress=recorder, **SETTINGS)
    assert [m for m in recorder.messages if "is nearly full" in m]
    disk.say(free=400_000)  # of three checkpoints two stand already
    again = type(recorder)()
    problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), progress=again, **SETTINGS)
    assert again.messages == []


@pytest.mark.parametrize("part", ["", "checkpoints"])
def test_a_folder_that_cannot_be_written_to_is_known_before_the_training(
    problem: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    problem.train(problem.load().model, run=run, **SETTINGS)
    real_open, real_touch = os.open, Path.touch

    def forbid(path: Path) -> None:
        if path.parent == tmp_path / "run" / part:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def open_(path: Any, *rest: Any, **options: Any) -> int:
        if isinstance(path, Path) and not path.exists():
            forbid(path)
        return real_open(path, *rest, **options)

    def touch(path: Path, *rest: Any, **options: Any) -> None:
        forbid(path)
        real_touch(path, *rest, **options)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(CheckpointError, match=rf"cannot save {tmp_path / 'run' / part}.*: permission denied; choose a folder that you may"):
        problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), progress=recorder, **SETTINGS)
    assert recorder.started is None


def may_mount() -> bool:
    return sys.platform == "linux" and subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_on_real_disks(tmp_path: Path) -> None:
    if not shutil.which("unshare") or not may_mount():
        pytest.skip("needs the right to mount a file system in a namespace of its own")
    for name in ("disk", "events"):
        (tmp_path / name).mkdir()
    mounts = f"mount -t tmpfs -o size=3m tmpfs {tmp_path}/disk && mount -t tmpfs -o size=4k tmpfs {tmp_path}/events"
    script, root = Path(__file__).with_name("full_disk.py"), Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = ["unshare", "-rm", "sh", "-c", f"{mounts} && exec {sys.executable} {script} {tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    cases = {case.pop("case"): case for case in map(json.loads, done.stdout.splitlines())}
    assert all(case["damaged"] == case["hidden"] == [] and case.get("same", True) for case in cases.values()), cases
    expected = {
        "no room at the beginning": ("CheckpointError", "no room for this training: a checkpoint takes", []),
        "little room at the beginning": ("TrainingError", "the disk is full", ["step-00000002", "step-00000004"]),
        "checkpoint": ("TrainingError", "checkpoints/step-00000004: the disk is full (31", ["step-00000002"]),
        "checkpoint, unforeseen": ("TrainingError", "step-00000004/optimizer.safetensors: the disk is full (", ["step-00000002"]),
        "log": ("TrainingError", "log.jsonl: the disk is full (", ["step-00000002"]),
        "finished model": ("TrainingError", "model/model.safetensors: the disk is full (10", ["step-00000006", "step-00000008"]),
        "finished model, unforeseen": (
            "TrainingError",
            "model/model.safetensors: the disk is full (10",
            ["step-00000006", "step-00000008"],
        ),
        "events": (None, "", ["step-00000006", "step-00000008"]),
        "read-only": ("CheckpointError", "the file system is read-only; choose another folder", ["step-00000002"]),
    }
    assert {name: (case["error"], case["checkpoints"]) for name, case in cases.items()} == {n: (e, c) for n, (e, _, c) in expected.items()}
    for name, (error, part, _) in expected.items():
        assert part in cases[name].get("message", ""), name
        assert ("resume=True" in cases[name].get("message", "")) == (error == "TrainingError"), name
    assert [case["begun"] for name, case in cases.items() if name in ("no room at the beginning", "read-only")] == [False, False]
    assert "TensorBoard's events cannot be written any more" in cases["events"]["messages"][0]
