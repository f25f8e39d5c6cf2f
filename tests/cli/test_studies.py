"""`tune`, `cross-validate` and `learning-curve`: several trainings, one table, gone on with where they stopped."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from sklearn.metrics import accuracy_score

from bertworks.data.holdout import Division
from bertworks.errors import DataError, Interrupted, SettingsError
from bertworks.estimators.row_results import RowResults
from bertworks.estimators.task_training import TaskTraining
from bertworks.estimators.verbs.cross_validate import cross_validate
from bertworks.estimators.verbs.learning_curve import learning_curve
from bertworks.estimators.verbs.tune import PAPER_GRID, tune
from bertworks.estimators.workflows import train

from .conftest import FAST, Bertworks, review_rows

QUICK = ("--learning-rate", "0.005", "--batch-size", "16", "--precision", "float32", "--threads", "1", "--epochs", "1")


def test_tune_keeps_the_best_and_shows_all(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    arguments = ("tune", "train.csv", "--model", encoder, "-o", "tuned", "--grid", "epochs=1,4;learning_rate=1e-6,5e-3")
    found = bertworks(*arguments, "--batch-size", "16", "--precision", "float32", "--threads", "1", "--json").json
    tried = [(trial["epochs"], trial["learning_rate"]) for trial in found["trials"]]
    assert tried == [(1.0, 1e-6), (1.0, 5e-3), (4.0, 1e-6), (4.0, 5e-3)]
    scores = [trial["accuracy"] for trial in found["trials"]]
    assert found["best"] == f"trial-{1 + int(np.argmax(scores)):03d}"
    best = work / "tuned" / found["best"]
    assert (work / "tuned/model/model.safetensors").read_bytes() == (best / "model/model.safetensors").read_bytes()
    metrics = json.loads((best / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == max(scores)
    with open(work / "tuned/trials.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["trial", "epochs", "learning rate", "accuracy", "seconds"]
    assert len(rows) == 5
    assert bertworks("predict", "tuned", "this soup was good").code == 0


def test_an_interrupted_study_goes_on(bertworks: Bertworks, encoder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("tune", "train.csv", "--model", encoder, "-o", "tuned", "--grid", "learning_rate=5e-4,5e-3", *QUICK[2:])
    begun: list[str] = []
    usual = TaskTraining.train_in

    def stops_at_the_second(self: TaskTraining, folder: Path, *rest: object) -> object:
        if folder.name == "trial-002" and not begun:
            begun.append(folder.name)
            raise Interrupted(f"stopped at step 1 of 6 and saved; go on with: bertworks train --resume {folder}")
        return usual(self, folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TaskTraining, "train_in", stops_at_the_second)
    assert bertworks(*arguments).code == 130
    first = (work / "tuned/trial-001/metrics.json").stat().st_mtime_ns
    assert bertworks(*arguments).code == 0
    assert (work / "tuned/trial-001/metrics.json").stat().st_mtime_ns == first, "what is finished is not trained again"
    assert bertworks("train", "--resume", "tuned").code == 2
    other = bertworks(*arguments[:-1], "2")  # another number of epochs
    assert other.code == 2
    assert "other settings" in other.error


def test_optuna_proposes_the_same_again(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    arguments = ("tune", "train.csv", "--model", encoder, "--search", "optuna", "--trials", "2", *QUICK[4:8], "--json")
    one, other = (bertworks(*arguments, "-o", name).json for name in ("one", "other"))
    settings = [[(t["learning_rate"], t["batch_size"], t["epochs"]) for t in found["trials"]] for found in (one, other)]
    assert settings[0] == settings[1]
    assert settings[0][0] != settings[0][1]


def test_every_row_is_answered_once_in_cross_validation(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    found = bertworks("cross-validate", "train.csv", "--folds", "3", "--model", encoder, "-o", "cv", *FAST, "--json").json
    rows = parquet.read_table(work / "cv/predictions.parquet").to_pydict()
    with open(work / "train.csv") as file:
        table = list(csv.DictReader(file))
    assert rows["text"] == [row["review"] for row in table]
    assert rows["label"] == [row["sentiment"] for row in table]
    weighted = sum(trial["accuracy"] * trial["rows"] for trial in found["trials"]) / len(table)
    assert accuracy_score(rows["label"], rows["prediction"]) == pytest.approx(weighted)
    scores = [trial["accuracy"] for trial in found["trials"]]
    assert found["mean"] == pytest.approx(np.mean(scores))
    assert found["standard_deviation"] == pytest.approx(np.std(scores, ddof=1))


def test_cross_validation_finds_wrong_labels(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    lines = (work / "train.csv").read_text().splitlines()
    other = {"positive": "negative", "negative": "positive"}
    for i in (11, 47):
        text, label = lines[i].rsplit(",", 1)
        lines[i] = f"{text},{other[label]}"
    (work / "train.csv").write_text("\n".join(lines) + "\n")
    shown = bertworks("cross-validate", "train.csv", "--folds", "3", "--model", encoder, "-o", "cv", *FAST)
    assert shown.code == 0
    assert "look" in shown.out.split("mean ± sd")[1]


def rare_labels(count: int) -> list[dict[str, Any]]:
    """Rows of which each of several labels has one alone; praise and blame beside them."""
    return [{"text": text, "labels": [label, f"rare {i}"] if i % 5 == 0 else [label]} for i, (text, label) in enumerate(review_rows(count))]


def test_labels_of_one_row_stay_in_training(encoder: Path, work: Path) -> None:
    settings: dict[str, Any] = {"kind": "multi", "model": encoder, "epochs": 1, "precision": "float32", "threads": 1}
    rows = rare_labels(60)
    report = train(rows, validation_fraction=0.4, output="run", **settings)
    assert report.metrics is not None
    seen = {row["label"] for row in report.metrics["per_label"]}
    assert seen == {name for row in rows for name in row["labels"]}
    found = learning_curve(rows, shares=[0.2, 1.0], output="curve", **settings)
    assert [trial.differs["share"] for trial in found.trials] == [0.2, 1.0]


def test_every_fold_knows_the_labels_of_all_rows(encoder: Path, work: Path) -> None:
    """A label of one row is learnt by no fold that is evaluated on it."""
    single = [{"text": text, "label": label} for text, label in review_rows(30)] + [{"text": "a book", "label": "unclear"}]
    settings: dict[str, Any] = {"folds": 3, "model": encoder, "epochs": 1, "precision": "float32", "threads": 1}
    for task, more in (("classification", {}), ("few-shot", {"pairs_per_text": 1})):
        found = cross_validate(single, task=task, output=task, **settings, **more)
        assert sum(trial.differs["rows"] for trial in found.trials) == 31
        rare = [row for trial in found.trials for row in trial.metrics["per_class"] if row["label"] == "unclear"]
        assert sorted(row["support"] for row in rare) == [0, 0, 1]
    assert all(row["recall"] == 0 for row in rare), "of a class without a text nothing is learnt"
    found = cross_validate(rare_labels(30), kind="multi", output="several", **settings)
    rows = parquet.read_table("several/predictions.parquet")
    assert [set(label) for label in rows["label"].to_pylist()] == [set(row["labels"]) for row in rare_labels(30)]


def test_answers_of_several_labels_are_those_of_the_folds(encoder: Path, work: Path) -> None:
    """Each fold has thresholds of its own."""
    rows = [{"text": text, "labels": [label, "long"] if len(text) > 48 else [label]} for text, label in review_rows(60)]
    settings: dict[str, Any] = {"kind": "multi", "model": encoder, "epochs": 1, "precision": "float32", "threads": 1, "learning_rate": 5e-3}
    found = cross_validate(rows, folds=3, output="cv", **settings)
    decided = [
        (row["text"], row["prediction"])
        for trial in found.trials
        for row in parquet.read_table(trial.folder / "predictions.parquet").to_pylist()
    ]
    joined = parquet.read_table("cv/predictions.parquet").to_pylist()
    assert [row["text"] for row in joined] == [row["text"] for row in rows]
    assert sorted((row["text"], row["prediction"]) for row in joined) == sorted(decided)
    limits = [RowResults(trial.folder / "predictions.parquet").thresholds for trial in found.trials]
    assert any(not np.array_equal(limits[0], other) for other in limits[1:]), "else this shows nothing"


def test_a_validation_file_with_an_unknown_label_is_refused(encoder: Path, work: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in review_rows(20)]
    held = [*rows[:3], {"text": "", "label": "negative"}, {"text": "a book", "label": "positiv"}]
    wanted = r"row 4 \(the first is 0\): the label 'positiv' is none of the 2 labels of the training data .*Did you mean 'positive'"
    for task in ("classification", "few-shot"):
        with pytest.raises(DataError, match=wanted):
            train(rows, validation=held, task=task, model=encoder, output="run", on_bad_rows="drop")
    assert not (work / "run").exists()


def test_a_learning_curve_has_nested_rows_and_one_test(bertworks: Bertworks, encoder: Path, work: Path) -> None:
    found = bertworks("learning-curve", "train.csv", "--shares", "0.3,1", "--model", encoder, "-o", "curve", *QUICK, "--json").json
    assert [trial["rows"] for trial in found["trials"]] == [26, 86]
    validated = [parquet.read_table(work / f"curve/{trial['name']}/predictions.parquet")["text"].to_pylist() for trial in found["trials"]]
    assert validated[0] == validated[1]
    seen = [json.loads((work / f"curve/{trial['name']}/accounting.json").read_text())["training"]["rows"] for trial in found["trials"]]
    assert seen == [26, 86]


def test_folds_hold_every_row_once_and_each_label_evenly() -> None:
    labels = ["a"] * 31 + ["b"] * 14 + ["c"] * 5
    folds = Division(labels).folds(4, seed=3)
    assert sorted(np.concatenate(folds).tolist()) == list(range(50))
    for name in "abc":
        counts = [sum(labels[i] == name for i in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_the_grid_of_the_paper() -> None:
    """Devlin et al. 2019, appendix A.3."""
    assert {name: set(values) for name, values in PAPER_GRID.items()} == {
        "batch_size": {16, 32},
        "learning_rate": {5e-5, 3e-5, 2e-5},
        "epochs": {2, 3, 4},
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("tune", "train.csv", "--grid", "papers"), 2, "no grid 'papers'. Did you mean 'paper'?"),
        (("tune", "train.csv", "--grid", "learning_rat=1e-4"), 2, "no setting 'learning_rat' to try. Did you mean 'learning_rate'?"),
        (("tune", "train.csv", "--grid", "epochs=two"), 2, "numbers with commas"),
        (("tune", "train.csv", "--grid", "epochs=-1"), 2, "epochs must be above 0"),
        (("tune", "train.csv", "--grid", "learning_rate=nan"), 2, "numbers with commas in between, not 'nan'"),
        (("tune", "train.csv", "--grid", "batch_size=8,inf"), 2, "numbers with commas in between, not '8,inf'"),
        (("tune", "train.csv", "--search", "random"), 2, "'grid' or 'optuna'"),
        (("tune", "train.csv", "--validation-fraction", "0"), 2, "validation data"),
        (("cross-validate", "train.csv", "--folds", "1"), 2, "at least 2"),
        (("cross-validate", "train.csv", "--folds", "1000"), 3, "cannot be divided into 1000 folds"),
        (("learning-curve", "train.csv", "--shares", "0,1"), 2, "(0, 1]"),
    ],
)
def test_wrong_arguments(bertworks: Bertworks, encoder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    told = bertworks(*arguments, "--model", encoder)
    assert told.code == code
    assert message in told.err.splitlines()[-1]


def test_values_that_are_no_numbers_can_be_tried(encoder: Path, work: Path) -> None:
    data = {"text": [text for text, _ in review_rows(48)], "label": [label for _, label in review_rows(48)]}
    settings: dict[str, Any] = {"epochs": 1, "precision": "float32", "threads": 1, "model": encoder}
    found = tune(data, grid={"schedule": ["linear", "constant"]}, output="tuned", **settings)
    assert [trial.differs for trial in found.trials] == [{"schedule": "linear"}, {"schedule": "constant"}]
    assert f"(schedule {found.best.differs['schedule']})" in found.lines[0]
    data["text"][0] += " indeed"
    with pytest.raises(DataError, match=r"tuned holds trainings on other data \(changed since: (rows|validation)\)"):
        tune(data, grid={"schedule": ["linear", "constant"]}, output="tuned", **settings)


def test_what_is_set_is_not_searched_for(encoder: Path, work: Path) -> None:
    data = {"text": [text for text, _ in review_rows(32)], "label": [label for _, label in review_rows(32)]}
    settings: dict[str, Any] = {"epochs": 0.5, "precision": "float32", "threads": 1, "model": encoder}
    found = tune(data, trials=2, output="grid", **settings)
    assert [set(trial.differs) for trial in found.trials] == [{"learning_rate", "batch_size"}] * 2
    assert "not searched for, as it was set: epochs 0.5" in found.lines
    found = tune(data, search="optuna", trials=2, batch_size=16, output="optuna", **settings)
    assert [set(trial.differs) for trial in found.trials] == [{"learning_rate"}] * 2
    assert "not searched for, as it was set: batch size 16, epochs 0.5" in found.lines
    with pytest.raises(SettingsError, match=r"epochs is set to 0\.5, and the grid would try other values: leave out one of the two"):
        tune(data, grid={"epochs": [1, 2]}, **settings)
    for search in ("grid", "optuna"):
        with pytest.raises(SettingsError, match="are all set, so there is nothing to search for: leave out one of them"):
            tune(data, search=search, batch_size=16, learning_rate=1e-4, **settings)


@pytest.mark.parametrize(
    ("task", "grid", "message"),
    [
        ("embeddings", {"objective": ["ranking", "simcse"]}, "there is no setting 'objective' to try"),
        ("embeddings", {"teacher": ["a", "b"]}, "teacher decides what is learnt, which is the same in every trial"),
        ("entities", {"scheme": ["IOB1", "IOB2"]}, "there is no setting 'scheme' to try"),
        ("classification", {"output": ["a", "b"]}, "there is no setting 'output' to try"),
    ],
)
def test_what_cannot_be_tried(work: Path, task: str, grid: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tune("train.csv", task=task, grid=grid)


def test_an_option_of_another_task_is_refused(work: Path) -> None:
    with pytest.raises(SettingsError, match="tune has no option 'pair' for the task 'entities'"):
        tune("train.csv", task="entities", pair="review")
    with pytest.raises(
        SettingsError, match=r"learning-curve has no option 'seeds' for the task 'classification'\.(?! Did you mean 'seeds')"
    ):
        learning_curve("train.csv", seeds=3)


def test_shares_that_groups_do_not_divide_into(encoder: Path, work: Path) -> None:
    """Questions on four contexts, the largest parts that stay together."""
    rows = [{"question": f"what is {i}", "context": f"thing {i % 4} is it", "answer": "thing"} for i in range(40)]
    settings: dict[str, Any] = {"task": "answers", "model": encoder, "epochs": 1, "precision": "float32", "threads": 1}
    settings |= {"validation": rows[:4]}
    found = learning_curve(rows, shares=[0.5, 0.9, 1.0], output="curve", **settings)
    assert [trial.differs for trial in found.trials] == [{"share": 0.5, "rows": 20}, {"share": 1.0, "rows": 40}]
    assert "left out, as they have the rows of the next larger share: 0.9" in found.lines
    with pytest.raises(DataError, match="the 40 rows do not divide into these shares: too many of them belong together"):
        learning_curve(rows, shares=[0.9, 1.0], output="other", **settings)


def test_texts_alone_cannot_be_cross_validated(encoder: Path, work: Path) -> None:
    with pytest.raises(SettingsError, match="has nothing to validate on"):
        cross_validate([text for text, _ in review_rows(20)], task="embeddings", model=encoder)
