"""Work in other processes: in order, with the errors of the work, and never longer than the process that wants it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bertworks.data.corpus.processes import Processes
from bertworks.errors import BertworksError, DataError

ORPHANS = """
import os, signal
from functools import partial
from bertworks.data.corpus.processes import Processes
with Processes(partial(partial, max), 2) as workers:
    for item, result in workers.map([(1, 2), (3, 4), (5, 6)]):
        pass
    print(*(worker._process.pid for worker in workers._workers), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def squares() -> Callable[[int], tuple[int, int]]:
    """A function that takes longer for some items than for others, and says which process it is in."""

    def square(number: int) -> tuple[int, int]:
        time.sleep(0.02 * (number % 3))
        return number**2, os.getpid()

    return square


def failing(kind: type[Exception]) -> Callable[[int], int]:
    def fail(number: int) -> int:
        if number == 3:
            raise kind("number 3")
        return number

    return fail


def unmakeable(kind: type[Exception]) -> Callable[[int], int]:
    raise kind("no function")


def dying(how: int) -> Callable[[int], int]:
    def die(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), how)
        return number

    return die


def talking() -> Callable[[int], int]:
    sys.stdout.write("a word before\n")

    def talk(number: int) -> int:
        sys.stdout.write("a word between\n")
        return number

    return talk


def test_results_come_in_the_order_of_the_items() -> None:
    with Processes(squares, 3) as workers:
        found = list(workers.map(range(20)))
    assert [(item, square) for item, (square, _) in found] == [(i, i * i) for i in range(20)]
    places = {place for _, (_, place) in found}
    assert len(places) == 3
    assert os.getpid() not in places


def test_only_so_many_items_are_taken_as_keep_all_busy() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with Processes(squares, 2) as workers:
        results = workers.map(items())
        for _ in range(10):
            next(results)
            assert len(taken) <= 10 + 6
        results.close()


@pytest.mark.parametrize("kind", [DataError, ZeroDivisionError])
def test_errors_of_the_work_are_raised_here(kind: type[Exception]) -> None:
    with Processes(partial(failing, kind), 2) as workers, pytest.raises(kind, match="number 3") as caught:
        list(workers.map(range(9)))
    traceback_of_the_process = "".join(getattr(caught.value, "__notes__", []))
    assert ("in fail" in traceback_of_the_process) == (kind is ZeroDivisionError)


@pytest.mark.parametrize("kind", [DataError, EOFError])
def test_where_the_function_cannot_be_made_every_item_is_answered(kind: type[Exception]) -> None:
    with Processes(partial(unmakeable, kind), 2) as workers, pytest.raises(kind, match="no function"):
        list(workers.map(range(9)))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_dies() -> None:
    with Processes(partial(dying, signal.SIGKILL), 2) as workers, pytest.raises(BertworksError, match="ended by signal 9"):
        list(workers.map(range(9)))


def test_what_is_printed_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with Processes(talking, 1) as workers:
        assert [result for _, result in workers.map(range(3))] == [0, 1, 2]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("a word between") == 3


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_processes_end_when_their_parent_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    places = [Path("/proc", number) for number in done.stdout.split()]
    assert len(places) == 2
    for _ in range(600):
        alive = [place for place in places if place.exists() and "Z" not in (place / "stat").read_text().split()[2]]
        if not alive:
            break
        time.sleep(0.05)
    assert not alive
    assert done.stderr == ""
