"""Studies and several seeds of every task that `train` knows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bertworks.errors import Interrupted
from bertworks.estimators.task_training import TaskTraining

from .conftest import Bertworks, review_rows
from .test_studies import QUICK

ROWS = 36


def _words(text: str, label: str) -> dict[str, Any]:
    words = text.split()
    return {"tokens": words, "tags": ["B-THING" if i == 1 else "O" for i in range(len(words))]}


def _choice(text: str, label: str) -> dict[str, Any]:
    return {"question": text, "choices": ["praise", "blame"], "answer": int(label == "negative")}


def _question(text: str, label: str) -> dict[str, Any]:
    context = text.split()[1]
    asked = f"{context} was it"  # a context of several questions
    return {"question": text, "context": asked, "answers": {"text": [context], "answer_start": [0]}}


def _pair(text: str, label: str) -> dict[str, Any]:
    return {"text1": text, "text2": label, "score": 1.0 if "good" in text else len(text) / 100}


def _labelled(text: str, label: str) -> dict[str, Any]:
    return {"text": text, "label": label}


TASKS: dict[str, tuple[Callable[[str, str], dict[str, Any]], str, tuple[str, ...]]] = {
    "entities": (_words, "conlleval_f1", ()),
    "choices": (_choice, "accuracy", ()),
    "answers": (_question, "f1", ()),
    "embeddings": (_pair, "spearman", ()),
    "few-shot": (_labelled, "accuracy", ("--pairs-per-text", "1")),
}


class Command(NamedTuple):
    """A task, what a command about it is given, and the name of its main metric."""

    task: str
    arguments: list[str]
    headline: str


@pytest.fixture(params=list(TASKS))
def command(request: pytest.FixtureRequest, work: Path, encoder: Path) -> Command:
    make, headline, more = TASKS[request.param]
    with open(work / "rows.jsonl", "w") as file:
        file.writelines(json.dumps(make(*row)) + "\n" for row in review_rows(ROWS, seed=3))
    return Command(request.param, ["rows.jsonl", "--task", request.param, "--model", str(encoder), *QUICK, *more, "--json"], headline)


def test_a_search_keeps_the_best(bertworks: Bertworks, work: Path, command: Command) -> None:
    rate = command.arguments.index("--learning-rate")
    arguments = [*command.arguments[:rate], *command.arguments[rate + 2 :], "--grid", "learning_rate=1e-5,5e-3", "-o", "tuned"]
    found = bertworks("tune", *arguments).json
    assert found["headline"] == command.headline
    assert [trial["learning_rate"] for trial in found["trials"]] == [1e-5, 5e-3]
    best = max(found["trials"], key=lambda trial: float(trial[command.headline]))["name"]
    assert found["best"] == best
    kept, chosen = (sorted(p.relative_to(f) for p in f.rglob("*")) for f in (work / "tuned/model", work / "tuned" / best / "model"))
    assert kept == chosen
    again = bertworks("tune", *arguments).json
    assert again == found, "and nothing is trained twice"


def test_every_row_is_validated_on_once(bertworks: Bertworks, work: Path, command: Command) -> None:
    found = bertworks("cross-validate", *command.arguments, "--folds", "2", "-o", "cv").json
    assert sum(trial["rows"] for trial in found["trials"]) == ROWS
    assert all(trial["metrics"]["rows"] == trial["rows"] for trial in found["trials"])
    assert found["mean"] == pytest.approx(sum(trial[command.headline] for trial in found["trials"]) / 2)


def test_a_learning_curve(bertworks: Bertworks, command: Command) -> None:
    found = bertworks("learning-curve", *command.arguments, "--shares", "0.5,1", "-o", "curve").json
    part, whole = (trial["rows"] for trial in found["trials"])
    assert 0 < part < whole < ROWS
    assert abs(part - whole / 2) <= (6 if command.task == "answers" else 1), "questions on one context stay together"


def test_several_seeds(bertworks: Bertworks, work: Path, command: Command) -> None:
    found = bertworks("train", *command.arguments, "--seeds", "2", "-o", "seeds").json
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    scores = [row[command.headline] for row in found["seeds"]]
    assert found["mean"] == pytest.approx(sum(scores) / 2)
    best = work / f"seeds/seed-{scores.index(max(scores))}"
    weights = [next((folder / "model").rglob("*.safetensors")).read_bytes() for folder in (work / "seeds", best)]
    assert weights[0] == weights[1]
    assert bertworks("train", "--resume", "seeds", "--json").json["mean"] == found["mean"]


def test_other_rows_are_refused(bertworks: Bertworks, work: Path, command: Command) -> None:
    line = ["learning-curve", *command.arguments, "--shares", "1", "-o", "curve"]
    assert bertworks(*line).code == 0
    lines = (work / "rows.jsonl").read_text().splitlines(keepends=True)
    (work / "rows.jsonl").write_text("".join([*lines[1:], lines[5]]))
    told = bertworks(*line)
    assert told.code == 3
    assert "curve holds trainings on other data (changed since: rows" in told.err.splitlines()[-1]


def test_seeds_go_on_where_they_stopped(bertworks: Bertworks, work: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["train", *command.arguments, "--seeds", "2"]
    assert bertworks(*line, "-o", "whole").code == 0
    usual, begun = TaskTraining.train_in, list[str]()

    def stops_at_the_second(self: TaskTraining, folder: Path, *rest: Any) -> Any:
        if folder.name == "seed-1" and not begun:
            begun.append(folder.name)
            raise Interrupted(f"stopped; go on with: bertworks train --resume {folder}")
        return usual(self, folder, *rest)

    monkeypatch.setattr(TaskTraining, "train_in", stops_at_the_second)
    assert bertworks(*line, "-o", "stopped").code == 130
    found = bertworks("train", "--resume", "stopped", "--json").json
    assert [row[command.headline] for row in found["seeds"]] == [
        row[command.headline] for row in json.loads((work / "whole/metrics.json").read_text())["seeds"]
    ]
