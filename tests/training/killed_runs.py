"""A process that trains in forked children and kills them: started by test_resume, spoken to in lines of JSON.

A command is {"model", "data", "output", "settings"} with one of: "kill_after" or "interrupt_after" (seconds),
"kill_at" (the number of a call that Python code makes or is, counted in the files that "within" lists, or in all where
it is empty), or nothing, which runs to the end. The answer is {"code", "calls", "error"}: a negative code is the signal
that ended the child.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.utils.tensorboard  # once, not in each child

from bertworks import TextClassifier
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
    settings = {**command["settings"], "epochs": 0.01}
    TextClassifier(command["model"], progress=False, **settings).fit(command["data"]["texts"], command["data"]["labels"])


def answer(command: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as notes:
        child = os.fork()
        if child == 0:
            train(command, Path(notes))
        for name, number in (("kill_after", signal.SIGKILL), ("interrupt_after", signal.SIGINT)):
            if name in command:
                time.sleep(command[name])
                os.kill(child, number)  # a child that is done already waits for this as a zombie
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        read = {path.name: path.read_text() for path in Path(notes).iterdir()}
        return {"code": code, "calls": int(read.get("calls", 0)), "error": read.get("error", "")}


def train(command: dict[str, Any], notes: Path) -> None:
    """Trains and leaves the process; never returns."""
    counter = Counter(command.get("kill_at"), command.get("within", []))
    code = 1
    try:
        data = command["data"]
        classifier = TextClassifier(command["model"], output=command["output"], progress=False, **command["settings"])
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
