"""The verbs for question answering, in Python and on the command line."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertworks as bw
from bertworks.cli.main import run
from bertworks.data.holdout import hold_out_part
from bertworks.data.question_examples import QuestionExample
from bertworks.data.questions import read_questions
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.train_report import TrainReport
from bertworks.estimators.verbs.explain import explain
from bertworks.estimators.verbs.predict import answers
from bertworks.evaluation.squad import squad_v2

SETTINGS: dict[str, Any] = {"epochs": 5, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "device": "cpu"}


def squad(examples: list[QuestionExample]) -> dict[str, Any]:
    """The examples as a SQuAD object."""
    articles = []
    for example in examples:
        answers = [{"text": answer.text, "answer_start": answer.start} for answer in example.answers or ()]
        entry = {"id": example.id, "question": example.question, "answers": answers, "is_impossible": not answers}
        articles.append({"title": example.title, "paragraphs": [{"context": example.context, "qas": [entry]}]})
    return {"version": "v2.0", "data": articles}


@pytest.fixture(scope="session")
def files(examples: Callable[..., list[QuestionExample]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("squad")
    for name, rows, seed in (("train", 120, 0), ("dev", 40, 1)):
        (folder / f"{name}.json").write_text(json.dumps(squad(examples(rows, seed))), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained(files: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """A run whose data are recognised as questions."""
    output = tmp_path_factory.mktemp("runs") / "run"
    return bw.train(str(files / "train.json"), model=tiny_bert, output=output, validation=str(files / "dev.json"), **SETTINGS)


def test_a_run_folder_holds_everything(trained: Any) -> None:
    folder: Path = trained.folder
    names = ("config.toml", "log.jsonl", "metrics.json", "accounting.json", "inspection.json", "lost_answers.json", "predictions.parquet")
    for name in (*names, "report.md", "report.html", "model/README.md"):
        assert (folder / name).exists(), name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"] == "f1"
    assert metrics["validation"]["f1"] == trained.metrics["f1"] > 0.5
    baselines = metrics["baselines"]
    assert baselines["no answer, always"]["f1"] == pytest.approx(
        1 - trained.metrics["rows_of_kinds"]["has_answer"] / trained.metrics["rows"]
    )
    overlap = baselines["sentence that shares most words with the question"]
    assert overlap["no_answer_accuracy"] == 0 < overlap["f1"]
    assert json.loads((folder / "lost_answers.json").read_text()) == {"lost_answers": []}
    assert json.loads((folder / "accounting.json").read_text())["training"]["rows"] == 120
    assert "bertworks answer" in trained.next_steps[0]


def test_the_baseline_is_a_sentence_of_the_context_and_the_one_with_most_words() -> None:
    from bertworks.estimators.answers.assessment import nearest_sentences

    context = "The mill was sold in May. Rain fell on the old bridge! Nobody came; the bridge burnt."
    asked = ["Who came to the mill?", "When did rain fall on the bridge?", "Why?"]
    found = nearest_sentences([QuestionExample(question, context) for question in asked])
    assert found == ["The mill was sold in May.", "Rain fell on the old bridge!", "The mill was sold in May."]


def test_evaluate_and_predict_agree_with_the_official_numbers(trained: Any, files: Path, tmp_path: Path) -> None:
    report = bw.evaluate(trained.folder, str(files / "dev.json"), precision="float32", results=tmp_path / "answers.csv")
    assert report.metrics["f1"] == pytest.approx(trained.metrics["f1"], abs=1e-6)
    predicted = bw.predict(trained.folder, file=str(files / "dev.json"), output=tmp_path / "answers.json", precision="float32")
    answers = {e.id: [a.text for a in e.answers or ()] for e in read_questions(files / "dev.json").examples}
    official = squad_v2(answers, json.loads((tmp_path / "answers.json").read_text()))
    assert official["f1"] == pytest.approx(100 * report.metrics["f1"])
    assert official["exact"] == pytest.approx(100 * report.metrics["exact_match"])
    doubts = json.loads((tmp_path / "answers.no_answer.json").read_text())
    assert doubts.keys() == answers.keys()
    assert predicted.counts.total() == 40
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["f1"]) for row in rows) / 40 == pytest.approx(report.metrics["f1"])
    assert all(mistake["prediction"] for mistake in report.mistakes)


def test_mistakes_name_the_rows_of_the_source(trained: Any, files: Path, tmp_path: Path) -> None:
    """Whichever rows are read, and in whichever order; here no question has an answer, and the model gives some."""
    rows = [{"id": e.id, "question": e.question, "context": e.context, "answer": ""} for e in read_questions(files / "dev.json").examples]
    rows.insert(2, {"id": "bad", "question": "", "context": "the cow", "answer": ""})
    for options in ({}, {"shuffle_seed": 1}, {"split": "[7:]", "shuffle_seed": 2, "limit": 20}):
        report = bw.evaluate(trained.folder, rows, task="answers", on_bad_rows="drop", **options)
        assert report.mistakes
        assert [rows[mistake["row"]]["id"] for mistake in report.mistakes] == [mistake["id"] for mistake in report.mistakes]


def test_a_table_keeps_ids_and_questions(trained: Any, files: Path, tmp_path: Path) -> None:
    bw.predict(trained.folder, file=str(files / "dev.json"), output=tmp_path / "answers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    contexts = {e.id: e.context for e in read_questions(files / "dev.json").examples}
    assert [row["id"] for row in rows] == list(contexts)
    assert all(contexts[row["id"]][row["start"] : row["end"]] == row["answer"] for row in rows)


def test_a_run_goes_on_to_the_same_bits(trained: Any, files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy)
    for name in ("model", "report"):
        shutil.rmtree(copy / name)
    (copy / "metrics.json").unlink()
    again = bw.train(resume=copy)
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (copy, trained.folder)]
    assert weights[0] == weights[1]
    assert again.metrics == trained.metrics
    assert bw.train(resume=copy).was_finished
    with pytest.raises(SettingsError, match="leave out epochs"):
        bw.train(resume=copy, epochs=3)


def test_seeds_keep_the_best(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    report = bw.train(str(files / "train.json"), model=tiny_bert, output=tmp_path / "runs", seeds=2, **{**SETTINGS, "epochs": 1})
    assert [result.seed for result in report.seeds] == [0, 1]
    assert report.metrics is not None
    assert report.metrics["f1"] == max(result.score for result in report.seeds)


def test_inspect_finds_what_would_spoil_a_training(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    document = json.loads((files / "train.json").read_text())
    entries = [article["paragraphs"][0]["qas"][0] for article in document["data"]]
    with_answers = [entry for entry in entries if entry["answers"]]
    with_answers[0]["answers"][0]["text"] = "Absent"
    with_answers[1]["answers"][0] |= {
        "text": with_answers[1]["answers"][0]["text"][1:],
        "answer_start": with_answers[1]["answers"][0]["answer_start"] + 1,
    }
    entries[5]["id"] = entries[6]["id"]
    document["data"].append(json.loads(json.dumps(document["data"][7])))
    document["data"][3]["paragraphs"][0]["context"] *= 12
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    report = bw.inspect(str(path), model=tiny_bert, against=str(files / "train.json"))
    shuffled = bw.inspect(str(path), model=tiny_bert, shuffle_seed=1)
    ids = [entry["id"] for article in document["data"] for entry in article["paragraphs"][0]["qas"]]
    for finding in (f for f in shuffled.inspection.findings if f.title in ("Answers that cannot be found", "An id that is not one")):
        assert {ids[row] for row in finding.rows} <= {with_answers[0]["id"], entries[6]["id"], entries[7]["id"]}
    titles = {finding.title: finding for finding in report.inspection.findings}
    assert titles["Answers that cannot be found"].count == 1
    assert "Absent" in titles["Answers that cannot be found"].examples[0]
    assert "widened" in titles["Answers that were changed, or will not be given"].message
    assert titles["Questions asked twice"].count == 1
    assert titles["An id that is not one"].count >= 4
    assert titles["Contexts longer than the model reads at once"].count == 1
    assert titles["Questions in both sources"].count > 100
    assert titles["Questions without an answer"].level == "note"
    assert "--task answers" in report.next_steps[0]


def test_whole_contexts_are_held_out(examples: Callable[..., list[QuestionExample]]) -> None:
    rows = examples(30)
    several = [QuestionExample(f"{e.question} {i}", e.context, e.answers, f"{e.id}-{i}") for e in rows for i in range(3)]
    data = read_questions(several)
    kept, held = hold_out_part(data, 0.2, seed=1)
    assert held is not None
    assert len(kept) + len(held) == 90
    assert 15 <= len(held) <= 21
    assert not {e.context for e in kept.examples} & {e.context for e in held.examples}
    assert hold_out_part(read_questions(several[:3]), 0.5, seed=1)[1] is None
    with pytest.raises(SettingsError, match="validation_fraction"):
        hold_out_part(data, 1.0, seed=1)


def test_questions_that_are_too_long_are_refused_or_counted_everywhere(files: Path, tiny_bert: Path, tmp_path: Path) -> None:
    long = {"id": "long", "question": "story " * 40, "answers": [], "is_impossible": True}
    for name in ("train", "dev"):
        document = json.loads((files / f"{name}.json").read_text())
        document["data"].insert(3, {"title": "Long", "paragraphs": [{"context": "song " * 50, "qas": [long]}]})
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    train, dev = str(tmp_path / "train.json"), str(tmp_path / "dev.json")
    settings = {**SETTINGS, "epochs": 1, "model": tiny_bert, "output": tmp_path / "run"}
    with pytest.raises(DataError, match=r"question long \(article 'Long'\) has 40 tokens"):
        bw.train(train, validation=dev, **settings)
    report = bw.train(train, validation=dev, on_bad_rows="drop", **settings)
    dropped = {"a question too long to be read beside its context": 1}
    assert [report.accounting[part]["dropped"] for part in ("training", "validation")] == [dropped, dropped]
    assert report.metrics is not None
    assert report.metrics["rows"] == 40
    assert bw.evaluate(report.folder, dev, on_bad_rows="drop").metrics["rows"] == 40
    with pytest.raises(DataError, match="question long"):
        bw.evaluate(report.folder, dev)
    found = bw.predict(report.folder, file=dev, on_bad_rows="drop")
    assert len(found.predictions) == 40
    assert found.accounting.dropped == dropped


# ---- the command line


def test_answer_predict_and_explain_in_a_terminal(trained: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder, context = str(trained.folder), "the film was Lovely and the soup was cold."
    (tmp_path / "long.txt").write_text("the table and the window " * 60 + context, encoding="utf-8")
    assert run(["answer", folder, "what is good?", "--context", context, "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert context[answer["start"] : answer["end"]] == answer["text"]
    assert run(["answer", folder, "what is good?", "--file", str(tmp_path / "long.txt"), "-n", "2"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 2
    assert run(["predict", folder, "what is good?", context]) == 0
    assert capfd.readouterr().out.split("\t")[-1].strip() == "what is good?"
    assert run(["explain", folder, "what is good?", context, "-o", str(tmp_path / "why.html"), "--kind", "attribution"]) == 0
    assert "film" in (tmp_path / "why.html").read_text(encoding="utf-8")


def test_wrong_commands_say_what_is_wrong(trained: Any, files: Path, tiny_bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder, train = str(trained.folder), str(files / "train.json")
    wrong = [
        (["answer", folder, "what?"], "give either a context"),
        (["answer", str(tiny_bert), "what?", "-c", "x"], "no finished model"),
        (["train", train, "--kind", "single"], "no option 'kind' for the task 'answers'"),
        (["train", train, "--class-weights", "balanced"], "no option 'class_weights' for the task 'answers'"),
        (["train", train, "--task", "answer"], "Did you mean 'answers'"),
        (["explain", folder, "what?"], "give two texts"),
        (["evaluate", folder, str(files / "none.json")], "does not exist"),
    ]
    for arguments, message in wrong:
        assert run(arguments) in (2, 3, 4), arguments
        assert message in capfd.readouterr().err, arguments


def test_wrong_calls(trained: Any, files: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give either texts"):
        bw.predict(trained.folder)
    with pytest.raises(DataError, match="give a question and a context"):
        bw.predict(trained.folder, ["only a question"])
    with pytest.raises(DataError, match="the question of row 301 has 40 tokens"):
        list(answers(bw.load(trained.folder), [("what?", "a cow"), ("story " * 40, "song " * 50)], first_row=300))
    with pytest.raises(SettingsError, match="two texts"):
        explain(trained.folder, "what?")
    twice = tmp_path / "twice.jsonl"
    twice.write_text((json.dumps({"id": "a", "question": "what?", "context": "the cow"}) + "\n") * 2, encoding="utf-8")
    with pytest.raises(DataError, match="ids stand several times"):
        bw.predict(trained.folder, file=str(twice), output=tmp_path / "out.json")
