"""Several processes fine-tune as one does, for every task, and the command that began a run goes on with it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import SettingsError
from bertworks.training.distributed import _Group
from tests.conftest import make_reviews
from tests.training.runs_in_pieces import KILLED, TIMES
from tests.training.test_processes import LOST, codes, the_error
from tests.training.test_torchrun import process_of_rank
from tests.training.together import Ended, Together

SETTINGS = {"epochs": "4", "batch-size": "8", "learning-rate": "0.01", "token-budget": "120", "precision": "float32"}
SETTINGS |= {"checkpoint-steps": "2", "log-steps": "1", "evaluations-per-epoch": "0.5", "device": "cpu"}


@dataclass
class Trainings:
    """Fine-tunings on a few rows."""

    together: Together
    home: Path
    model: Path

    def command(self, folder: str, data: str = "reviews.csv", *more: str, **settings: str) -> list[str]:
        """The command of one."""
        options = {**SETTINGS, "model": str(self.model), "output": str(self.home / folder)}
        options |= {name.replace("_", "-"): value for name, value in settings.items()}
        line = ["train", str(self.home / data), *(word for name, value in options.items() for word in (f"--{name}", value))]
        return [*line, *more]

    def run(self, size: int, folder: str, *arguments: str, signals: Any = None, **settings: str) -> list[Ended]:
        return self.together.ask(size, "command_line", line=self.command(folder, *arguments, **settings), **(signals or {}))

    def log(self, folder: str) -> list[dict[str, Any]]:
        """The lines of a run's log, without times."""
        lines = [json.loads(line) for line in (self.home / folder / "log.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]

    def metrics(self, folder: str) -> dict[str, Any]:
        return dict(json.loads((self.home / folder / "metrics.json").read_text()))

    def assert_same_bits(self, one: str, other: str) -> None:
        assert self.log(one) == self.log(other)
        assert self.metrics(one)["validation"] == self.metrics(other)["validation"]
        weights = ((self.home / folder / "model" / "model.safetensors").read_bytes() for folder in (one, other))
        assert len(set(weights)) == 1

    def assert_same_but_for_rounding(self, one: str, other: str) -> None:
        for mine, theirs in zip(self.log(one), self.log(other), strict=True):
            assert theirs == {name: pytest.approx(value, rel=1e-4) if isinstance(value, float) else value for name, value in mine.items()}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def trainings(make_bert: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    home = tmp_path_factory.mktemp("together")
    texts, labels = make_reviews(60)
    with open(home / "reviews.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    tagged = ["".join(f"{word}\t{'B-W' if i % 3 == 0 else 'O'}\n" for i, word in enumerate(text.split())) for text in texts]
    (home / "words.conll").write_text("\n".join(tagged))
    choices = ["good film", "bad film", "old hat"]
    chosen = [{"question": text, "choices": choices, "answer": int(label == "bad")} for text, label in zip(texts, labels, strict=True)]
    write_rows(home / "choices.jsonl", chosen)
    spans = [{"text": [text.split()[0]], "answer_start": [0]} for text in texts]
    asked = [{"id": str(i), "context": t, "question": "which word", "answers": spans[i]} for i, t in enumerate(texts)]
    write_rows(home / "answers.jsonl", asked)
    with open(home / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text1", "text2", "score"), *((text, texts[-1 - i], i / 60) for i, text in enumerate(texts))])
    together = Together()
    made = Trainings(together, home, make_bert())
    made.run(0, "warm", epochs="1")
    yield made
    together.close()


@pytest.fixture(scope="module")
def whole(trainings: Trainings) -> str:
    """The folder of a run of two processes that nobody disturbed."""
    ended = trainings.run(2, "whole")
    assert codes(ended) == [0, 0], ended[0].said
    assert not ended[1].said, "only the first tells"
    return "whole"


def test_losses_do_not_depend_on_the_number_of_processes(trainings: Trainings, whole: str) -> None:
    (ended,) = trainings.run(1, "alone")
    assert ended.code == 0, ended.said
    assert len(trainings.log("alone")) > 20
    trainings.assert_same_but_for_rounding("alone", whole)


@pytest.mark.parametrize("data", ["words.conll", "choices.jsonl", "answers.jsonl"])
def test_all_tasks_are_divided(trainings: Trainings, data: str) -> None:
    for size in (1, 2):
        ended = trainings.run(size, f"{data}-{size}", data, epochs="1")
        assert codes(ended) == [0] * size, [each.said for each in ended]
    trainings.assert_same_but_for_rounding(f"{data}-1", f"{data}-2")


@pytest.mark.parametrize("rank", [0, 1])
def test_the_command_that_began_a_run_goes_on_with_it(trainings: Trainings, whole: str, rank: int) -> None:
    folder = f"killed-{rank}"
    kill = {"kill": [[rank, str(trainings.home / folder / "log.jsonl"), 8]]}
    ended = trainings.run(2, folder, signals=kill)
    assert ended[rank].code == KILLED
    (error,) = ended[1 - rank].errors
    assert LOST in error
    assert error.endswith(f"go on with: torchrun --nproc-per-node 2 -m bertworks train --resume {trainings.home / folder}")
    ended = trainings.run(2, folder, seed="0")
    assert codes(ended) == [0, 0], "a setting that is the usual one is no other one"
    assert "going on at step" in ended[0].said
    trainings.assert_same_bits(folder, whole)
    ended = trainings.run(2, folder)
    assert codes(ended) == [0, 0], "and it may be given once more when all is done"
    assert "is finished already" in ended[0].said
    ended = trainings.run(2, folder, learning_rate="0.02", limit="50")
    assert "holds a run that was begun with other settings (learning_rate, limit): go on with it by --resume" in the_error(ended)


def test_ctrl_c_saves_once_and_all_stop(trainings: Trainings, whole: str) -> None:
    presses = {"interrupt": [[1, str(trainings.home / "stopped" / "log.jsonl"), 8]]}
    ended = trainings.run(2, "stopped", signals=presses)
    assert codes(ended) == [130, 130]
    assert the_error(ended, 130).startswith("stopped at step ")
    assert codes(trainings.run(2, "stopped")) == [0, 0]
    trainings.assert_same_bits("stopped", whole)


def test_several_seeds_go_on_too(trainings: Trainings) -> None:
    kill = {"kill": [[1, str(trainings.home / "seeds" / "seed-1" / "log.jsonl"), 4]]}
    assert codes(trainings.run(2, "seeds", epochs="1", seeds="2", signals=kill)) == [6, KILLED]
    assert codes(trainings.run(2, "seeds", epochs="1", seeds="2")) == [0, 0]
    assert codes(trainings.run(2, "seeds-whole", epochs="1", seeds="2")) == [0, 0]
    for name in ("seed-0", "seed-1"):
        trainings.assert_same_bits(f"seeds/{name}", f"seeds-whole/{name}")


def test_what_is_wrong_is_said_once_and_leaves_nothing(trainings: Trainings) -> None:
    line = trainings.command("wrong")
    nameless = [*line[: line.index("--output")], *line[line.index("--output") + 2 :]]
    assert "name its folder (--output)" in the_error(trainings.together.ask(2, "command_line", line=nameless))
    assert "does not exist" in the_error(trainings.run(2, "wrong", "none.csv"), 3)
    assert not (trainings.home / "wrong").exists()
    for task in ("few-shot", "embeddings"):
        data = "reviews.csv" if task == "few-shot" else "pairs.csv"
        assert "train with one process" in the_error(trainings.run(2, "vectors", data, "--task", task))
        assert not (trainings.home / "vectors").exists()
    assert "device 'meta' cannot be used here" in the_error(trainings.run(2, "vectors", device="meta"))
    assert not (trainings.home / "vectors").exists()
    assert codes(trainings.run(1, "plain", epochs="1")) == [0]
    assert "holds a run that torchrun did not begin: go on with it by --resume" in the_error(trainings.run(2, "plain", epochs="1"))


def test_a_device_that_several_processes_cannot_share_is_refused() -> None:
    with pytest.raises(SettingsError, match="device 'mps' cannot be shared by 2 processes: choose auto, cpu or cuda"):
        _Group(store=None, rank=0, size=2).place("mps")


@pytest.mark.slow
@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="children are found by Linux's /proc")
@pytest.mark.parametrize("size", [1, 2])
def test_torchrun_begins_again_what_was_killed(trainings: Trainings, size: int) -> None:
    """Of one process, too."""
    assert codes(trainings.run(size, f"undisturbed-{size}", epochs="20")) == [0] * size
    folder = f"torchrun-{size}"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), "--max-restarts", "2"]
    command = [*launcher, "-m", "bertworks", *trainings.command(folder, epochs="20")]
    log = trainings.home / folder / "log.jsonl"
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True) as started:
        while started.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 20):
            time.sleep(0.002)
        os.kill(process_of_rank(size - 1, started.pid), signal.SIGKILL)
        _, said = started.communicate()
    assert started.returncode == 0, said
    assert "going on at step" in said
    trainings.assert_same_bits(folder, f"undisturbed-{size}")
