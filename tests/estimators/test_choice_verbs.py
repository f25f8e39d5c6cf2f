"""The verbs for multiple choice in Python: a run folder, what is held out, going on, several seeds, and the numbers by another way."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from sklearn.metrics import accuracy_score, log_loss

import bertworks as bw
from bertworks.data.choices import read_choices
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.choices.data_settings import ChoiceSettings
from bertworks.estimators.choices.inspection import inspect_choices
from bertworks.evaluation.choice_baselines import choice_baselines
from tests.estimators.test_multiple_choice import questions

SETTINGS: dict[str, Any] = {"epochs": 6, "learning_rate": 0.003, "batch_size": 16, "precision": "float32", "device": "cpu", "dropout": 0.0}


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    columns = zip(*questions(count, seed), strict=True)
    return [
        {"id": f"{seed}-{i}", "question": text, "choices": of_row, "answer": "ABCD"[right]}
        for i, (text, of_row, right) in enumerate(columns)
    ]


def write(path: Path, count: int, seed: int = 0) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(count, seed)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choices")
    for name, count, seed in (("train", 120, 0), ("dev", 40, 1)):
        write(folder / f"{name}.jsonl", count, seed)
    return folder


@pytest.fixture(scope="module")
def trained(files: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run whose data are recognised as questions with choices."""
    output = tmp_path_factory.mktemp("runs") / "run"
    return bw.train(str(files / "train.jsonl"), model=tiny_bert, output=output, validation=str(files / "dev.jsonl"), **SETTINGS)


def test_a_run_folder_holds_everything(trained: Any, files: Path) -> None:
    folder: Path = trained.folder
    names = ("config.toml", "log.jsonl", "metrics.json", "accounting.json", "inspection.json", "predictions.parquet", "report.html")
    for name in (*names, "model/README.md"):
        assert (folder / name).exists(), name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] == "accuracy"
    assert metrics["validation"]["accuracy"] == trained.metrics["accuracy"] > 0.9
    assert set(metrics["baselines"]) == {"guessing", "the longest choice", "the most frequent place"}
    assert metrics["baselines"]["guessing"]["accuracy"] == pytest.approx(trained.metrics["chance"])
    assert json.loads((folder / "accounting.json").read_text())["training"]["rows"] == 120
    report = (folder / "report.md").read_text()
    assert "chooses, of several texts" in report
    assert "guessing" in report
    card = (folder / "model" / "README.md").read_text()
    assert "pipeline_tag: multiple-choice" in card
    assert 'model.predict(["A new text."], [[' in card
    assert "a first choice" in trained.next_steps[0]
    assert isinstance(bw.load(folder, verify=True), bw.MultipleChoice)


def test_the_numbers_are_those_of_scikit_learn(trained: Any, files: Path, tmp_path: Path) -> None:
    report = bw.evaluate(trained.folder, str(files / "dev.jsonl"), precision="float32", results=tmp_path / "answers.parquet")
    told = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    answers = [row["answer"] for row in told]
    model = bw.load(trained.folder, precision="float32", device="cpu")
    texts, choices, right = questions(40, seed=1)
    assert answers == right
    probabilities = model.predict_proba(texts, choices)
    padded = np.array([np.pad(values, (0, 4 - len(values))) for values in probabilities])
    assert report.metrics["accuracy"] == accuracy_score(right, padded.argmax(axis=1))
    assert report.metrics["log_loss"] == pytest.approx(log_loss(right, padded, labels=range(4)), rel=1e-5)
    assert report.metrics["chance"] == pytest.approx(np.mean([1 / len(of_row) for of_row in choices]))
    low, high = report.metrics["intervals"]["accuracy"]
    assert low < report.metrics["accuracy"] <= high
    assert trained.metrics["accuracy"] == report.metrics["accuracy"]
    for row, values in zip(told, probabilities, strict=True):
        np.testing.assert_allclose(row["probabilities"], values, rtol=1e-5)


