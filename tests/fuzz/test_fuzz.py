"""Whatever bytes a reader is given, it gives a result or a deliberate error with a message that can be shown.

A few examples a target here; `make fuzz` runs the same targets for an hour, guided by coverage.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.fuzz.target import forget_home, only_deliberate_errors, scratch
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=1500)


@pytest.fixture(scope="module", autouse=True)
def _shared_files(one_thread: None) -> Iterator[None]:
    """What targets share is made once, and removed at the end."""
    yield
    forget_home()


def feed(target: str, data: bytes) -> None:
    with scratch() as folder:
        TARGETS[target].run(data, folder)


def mutated(target: str, seed: int) -> bytes:
    random = Random(seed)
    data = random.choice(TARGETS[target].seeds())
    for _ in range(random.choice([1, 1, 2, 3])):
        data = (TARGETS[target].mutate if random.random() < 0.8 else mutate_bytes)(data, random)
    return data


@pytest.mark.parametrize("target", TARGETS)
def test_valid_inputs_are_read(target: str) -> None:
    for data in TARGETS[target].seeds():
        feed(target, data)


@pytest.mark.parametrize("target", TARGETS)
@QUICK
@given(seed=st.integers(0, 2**32))
def test_damaged_inputs(target: str, seed: int) -> None:
    feed(target, mutated(target, seed))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@LONG
@given(seed=st.integers(0, 2**32))
def test_many_damaged_inputs(target: str, seed: int) -> None:
    feed(target, mutated(target, seed))


@pytest.mark.parametrize("target", TARGETS)
@QUICK
@given(data=st.binary(max_size=200))
@example(b"")
@example(b"\0" * 64)
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b"\xff\xfe\0\0")
@example(b"version https://git-lfs.github.com/spec/v1\n")
def test_any_bytes(target: str, data: bytes) -> None:
    feed(target, data)


def test_mutations_mostly_keep_the_format() -> None:
    kept = 0
    for seed in range(200):
        try:
            json.loads(mutate_json(b'{"a": [1, 2, {"b": "c"}], "d": null}', Random(seed)))
        except (ValueError, RecursionError):
            continue
        kept += 1
    assert 100 < kept < 200


def test_the_judge_of_messages() -> None:
    from bertworks.errors import CheckpointError, DataError

    with only_deliberate_errors():
        raise DataError("a plain message: mend the file")
    with only_deliberate_errors():
        raise CheckpointError("3 tensors do not fit the model", ["one", "two"])
    with pytest.raises(ZeroDivisionError), only_deliberate_errors():
        raise ZeroDivisionError
    for message in ("", "x" * 4000, "a\x1bb"):
        error = DataError("-")
        error.args = (message,)
        with pytest.raises(AssertionError), only_deliberate_errors():
            raise error


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is for Linux and not for every Python")
def test_the_harness_runs_and_reports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.harness", "labels", "--seconds", "5", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (outcome,) = json.loads((tmp_path / "summary.json").read_text())
    assert outcome["target"] == "labels"
    assert outcome["executions"] > 100
    assert outcome["corpus"] >= 6
    assert outcome["findings"] == []
