"""The command line as a process: pipes, Ctrl-C, readers that go away."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import FAST, Bertworks

BERTWORKS = [sys.executable, "-m", "bertworks"]
EXACT = ("--precision", "float32", "--threads", "1", "--batch-size", "16", "--learning-rate", "0.002")
pytestmark = pytest.mark.usefixtures("work")


def test_lines_are_answered_as_they_come(trained: Path, environment: dict[str, str]) -> None:
    with subprocess.Popen([*BERTWORKS, "predict", str(trained)], stdin=-1, stdout=-1, stderr=-1, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("this film was great", "", "this soup was awful"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            answer = process.stdout.readline().rstrip("\n").split("\t")
            assert (len(answer), answer[2]) == (3, text)
        process.stdin.close()
        assert process.wait(60) == 0


def test_nothing_piped_in(trained: Path, environment: dict[str, str]) -> None:
    done = subprocess.run([*BERTWORKS, "predict", str(trained)], input="", capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "error: standard input held no text\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")
def test_a_reader_that_goes_away(trained: Path, environment: dict[str, str]) -> None:
    command = f"yes 'the film was good' | head -3000 | '{sys.executable}' -m bertworks predict '{trained}' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_and_on_again(bertworks: Bertworks, encoder: Path, environment: dict[str, str]) -> None:
    train = ["train", "train.csv", "--model", str(encoder), "--epochs", "20", "--evaluations-per-epoch", "0.2", *EXACT]
    with subprocess.Popen([*BERTWORKS, *train, "-o", "cut"], stdout=-1, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step "):
                break
        process.send_signal(signal.SIGINT)
        stopped = process.stderr.read()
        assert process.wait(60) == 130
    assert stopped.splitlines()[-1].endswith("go on with: bertworks train --resume cut")
    assert "Traceback" not in stopped
    assert bertworks("train", "--resume", "cut", "--json").json["steps"] == 20 * 6
    assert bertworks(*train, "-o", "whole").code == 0
    assert Path("cut/model/model.safetensors").read_bytes() == Path("whole/model/model.safetensors").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_before_the_training(encoder: Path, environment: dict[str, str]) -> None:
    command = [*BERTWORKS, "train", "train.csv", "--model", str(encoder), *FAST]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment, start_new_session=True) as process:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert stderr.strip() in ("", "stopped") or process.returncode == -signal.SIGINT
