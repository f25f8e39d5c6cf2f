"""A process that trains in forked children and kills them: started by test_resume, spoken to in lines of JSON.

A command is {"model", "data", "output", "settings"}, perhaps with an "estimator" other than TextClassifier, and with one of:
"kill_after" or "interrupt_after" (seconds),
"kill_in_save" ([the number of a checkpoint from now, the share of its writing]), "kill_in_model" (seconds after the
finished model's folder has appeared), "kill_at" (the number of a call that
Python code makes or is, counted in the files that "within" lists, or in all where it is empty), or nothing, which runs to
the end. The answer is {"code", "calls", "error", "seen"}: a negative code is the signal that ended the child, and "seen"
are the steps of the checkpoints that stood in the folder while it ran, complete.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import bertworks
from bertworks.errors import BertworksError


def main() -> None:
    torch.set_num_threads(1)
    os.fsync = lambda handle: None  # a kill, unlike a power cut, loses nothing that was written: there is no need to wait for the disk
    for number, line in enumerate(sys.stdin):
        command = json.loads(line)
        if number == 0:
            warm_up(command)
        print(json.dumps(answer(command)), flush=True)  # noqa: T201 - this is the protocol


def warm_up(command: dict[str, Any]) -> None:
    """Trains for a step, so that the children inherit all that is set up at the first use."""
    settings = {**command["settings"], "epochs": 0.01, "patience": None}  # which nothing is judged by here
    estimator(command, **settings).fit(command["data"]["texts"], command["data"]["labels"])


def estimator(command: dict[str, Any], **settings: Any) -> Any:
    return getattr(bertworks, command.get("estimator", "TextClassifier"))(command["model"], progress=False, **settings)


def answer(command: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as notes:
        child = os.fork()
        if child == 0:
            train(command, Path(notes))
        watch, begun, code = Watch(Path(command["output"])), time.perf_counter(), None
        signals = {"kill_after": signal.SIGKILL, "interrupt_after": signal.SIGINT}
        due = [(command[name], number) for name, number in signals.items() if name in command]
        while code is None:
            watch.look()
            if due and time.perf_counter() - begun >= due[0][0]:
                os.kill(child, due.pop()[1])
            if "kill_in_save" in command and watch.is_in_save(*command["kill_in_save"]):
                os.kill(child, signal.SIGKILL)
            if "kill_in_model" in command and watch.is_in_model(command["kill_in_model"]):
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if ended else None
            time.sleep(0.0003 if "kill_in_save" in command or "kill_in_model" in command else 0.002)
        read = {path.name: path.read_text() for path in Path(notes).iterdir()}
        return {"code": code, "calls": int(read.get("calls", 0)), "error": read.get("error", ""), "seen": sorted(watch.seen)}


class Watch:
    """Looks at a run folder from outside: which checkpoints are there, and what is being written."""

    typical_seconds = 0.01
    """What the last save took, of any run."""

    def __init__(self, folder: Path) -> None:
        self._run, self._folder = folder, folder / "checkpoints"
        self.seen: set[int] = set()
        self._saves = 0
        self._saving_since: float | None = None

    def look(self) -> None:
        with suppress(FileNotFoundError):
            names = os.listdir(self._folder)
            self.seen |= {int(name.removeprefix("step-")) for name in names if name.startswith("step-")}
            saving = any(name.startswith(".step-") and int(name[6:14]) not in self.seen for name in names)
            now = time.perf_counter()
            if saving and self._saving_since is None:
                self._saving_since, self._saves = now, self._saves + 1
            elif not saving and self._saving_since is not None:
                Watch.typical_seconds, self._saving_since = now - self._saving_since, None

    def is_in_model(self, seconds: float) -> bool:
        """Whether the finished model is being written; waits for so long before it says so."""
        if not list(self._run.glob(".model.*")):
            return False
        time.sleep(seconds)
        return True

    def is_in_save(self, number: int, share: float) -> bool:
        """Whether the save `number` (from 0) goes on, and is about as far as that."""
        if self._saving_since is None or self._saves <= number:
            return False
        return time.perf_counter() - self._saving_since >= share * Watch.typical_seconds


def train(command: dict[str, Any], notes: Path) -> None:
    """Trains and leaves the process; never returns."""
    counter = Counter(command.get("kill_at"), command.get("within", []))
    code = 1
    try:
        data = command["data"]
        classifier = estimator(command, output=command["output"], **command["settings"])
        if "within" in command:
            sys.setprofile(counter)
        classifier.fit(data["texts"], data["labels"], validation=data["validation"], resume=True)
        sys.setprofile(None)
        code = 0
    except BertworksError as error:
        sys.setprofile(None)
        (notes / "error").write_text(f"{type(error).__name__}: {error}")
        code = error.exit_code
    except BaseException as error:
        sys.setprofile(None)
        (notes / "error").write_text(repr(error))
    finally:
        (notes / "calls").write_text(str(counter.calls))
        os._exit(code)


class Counter:
    """Counts calls in the main thread and kills the process at one of them."""

    def __init__(self, kill_at: int | None, within: list[str]) -> None:
        self.kill_at, self.within, self.calls = kill_at, tuple(within), 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if not event.endswith("call") or (self.within and not frame.f_code.co_filename.endswith(self.within)):
            return
        self.calls += 1
        if self.calls == self.kill_at and threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
