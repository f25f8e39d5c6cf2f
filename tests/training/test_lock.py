"""Two processes never train in one run folder, and nobody is kept out by a process that is dead."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bertworks.checkpoints import lock
from bertworks.checkpoints.lock import LOCK, RunLock
from bertworks.errors import CheckpointError, SettingsError
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder

HOLDER = """
import sys
from pathlib import Path
from bertworks.checkpoints.lock import RunLock
held = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
held.release()
print("released", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock, until it is told to let go by a line."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_the_second_process_is_told_who_the_first_is(tmp_path: Path) -> None:
    with another_process(tmp_path / "run") as holder:
        with pytest.raises(SettingsError, match=rf"run is being trained by process {holder.pid} on .+: wait until it has ended"):
            RunLock(tmp_path / "run")
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "released\n"
        assert not (tmp_path / "run" / LOCK).exists()
        RunLock(tmp_path / "run").release()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_process_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / LOCK).exists(), "the file stays, the lock does not"
    held = RunLock(tmp_path)
    with pytest.raises(SettingsError, match=f"process {os.getpid()} on"):
        RunLock(tmp_path)
    held.release()
    held.release()
    assert not (tmp_path / LOCK).exists()


def test_the_lock_goes_with_a_folder_that_is_moved(tmp_path: Path) -> None:
    with another_process(tmp_path / "here") as holder:
        (tmp_path / "here").rename(tmp_path / "there")
        with pytest.raises(SettingsError, match=f"there is being trained by process {holder.pid}"):
            RunLock(tmp_path / "there")
        shutil.copytree(tmp_path / "there", tmp_path / "copy")
        RunLock(tmp_path / "copy").release()


def test_a_run_is_locked_from_its_beginning_to_its_end(make_problem: Callable[..., Any], tmp_path: Path) -> None:
    problem, told = make_problem(rows=32), []

    class AskForTheSame(Progress):
        def step(self, report: StepReport) -> None:
            for begin in (lambda: problem.train(problem.load().model, run=RunFolder(tmp_path / "run")), lambda: create(replace=True)):
                with pytest.raises(SettingsError, match=f"is being trained by process {os.getpid()} on"):
                    begin()
            told.append(report.step)

    def create(replace: bool = False) -> RunFolder:
        return RunFolder.create(tmp_path / "run", {}, replace=replace)

    problem.train(problem.load().model, run=create(), progress=AskForTheSame(), log_steps=1, validate=False)
    assert told == [1, 2]
    assert not (tmp_path / "run" / LOCK).exists()
    create(replace=True).close()


def test_a_training_that_does_not_begin_lets_go(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At once, though somebody keeps the error, and with it all that it holds, as notebooks do."""
    problem, kept = make_problem(rows=16), []
    run = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(SettingsError, match="frozen_layers is 7") as caught:
        problem.train(problem.load().model, run=run, validate=False, frozen_layers=7)
    kept.append(caught.value)
    problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), validate=False)
    with pytest.raises(CheckpointError, match="other settings") as refused:
        problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), validate=False, seed=5)
    kept.append(refused.value)
    monkeypatch.setattr("tomli_w.dumps", lambda settings: 1 / 0)
    with pytest.raises(ZeroDivisionError) as failed:
        RunFolder.create(tmp_path / "other", {})
    kept.append(failed.value)
    for name in ("run", "other"):
        RunLock(tmp_path / name).release()


def test_a_lock_on_a_file_that_is_just_being_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = RunLock(tmp_path), lock._lock

    def release_before(handle: int) -> None:
        first.release()  # between the second one's opening of the file and its locking
        real(handle)

    monkeypatch.setattr(lock, "_lock", release_before)
    second = RunLock(tmp_path)
    assert second.holds()
    with pytest.raises(SettingsError, match="is being trained"):
        RunLock(tmp_path)
    second.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_let_go(tmp_path: Path) -> None:
    held = RunLock(tmp_path)
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert held.holds()
    with pytest.raises(SettingsError, match="is being trained"):
        RunLock(tmp_path)
    held.release()


def test_a_file_system_without_locks_is_noted(
    make_problem: Callable[..., Any], recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(handle: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(lock, "_lock", unsupported)
    problem = make_problem(rows=32)
    result = problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), progress=recorder, validate=False)
    assert result.state.step == 2
    assert recorder.messages[0] == f"the file system of {tmp_path / 'run'} has no locks: make sure that no other process works there"
    assert not (tmp_path / "run" / LOCK).exists()


def test_a_holder_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    held = RunLock(tmp_path)
    (tmp_path / LOCK).write_bytes(b"")
    with pytest.raises(SettingsError, match="is being trained by another process: wait"):
        RunLock(tmp_path)
    held.release()


def test_a_folder_that_is_moved_away_meanwhile_ends_the_training(make_problem: Callable[..., Any], tmp_path: Path) -> None:
    from bertworks.errors import TrainingError

    problem = make_problem(rows=64)

    class Move(Progress):
        def step(self, report: StepReport) -> None:
            if report.step == 3:
                (tmp_path / "run").rename(tmp_path / "elsewhere")

    settings: dict[str, Any] = {"log_steps": 1, "checkpoint_steps": 2, "validate": False, "material": {}}
    with pytest.raises(TrainingError, match=r"run was moved or deleted while .*: bertworks pretrain --resume NEW_PLACE$"):
        problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}, verb="pretrain"), progress=Move(), **settings)
    assert not (tmp_path / "run").exists(), "nothing is written to where it was"
    result = problem.train(problem.load().model, run=RunFolder(tmp_path / "elsewhere"), **settings)
    assert result.state.step == 4