def test_mistakes_are_the_surest_wrong_answers(trained: Any) -> None:
    model = bw.load(trained.folder, precision="float32", device="cpu")
    data = rows(30, seed=4)
    for row in data[:3]:  # of which the answers are made wrong
        row["answer"] = "B" if row["answer"] == "A" else "A"
    report = bw.evaluate(trained.folder, data, precision="float32", mistakes=2)
    chosen = model.predict_proba([row["question"] for row in data], [row["choices"] for row in data])
    wrong = [i for i, row in enumerate(data) if "ABCD"[int(chosen[i].argmax())] != row["answer"]]
    surest = sorted(wrong, key=lambda i: (-chosen[i].max(), i))[:2]
    assert [mistake["row"] for mistake in report.mistakes] == surest
    assert [mistake["label"] for mistake in report.mistakes] == [data[i]["choices"]["ABCD".index(data[i]["answer"])] for i in surest]


def test_predict_keeps_the_columns_of_a_file(trained: Any, files: Path, tmp_path: Path) -> None:
    bw.predict(trained.folder, file=str(files / "dev.jsonl"), output=tmp_path / "out.jsonl", probabilities=True, precision="float32")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    model = bw.load(trained.folder, precision="float32", device="cpu")
    texts, choices, _ = questions(40, seed=1)
    assert [row["choice"] for row in found] == model.predict(texts, choices).tolist()
    for row, given, values in zip(found, rows(40, seed=1), model.predict_proba(texts, choices), strict=True):
        assert {name: row[name] for name in given} == given
        assert row["prediction"] == row["choices"][row["choice"]]
        np.testing.assert_allclose(row["probabilities"], values, atol=1e-5)
        assert row["score"] == max(row["probabilities"])
    (some,) = bw.predict(trained.folder, [(texts[0], choices[0])], precision="float32").predictions
    assert some.to_dict() == {
        "text": texts[0],
        "prediction": found[0]["prediction"],
        "choice": found[0]["choice"],
        "score": found[0]["score"],
    }


def test_a_run_goes_on_to_the_same_bits(trained: Any, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy)
    for name in ("model", "report"):
        shutil.rmtree(copy / name, ignore_errors=True)
    (copy / "metrics.json").unlink()
    again = bw.train(resume=copy)
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (copy, trained.folder)]
    assert weights[0] == weights[1]
    assert again.metrics == trained.metrics
    assert bw.train(resume=copy).was_finished
    for given in ({"epochs": 3}, {"choices": "choices"}, {"first_choice": 1}):
        with pytest.raises(SettingsError, match=f"leave out {next(iter(given))}"):
            bw.train(resume=copy, **given)


