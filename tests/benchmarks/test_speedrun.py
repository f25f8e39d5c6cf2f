"""The speedrun: records train and are judged as they should, the current one is run anew, the board says what was measured."""

import re
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import machine
from benchmarks.speedrun import __main__ as speedrun
from benchmarks.speedrun import plain, task
from benchmarks.speedrun.task import Course
from bertworks.tasks.masked_lm import MASKED_LM
from bertworks.tasks.masking import IGNORED
from tests.estimators.test_pretraining import write_text

SMALL = {"VOCABULARY": 160, "LENGTH": 32, "HELD_OUT": 0.15, "HELD_OUT_TOKENS": 640}
"""Sizes of the course for a text of a page."""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Course:
    for module in (task, plain, speedrun):
        for name, value in SMALL.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    return Course.prepare(write_text(tmp_path / "text.txt"), tmp_path / "course")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for results, a board and a target of its own."""
    monkeypatch.setattr(speedrun, "TARGET", 6.0)
    monkeypatch.setattr(speedrun, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(speedrun, "BOARD", tmp_path / "board.md")
    return tmp_path / "results"


def store(folder: Path, name: str, seconds: float, losses: list[float]) -> None:
    """Results of a record, a seed each loss."""
    usual = {"record": name, "seconds": seconds, "tokens": 2_460_000, "steps": 600, "commit": "abc1234"}
    runs = [{**usual, "seed": seed, "loss": loss} for seed, loss in enumerate(losses)]
    machine.write_result(folder, name, {"record": name, "runs": runs, "machine": {"cpu": "A processor"}})


def slow_loss(course: Course, folder: Path) -> float:
    """The mean negative log-probability of the hidden tokens by `transformers`, one sequence after the other."""
    from transformers import BertForMaskedLM

    model, batch = BertForMaskedLM.from_pretrained(folder).eval(), course.held_out
    losses: list[float] = []
    for a, b in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
        with torch.no_grad():
            scores = model(input_ids=torch.tensor(batch.input_ids[a:b][None].astype(np.int64))).logits[0].double()
        probabilities = scores.exp() / scores.exp().sum(-1, keepdim=True)
        for place, target in enumerate(batch.token_targets[MASKED_LM][a:b].tolist()):
            losses += [] if target == IGNORED else [-float(probabilities[place, target].log())]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("name", ["01-plain", "02-packed"])
def test_a_record_is_trained_and_judged_by_the_loss_on_hidden_tokens(name: str, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    wanted, judge = [], speedrun.judge

    def both(course: Course, folder: Path) -> float:
        wanted.append(slow_loss(course, folder))
        return judge(course, folder)

    recipe = speedrun.read(name)
    recipe["model"] |= {"hidden": 32, "layers": 2, "heads": 2}
    recipe["training"] |= {"batch_size": 8}
    monkeypatch.setattr(speedrun, "read", lambda name: deepcopy(recipe))
    monkeypatch.setattr(speedrun, "judge", both)
    made = speedrun.run(course, name, seed=3, threads=1, steps=3)
    assert (made["record"], made["seed"], made["steps"]) == (name, 3, 3)
    assert made["loss"] == pytest.approx(wanted[0], rel=1e-5)
    assert abs(made["loss"] - np.log(160)) < 1, "as good as nothing is learnt in three steps"
    assert 3 * 8 * 32 / 2 < made["tokens"] <= 3 * 8 * 32
    assert made["seconds"] > 0
    assert made["commit"] == machine.commit()


def test_all_are_judged_by_the_same_tokens(course: Course) -> None:
    first, again = course.held_out, Course(course.folder).held_out
    assert first.sequences == 640 // 32
    assert (first.input_ids == again.input_ids).all()
    hidden = first.token_targets[MASKED_LM] != IGNORED
    assert (hidden == (again.token_targets[MASKED_LM] != IGNORED)).all()
    assert 0.05 < hidden.mean() < 0.25


def test_the_current_record_is_the_fastest_that_met_the_target(results: Path) -> None:
    assert speedrun.current() == speedrun.names()[-1], "the newest, while there are no results"
    store(results, "01-plain", 1000.0, [5.9, 5.95, 6.0])
    store(results, "02-packed", 500.0, [5.9, 6.05, 6.02])
    store(results, "03-no-dropout", 100.0, [5.9, 6.1, 6.2])
    store(results, "04-muon", 50.0, [5.8, 5.9])  # two seeds are no record
    assert speedrun.current() == "02-packed"


@pytest.fixture
def call(results: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, int]]]:
    """Calls the command, with a training that takes no time; returns what was trained."""

    def command(*arguments: str) -> list[tuple[str, int]]:
        trained: list[tuple[str, int]] = []

        def run(course: Course, name: str, seed: int, threads: int, steps: int | None = None) -> dict[str, Any]:
            trained.append((name, seed))
            return {"record": name, "seed": seed, "seconds": 432.0, "loss": 5.875, "tokens": 1_000, "steps": 1, "commit": "def5678"}

        monkeypatch.setattr(speedrun, "run", run)
        monkeypatch.setattr(Course, "prepare", lambda text, folder: None)
        monkeypatch.setattr(sys, "argv", ["speedrun", *arguments])
        speedrun.main()
        return trained

    return command


def test_without_a_name_the_current_record_is_run_beside_its_results(
    call: Callable[..., list[tuple[str, int]]], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(results, "02-packed", 600.0, [5.9, 6.0, 5.95])
    before = (results / "02-packed.json").read_bytes()
    assert call("run") == [("02-packed", 0)], "though seed 0 has a result"
    now, stored = capsys.readouterr().out.splitlines()
    assert now.endswith("02-packed, now, seed 0: 7.20 min, loss 5.8750 (reaches 6), 1,000 tokens")
    assert stored.endswith("02-packed, stored, seeds 0, 1, 2: 10.00 min, loss 5.9500 (reaches 6), 2,460,000 tokens")
    assert [path.name for path in results.iterdir()] == ["02-packed.json"]
    assert (results / "02-packed.json").read_bytes() == before


def test_a_record_with_a_name_goes_on_where_it_stopped(call: Callable[..., list[tuple[str, int]]], results: Path) -> None:
    store(results, "02-packed", 600.0, [5.9])
    assert call("run", "02-packed", "--seeds", "0", "1", "--steps", "5") == [("02-packed", 0), ("02-packed", 1)]
    assert len(speedrun.result("02-packed")["runs"]) == 1, "another number of steps leaves no result"
    assert call("run", "02-packed", "--seeds", "0", "1") == [("02-packed", 1)]
    assert [run["seed"] for run in speedrun.result("02-packed")["runs"]] == [0, 1]
    assert "abc1234, def5678" in speedrun.BOARD.read_text(encoding="utf-8")


def test_the_commit_is_that_of_the_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (machine.ROOT / ".git").exists():
        assert re.fullmatch("[0-9a-f]{7,40}", machine.commit() or "")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine.commit() is None, "no clone"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() is None, "no git"


def test_the_board(results: Path) -> None:
    store(results, "01-plain", 1200.0, [5.9, 6.0, 6.05])
    store(results, "02-packed", 480.0, [6.1])
    without_commit = speedrun.result("02-packed")
    del without_commit["runs"][0]["commit"]
    head, *rows = speedrun.board([speedrun.result("01-plain"), without_commit, speedrun.result("05-rate-20")]).strip().splitlines()[4:]
    changed = [speedrun.read(name)["record"]["changed"] for name in ("01-plain", "02-packed")]
    assert head == "| record | changed | minutes | loss | seeds | tokens | machine | commit |"
    assert rows[1:] == [
        f"| 01-plain | {changed[0]} | 20.0 | 5.983 ± 0.076 | 3 | 2.46 M | A processor | abc1234 |",
        f"| 02-packed | {changed[1]} | 8.0 (2.5×) | 6.100 (missed) | 1 | 2.46 M | A processor | – |",
    ]
