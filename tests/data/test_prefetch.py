"""Work prepared ahead: in order, with errors at their place, and with no thread left behind."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from bertworks.data.prefetch import prefetch


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "bertworks-prefetch"]


def wait_until_gone(before: list[threading.Thread]) -> None:
    for thread in workers():
        if thread not in before:
            thread.join(timeout=10)
            assert not thread.is_alive()


@pytest.mark.parametrize("ahead", [1, 2, 50])
def test_items_come_in_their_order(ahead: int) -> None:
    before = workers()
    assert list(prefetch(range(20), ahead)) == list(range(20))
    wait_until_gone(before)


def test_none_is_an_item_and_nothing_is_an_end() -> None:
    assert list(prefetch([None, 0, ""])) == [None, 0, ""]
    assert list(prefetch([])) == []


def test_an_error_comes_at_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("the third is missing")

    before, reading = workers(), prefetch(items())
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(LookupError, match="the third is missing") as caught:
        next(reading)
    assert caught.traceback[-1].name == "items", "the traceback leads to where the error happened"
    wait_until_gone(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_without_a_word_is_an_error_and_no_endless_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where memory does not even suffice to hand over the error."""

    class Full(queue.Queue[object]):
        def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
            if item != ("item", 0):
                raise SystemExit  # ends a thread silently
            super().put(item, block, timeout)

    monkeypatch.setattr("bertworks.data.prefetch.queue.Queue", Full)
    monkeypatch.setattr("bertworks.data.prefetch._SECONDS_BETWEEN_LOOKS", 0.05)
    reading = prefetch(range(3))
    assert next(reading) == 0
    with pytest.raises(RuntimeError, match="the thread that prepares batches ended without a word"):
        next(reading)


def test_what_a_thread_put_last_is_read_though_it_has_ended() -> None:
    reading = prefetch(range(3), ahead=9)
    assert next(reading) == 0
    for worker in workers():
        worker.join(timeout=10)
    assert list(reading) == [1, 2]


def test_leaving_the_loop_ends_the_thread() -> None:
    before, made = workers(), []

    def items() -> Iterator[int]:
        for number in range(10**9):
            made.append(number)
            yield number

    for item in prefetch(items(), ahead=2):
        if item == 3:
            break
    wait_until_gone(before)
    assert 4 <= len(made) <= 8


def test_an_error_in_the_loop_ends_the_thread() -> None:
    before = workers()

    def read() -> None:
        for item in prefetch(range(10**9)):
            if item == 2:
                raise ValueError("the reader fails")

    with pytest.raises(ValueError, match="the reader fails"):
        read()
    wait_until_gone(before)


def test_a_loop_that_never_begins_starts_no_thread() -> None:
    before = workers()
    prefetch(range(3))
    assert workers() == before


def test_items_are_made_ahead_but_not_far_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    reading = prefetch(items(), ahead=3)
    assert next(reading) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3, 4]  # the one that was taken, three that wait, and one in the hands of the thread
    reading.close()  # type: ignore[attr-defined]