def test_seeds_keep_the_best(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    report = bw.train(str(files / "train.jsonl"), model=tiny_bert, output=tmp_path / "runs", seeds=2, **{**SETTINGS, "epochs": 1})
    assert [result.seed for result in report.seeds] == [0, 1]
    assert report.metrics is not None
    assert report.metrics["accuracy"] == max(result.score for result in report.seeds)
    assert (tmp_path / "runs" / "model" / "config.json").exists()


def test_columns_and_numbers_are_remembered_by_the_run(tiny_bert: Path, tmp_path: Path) -> None:
    columns = [
        {"asked": row["question"], **{f"c{i}": choice for i, choice in enumerate(row["choices"])}, "right": "ABCD".index(row["answer"]) + 1}
        for row in rows(60)
    ]
    named = {"text": "asked", "choices": ["c0", "c1", "c2", "c3"], "label": "right", "first_choice": 1}
    report = bw.train(columns, task="choices", model=tiny_bert, output=tmp_path / "run", **named, **{**SETTINGS, "epochs": 1})
    assert report.accounting["validation"]["rows"] == 6
    config = (tmp_path / "run" / "config.toml").read_text()
    assert "first_choice = 1" in config
    assert '"c3"' in config


# ---- data


def test_questions_on_one_context_are_held_out_together() -> None:
    data = [{"context": f"story {i // 3}", "question": f"why {i}?", "choices": ["tea", "soup"], "answer": i % 2} for i in range(60)]
    kept, held, lines = ChoiceSettings(source=data, validation_fraction=0.2).read_choices()
    assert held is not None
    assert (len(kept), len(held)) == (48, 12)
    assert not set(kept.groups) & set(held.groups)
    assert kept.accounting.rows == 48
    assert any("same context" in line for line in lines)
    assert ChoiceSettings(source=data, validation_fraction=0).read_choices()[1] is None


def test_validation_data_count_as_the_training_data_do() -> None:
    train = [{"question": f"which {i}?", "choices": ["a b", "c d", "e f"], "answer": i % 3 + 1} for i in range(9)]
    held = [{"question": "and this?", "choices": ["a b", "c d", "e f"], "answer": 2}]
    data, validation, _ = ChoiceSettings(source=train, validation=held).read_choices()
    assert data.form is not None
    assert data.form.first == 1
    assert validation is not None
    assert validation.answers == [1]


def test_baselines_by_hand() -> None:
    draw = np.random.default_rng(0)
    choices = [["x" * int(n) for n in draw.integers(1, 9, int(draw.integers(2, 5)))] for _ in range(50)]
    answers = [int(draw.integers(len(of_row))) for of_row in choices]
    train = [int(draw.integers(3)) for _ in range(80)]
    found = choice_baselines(choices, answers, train)
    assert found["guessing"]["accuracy"] == pytest.approx(np.mean([1 / len(of_row) for of_row in choices]))
    longest = [np.array(list(map(len, of_row))).argmax() for of_row in choices]
    assert found["the longest choice"]["accuracy"] == pytest.approx(np.mean(np.array(longest) == answers))
    most = Counter(train).most_common(1)[0][0]
    places = [min(most, len(of_row) - 1) for of_row in choices]
    assert found["the most frequent place"]["accuracy"] == pytest.approx(np.mean(np.array(places) == answers))


def test_inspection_finds_what_would_spoil_a_training(files: Path, tiny_bert: Path) -> None:
    data = [
        {"question": "what was good?", "choices": ["tea", "tea", "soup"], "answer": "B"},
        {"question": "who came?", "choices": ["the dog", "the cat"], "answer": "A"},
        {"question": "who came?", "choices": ["the cat", "the dog"], "answer": "A"},
        {"question": "who came?", "choices": ["nobody"], "answer": "A"},
        {"question": "where?", "choices": ["in the old room " * 40, "here"], "answer": "B"},
    ]
    report = bw.inspect(data, against=data[1:2], model=tiny_bert)
    titles = {finding.title: finding for finding in report.inspection.findings}
    assert titles["The right choice twice"].rows == (0,)
    assert titles["Different answers to one question"].rows == (1,)
    assert titles["Questions in both sources"].count == 1
    assert titles["Questions that cannot be used"].count == 1
    assert report.inspection.labels == {"choice 2": 2, "choice 1": 2}
    assert report.inspection.lengths is not None
    assert report.inspection.lengths.over_limit == 1
    assert "--task choices" in bw.inspect(files / "train.jsonl", model=tiny_bert).next_steps[0]
    assert not [f for f in inspect_choices(read_choices(rows(10))).findings if f.level == "error"]


def test_the_data_to_test_on_need_no_answers(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    told = [json.loads(line) for line in (files / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    unanswered = tmp_path / "test.jsonl"
    unanswered.write_text("".join(json.dumps({k: v for k, v in row.items() if k in ("question", "choices")}) + "\n" for row in told))
    report = bw.inspect(files / "train.jsonl", against=unanswered, model=tiny_bert, limit=5)
    assert next(f.count for f in report.inspection.findings if f.title == "Questions in both sources") >= 5
    assert report.next_steps[0].endswith(f"--task choices --limit 5 --model {tiny_bert}")


# ---- what is wrong


def test_wrong_calls(trained: Any, files: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give either texts"):
        bw.predict(trained.folder)
    for wrong in ["a question", ("a question", ["one choice"]), ("a question", "ab")]:
        with pytest.raises(DataError, match="give a question and its choices"):
            bw.predict(trained.folder, [wrong])
    with pytest.raises(SettingsError, match="no option 'kind' for the task 'choices'"):
        bw.train(str(files / "train.jsonl"), kind="single")
    with pytest.raises(SettingsError, match="no option 'stride' for the task 'choices'"):
        bw.train(str(files / "train.jsonl"), stride=3, output=tmp_path / "none")
    with pytest.raises(DataError, match="row 1"):
        bw.evaluate(trained.folder, [{**row, "choices": row["choices"][: 4 - 3 * i]} for i, row in enumerate(rows(2))])
    assert not (tmp_path / "none").exists()
