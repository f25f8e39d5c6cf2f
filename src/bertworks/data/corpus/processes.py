"""Work in other processes: items in, results out, in the order of the items.

The processes are fresh interpreters that are talked to over pipes. So, other than with `multiprocessing`, the program that
calls needs no `if __name__ == "__main__"`, nothing is forked, and the processes end by themselves when their parent dies,
however it dies.
"""

import os
import pickle
import queue
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from bertworks.errors import BertworksError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SERVE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = {path!r}; "
    "from bertworks.data.corpus.processes import serve; serve()"
)
"""What such a process runs. Ctrl-C is the parent's to obey."""
_ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
_AHEAD = 2
"""Items a process that are read before they are needed."""


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes(Generic[Item, Result]):
    """A function in several processes. `make` is called once in each, and what it returns is called with every item.

    `make`, items and results must be picklable. Used as a context manager, at whose end the processes end.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Result]], processes: int) -> None:
        self._workers = [_Process(make) for _ in range(processes)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> "Processes[Item, Result]":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.end()

    def map(self, items: Iterable[Item]) -> Generator[tuple[Item, Result]]:
        """Each item with its result, in order; only so many items are taken as keep all processes busy.

        Raises what the function raises, and `BertworksError` where a process died.
        """
        pending: deque[tuple[Item, Future[Result]]] = deque()
        threads = ThreadPoolExecutor(len(self._workers))
        try:
            for item in items:
                pending.append((item, threads.submit(self._call, item)))
                if len(pending) > _AHEAD * len(self._workers):
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            threads.shutdown(cancel_futures=True)

    def _call(self, item: Item) -> Result:
        worker = self._idle.get()
        try:
            result: Result = worker.call(item)
            return result
        finally:
            self._idle.put(worker)


class _Process:
    def __init__(self, make: Callable[[], Any]) -> None:
        command = [sys.executable, "-c", _SERVE.format(path=sys.path)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **_ONE_THREAD}, bufsize=1 << 20
        )
        self._make: Callable[[], Any] | None = make

    def call(self, item: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._make is not None:
                pickle.dump(self._make, self._process.stdin)
                self._make = None
            pickle.dump(item, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            succeeded, value = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            code = self._process.wait()
            why = f"by signal {-code} (out of memory?)" if code < 0 else f"with code {code}"
            raise BertworksError(f"a process that prepares documents ended {why}: run the same command again to go on") from None
        if not succeeded:
            raise value
        return value

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve() -> None:
    """What such a process does: takes the function and items from standard input and answers on standard output."""
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what anyone prints is no answer
    function = _made()
    while True:
        try:
            answer = True, function(_received())
        except Exception as error:
            if not isinstance(error, BertworksError):
                error.add_note("".join(traceback.format_exception(error)))  # of this process: the other has none of it
            answer = False, error
        try:
            pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)


def _received() -> Any:
    """What the parent sends next. Ends this process where there is nobody any more."""
    try:
        return pickle.load(sys.stdin.buffer)
    except EOFError:
        sys.exit()


def _made() -> Callable[[Any], Any]:
    """The function that the parent wants; where it cannot be made, one that answers every item with the reason."""
    try:
        function: Callable[[Any], Any] = _received()()
    except Exception as error:
        return partial(_refuse, error)
    return function


def _refuse(error: Exception, item: Any) -> None:
    raise error
