"""`bertworks compare`, and what `evaluate` shows besides numbers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from bertworks.evaluation.comparison import mcnemar_p_value

from .conftest import FAST, Bertworks


@pytest.fixture
def runs(trained: Path, bertworks: Bertworks, encoder: Path, work: Path) -> tuple[Path, Path]:
    """A good run, and a copy of it whose answers were made worse."""
    good, poor = work / "good", work / "poor"
    for folder in (good, poor):
        shutil.copytree(trained, folder)
    table = parquet.read_table(poor / "predictions.parquet")
    rows = table.to_pydict()
    for row in range(0, table.num_rows, 2):
        one, other = rows["probability_negative"][row], rows["probability_positive"][row]
        rows["probability_negative"][row], rows["probability_positive"][row] = other, one
    parquet.write_table(type(table).from_pydict(rows, schema=table.schema), poor / "predictions.parquet")
    return good, poor


def answers(folder: Path) -> tuple[np.ndarray[Any, Any], list[str]]:
    rows = parquet.read_table(folder / "predictions.parquet").to_pydict()
    predicted = [
        "negative" if a >= b else "positive" for a, b in zip(rows["probability_negative"], rows["probability_positive"], strict=True)
    ]
    return np.array([p == label for p, label in zip(predicted, rows["label"], strict=True)]), predicted


def test_two_runs_on_the_validation_rows_they_kept(runs: tuple[Path, Path], bertworks: Bertworks) -> None:
    good, poor = runs
    found = bertworks("compare", good, poor, "--json").json
    right, also_right = answers(good)[0], answers(poor)[0]
    accuracy = found["metrics"]["accuracy"]
    assert (accuracy["first"], accuracy["second"]) == pytest.approx((right.mean(), also_right.mean()))
    only = int((right & ~also_right).sum()), int((~right & also_right).sum())
    assert (found["mcnemar"]["only_first"], found["mcnemar"]["only_second"]) == only
    assert found["mcnemar"]["p_value"] == pytest.approx(mcnemar_p_value(*only))
    shown = bertworks("compare", good, poor)
    assert "McNemar" in shown.out
    assert f"{accuracy['first']:.4f}" in shown.out


def test_two_models_on_data(runs: tuple[Path, Path], bertworks: Bertworks) -> None:
    good, _ = runs
    found = bertworks("compare", good, good / "model", "--data", "test.csv", "--json").json
    assert found["rows"] == 40
    assert all(metric["difference"] == 0 and metric["p_value"] == 1 for metric in found["metrics"].values())
    assert "no difference" in found["verdict"]


def test_a_model_of_transformers_is_compared_with_an_own(runs: tuple[Path, Path], bertworks: Bertworks, work: Path) -> None:
    """Of it is not known whether it reads pairs."""
    theirs = Path(shutil.copytree(runs[0] / "model", work / "theirs"))
    (theirs / "bertworks.json").unlink()
    for pair in ((runs[0], theirs), (theirs, runs[0])):
        found = bertworks("compare", *pair, "--data", "test.csv", "--json").json
        assert found["metrics"]["accuracy"]["difference"] == 0
    (work / "pairs.csv").write_text("one,two,label\na film,a book,positive\na song,a game,negative\n")
    refused = bertworks("compare", theirs, runs[0], "--data", "pairs.csv", "--text", "one", "--pair", "two")
    assert (refused.code, "reads single texts, but pairs.csv gives pairs" in refused.error) == (3, True)


def test_an_unknown_label_is_told_by_its_row(runs: tuple[Path, Path], bertworks: Bertworks, work: Path) -> None:
    (work / "odd.csv").write_text('text,label\na film,positive\n"",negative\na song,negativ\n')
    refused = bertworks("compare", *runs, "--data", "odd.csv", "--on-bad-rows", "drop")
    assert refused.code == 3
    assert "odd.csv, row 2 (the first is 0): the label 'negativ' is none of the 2 labels of the models" in refused.error


def test_another_label_is_told_by_its_row(runs: tuple[Path, Path], bertworks: Bertworks) -> None:
    table = parquet.read_table(runs[1] / "predictions.parquet")
    rows = table.to_pydict()
    rows["label"][5] = "negative" if rows["label"][5] == "positive" else "positive"
    parquet.write_table(type(table).from_pydict(rows, schema=table.schema), runs[1] / "predictions.parquet")
    assert "they differ in row 5" in bertworks("compare", *runs).error


def test_runs_that_were_validated_on_other_rows(runs: tuple[Path, Path], bertworks: Bertworks, encoder: Path) -> None:
    good, _ = runs
    assert bertworks("train", "train.csv", "--model", encoder, "--output", "other", *FAST).code == 0
    told = bertworks("compare", good, "other")
    assert told.code == 3
    assert "--data test.csv" in told.error


def test_evaluate_shows_mistakes_and_writes_answers(runs: tuple[Path, Path], bertworks: Bertworks, work: Path) -> None:
    lines = (work / "test.csv").read_text().splitlines()
    other = {"positive": "negative", "negative": "positive"}
    text, label = lines[7].rsplit(",", 1)
    flipped = [*lines[:7], f"{text},{other[label]}", *lines[8:]]
    (work / "wrong.csv").write_text("\n".join(flipped) + "\n")
    found = bertworks("evaluate", runs[0], "wrong.csv", "--json", "--results", "rows.parquet").json
    assert any(mistake["row"] == 6 for mistake in found["mistakes"])  # the header is no row
    assert parquet.read_table(work / "rows.parquet").num_rows == 40
    shown = bertworks("evaluate", runs[0], "wrong.csv", "--mistakes", "1")
    assert shown.out.count("sure)") == 1
    assert "(95 %)" in shown.out
