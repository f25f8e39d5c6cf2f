"""Several processes that do one thing together, as torchrun would start them, but forked, which takes no time.

A command is a line of JSON: {"size", "call" (a function of this file), "arguments"}, where 0 processes are the one that
forks, so that its children inherit what it sets up at first use; with "kill" or "interrupt" (a list of
[rank, path, count]: the signal is sent once the file has so many lines) if wished. The answer is, for each process, its
exit code and what it wrote.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import distributed

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a process has ended."""

    code: int
    said: str

    @property
    def errors(self) -> list[str]:
        """The lines that tell of an error or of an interruption."""
        return [line for line in self.said.splitlines() if line.startswith(("error:", "stopped"))]


class Together:
    """Speaks to a process that has imported all it needs, and forks."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.together"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, size: int, call: str, **command: Any) -> list[Ended]:
        """`size` processes call the function; `command` has its arguments, and whom to send signals when. With 0 it is the
        process that forks."""
        signals = {name: command.pop(name) for name in ("kill", "interrupt") if name in command}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"size": size, "call": call, "arguments": command, **signals}) + "\n")
        self._process.stdin.flush()
        return [Ended(**answer) for answer in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        self._process.communicate()


# ---- the functions that are called


def command_line(line: list[str]) -> int:
    """A command of bertworks."""
    from bertworks.cli.main import run

    return run(line)


def short_of_memory(line: list[str], rank: int, at_call: int) -> int:
    """The same, where one of the processes runs out of memory once."""
    from bertworks.training.steps import StepLoss

    real, calls = StepLoss.backward, []

    def backward(*arguments: Any) -> float:
        calls.append(1)
        if len(calls) == at_call and int(os.environ["RANK"]) == rank:
            raise MemoryError("no room")
        return real(*arguments)

    StepLoss.backward = backward  # type: ignore[method-assign]
    return command_line(line)


def differing(line: list[str]) -> int:
    """The same, where the processes were given different models."""
    from bertworks.estimators.pretraining import run

    run.fingerprint_of_model = lambda model: f"the model of process {os.environ['RANK']}"
    return command_line(line)


def gradients(model: str, output: str, max_tokens: int) -> int:
    """Gradients and losses of the steps of a fine-tuning, whose weights stay as they are."""
    import numpy as np

    from bertworks.inference import load_model
    from bertworks.nn.machine import choose
    from bertworks.tasks.text_classification import infer
    from bertworks.tokenization import Tokenizer
    from bertworks.training import TrainingConfig, train
    from bertworks.training.distributed import processes
    from bertworks.training.optimizer import Optimizer
    from tests.conftest import make_reviews

    texts, labels = make_reviews(43, longest=40)
    task = infer(labels, max_tokens=max_tokens, stride=4)
    data, _ = task.encode(texts, None, Tokenizer.load(Path(model)), labels)
    arrays: dict[str, Any] = {}

    def step(optimizer: Optimizer, factor: float) -> None:
        number = sum(name.startswith("norm") for name in arrays)
        arrays.update({f"{number}/{n}": p.grad.numpy().copy() for n, p in optimizer.parameters.items() if p.grad is not None})
        arrays[f"norm {number}"] = optimizer.clip(0.0)
        optimizer.clear_gradients()

    Optimizer.step = step  # type: ignore[method-assign]
    loaded = load_model(Path(model), task.heads, new_heads=True, seed=0)
    config = TrainingConfig(epochs=1, batch_size=16, learning_rate=0.01)
    with processes() as group:
        train(loaded.model, task, data, config, choose(group.join("cpu"), "float32", 150), processes=group)
        if group.first:
            np.savez(output, **arrays)
    return 0


# ---- forking


def main() -> None:
    torch.set_num_threads(1)
    os.fsync = lambda handle: None
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201 - this is the protocol


def answer(command: dict[str, Any]) -> list[dict[str, Any]]:
    if not command["size"]:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            globals()[command["call"]](**command["arguments"])
        return []
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun keeps one
    with tempfile.TemporaryDirectory() as notes:
        said = [Path(notes) / str(rank) for rank in range(command["size"])]
        children = [fork(command, rank, store.port, said[rank]) for rank in range(command["size"])]
        signals = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}
        due = [(number, *what) for name, number in signals.items() for what in command.get(name, [])]
        codes: dict[int, int] = {}
        terminate_at = inf
        while len(codes) < len(children):
            for number, rank, path, count in list(due):
                if Path(path).exists() and Path(path).read_bytes().count(b"\n") >= count:
                    os.kill(children[rank], number)
                    due.remove((number, rank, path, count))
            for rank, child in enumerate(children):
                ended, status = os.waitpid(child, os.WNOHANG) if rank not in codes else (0, 0)
                if ended:
                    codes[rank] = os.waitstatus_to_exitcode(status)
                    if codes[rank]:
                        terminate_at = min(terminate_at, time.monotonic() + 0.1)
            if time.monotonic() >= terminate_at:  # as torchrun does where one has failed
                for rank in set(range(len(children))) - codes.keys():
                    os.kill(children[rank], signal.SIGTERM)
                terminate_at = inf
            time.sleep(0.001)
        return [{"code": codes[rank], "said": said[rank].read_text()} for rank in range(command["size"])]


def fork(command: dict[str, Any], rank: int, port: int, said: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for stream in (1, 2):
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        size = str(command["size"])
        if command["size"] > 1:
            os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size})
            os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"})
        call: Callable[..., int] = globals()[command["call"]]
        code = call(**command["arguments"])
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
