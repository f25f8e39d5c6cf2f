"""Work that is prepared ahead in the background."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

Item = TypeVar("Item")

_Message = tuple[Literal["item", "end", "error"], Item | BaseException | None]
_SECONDS_BETWEEN_LOOKS = 1.0


def prefetch(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """Yields `items` in their order while a thread already prepares the next ones.

    An error in the thread is raised here, at its place in the order. Leaving the loop early ends the thread. Should the
    thread be gone without a word, that is an error too (`RuntimeError`), and no endless wait.
    """
    ready: queue.Queue[_Message[Item]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(message: _Message[Item]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(message, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    worker = threading.Thread(target=work, name="bertworks-prefetch", daemon=True)
    worker.start()
    try:
        while True:
            kind, value = _next(ready, worker)
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            yield value  # type: ignore[misc]
    finally:
        stopped.set()


def _next(ready: queue.Queue[_Message[Item]], worker: threading.Thread) -> _Message[Item]:
    while True:
        alive = worker.is_alive()  # asked before looking: what it put last is found below
        try:
            return ready.get(timeout=_SECONDS_BETWEEN_LOOKS if alive else 0.0)
        except queue.Empty:
            if not alive:
                raise RuntimeError("the thread that prepares batches ended without a word: memory may have run out in it") from None
