"""Commands on labelled words."""

import json
from pathlib import Path

import pytest

from bertworks.data.conll import write_conll
from tests.cli.conftest import FAST, Bertworks
from tests.estimators.test_entities import made


def write(path: Path, rows: int, seed: int = 0) -> Path:
    path.write_text(write_conll([[words, tags] for words, tags in zip(*made(rows, seed), strict=True)]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_folder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bertworks.estimators.workflows import train

    folder = tmp_path_factory.mktemp("runs")
    settings = {"epochs": 6, "learning_rate": 0.01, "batch_size": 16, "precision": "float32", "threads": 1}
    data = write(folder / "train.conll", 100)
    return train(data, model=encoder, output=folder / "names", validation=write(folder / "dev.conll", 30, seed=1), **settings).folder


def test_train_tells_the_task_by_the_data_and_keeps_everything(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "names.conll", 40)
    found = bertworks("train", "names.conll", "--model", encoder, *FAST, "--json").json
    run = work / found["folder"]
    assert run.name == "names-1"
    assert found["headline"] == "conlleval_f1"
    assert set(found["baselines"]) == {"most frequent tag of each word"}
    assert {p.name for p in run.iterdir()} >= {"config.toml", "log.jsonl", "model", "metrics.json", "report.html", "predictions.parquet"}
    report = (run / "report.md").read_text()
    assert "finds entities in texts, of 2 types: LOC, PER" in report
    assert "F1 (strict)" in report
    assert "found with other borders" in report
    card = (run / "model" / "README.md").read_text()
    assert "pipeline_tag: token-classification" in card
    again = bertworks("train", "--resume", run, "--json").json
    assert again["validation"] == found["validation"]
    assert "leave out epochs" in bertworks("train", "--resume", run, "--epochs", "9").error


def test_transitions(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "names.conll", 40)
    found = bertworks("train", "names.conll", "--model", encoder, *FAST, "--transitions", "--json").json
    settings = json.loads((work / found["folder"] / "model" / "bertworks.json").read_text())["settings"]
    assert settings["transitions"]
    assert bertworks("evaluate", found["folder"], "names.conll").code == 0
    outcome = bertworks("train", "names.conll", "--task", "answers", "--model", encoder, "--transitions")
    assert outcome.code == 2
    assert "no option 'transitions' for the task 'answers'" in outcome.error


def test_several_seeds(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "names.conll", 24)
    found = bertworks("train", "names.conll", "--model", encoder, *FAST, "--epochs", "1", "--seeds", "2", "--json").json
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    assert (work / found["folder"] / "model" / "config.json").exists()


def test_evaluate(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    write(work / "test.conll", 30, seed=2)
    outcome = bertworks("evaluate", run_folder, "test.conll")
    assert outcome.code == 0
    assert "conlleval f1" in outcome.out
    assert "strict f1" in outcome.out
    assert "what became of them: correct" in outcome.out
    assert bertworks("evaluate", run_folder, "test.conll", "--json").json["metrics"]["conlleval_f1"] > 0.9


def test_evaluate_reads_tags_in_their_own_scheme(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    words, tags = made(30, seed=2, scheme="BIOES")
    (work / "bioes.conll").write_text(write_conll([[w, t] for w, t in zip(words, tags, strict=True)]))
    write(work / "iob2.conll", 30, seed=2)
    scores = [bertworks("evaluate", run_folder, name, "--json").json["metrics"]["conlleval_f1"] for name in ("bioes.conll", "iob2.conll")]
    assert scores[0] == scores[1]
    assert "tags are read as IOB1\n" in bertworks("evaluate", run_folder, "iob2.conll", "--scheme", "IOB1").out
    assert "labels of single words" in bertworks("evaluate", run_folder, "bioes.conll", "--scheme", "words").error
    assert "Did you mean 'BIOES'" in bertworks("evaluate", run_folder, "bioes.conll", "--scheme", "BIOS").error
    assert "no option 'scheme' for the task 'classification'" in bertworks("inspect", "train.csv", "--scheme", "IOB2").error
    assert bertworks("inspect", "iob2.conll", "--scheme", "IOB2", "--json").code == 0


def test_predict_marks_entities_in_the_text(bertworks: Bertworks, run_folder: Path) -> None:
    outcome = bertworks("predict", run_folder, "the film by Zola Brix in Kyoto.")
    assert outcome.code == 0
    assert outcome.out.startswith("the film by [Zola Brix PER ")
    found = bertworks("predict", run_folder, "the film by Zola Brix in Kyoto.", "--json").json
    assert [(e["text"], e["start"], e["end"]) for e in found["entities"]] == [("Zola Brix", 12, 21), ("Kyoto", 25, 30)]


def test_predict_a_file_keeps_the_other_columns(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    (work / "in.csv").write_text("id,text\n7,the film by zola in oslo\n8,\n")
    assert bertworks("predict", run_folder, "--file", "in.csv", "--output", "out.jsonl").code == 0
    rows = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["7", "8"]
    assert [e["text"] for e in rows[0]["entities"]] == ["zola", "oslo"]
    assert rows[1]["entities"] == []
    write(work / "words.conll", 3)
    assert bertworks("predict", run_folder, "--file", "words.conll", "--output", "out.conll").code == 0
    given, written = ((work / name).read_text().splitlines() for name in ("words.conll", "out.conll"))
    assert [line.rpartition("\t")[0] for line in written] == given
    assert "for words" in bertworks("predict", run_folder, "--file", "in.csv", "--output", "out.conll").error


def test_inspect_finds_what_would_spoil_a_training(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    lines = write(work / "train.conll", 20).read_text()
    (work / "train.conll").write_text(lines + "dog\tO\ncat\tI-PER\n\nдом\tO\n\n")
    write(work / "dev.conll", 5)
    found = bertworks("inspect", "train.conll", "--against", "dev.conll", "--model", encoder, "--json").json
    titles = {finding["title"]: finding for finding in found["findings"]}
    assert titles["Tags that break the rules of IOB2"]["examples"] == ["row 20: dog/O cat/I-PER"]
    assert titles["Unknown words"]["rows"] == [21]
    assert "Texts of dev.conll that stand here too" in titles
    assert found["labels_count"] == "entities"
    assert set(found["labels"]) == {"PER", "LOC"}
    assert "labels (2) of " in bertworks("inspect", "train.conll", "--model", encoder).out


def test_explain(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    outcome = bertworks("explain", run_folder, "the film by zola in oslo", "--target", "oslo", "--output", "x.html")
    assert outcome.code == 0
    assert "oslo → LOC" in outcome.out
    assert "integrated gradients of the mean logit of B-LOC" in outcome.out
    assert "oslo" in (work / "x.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "names.conll", "--pair", "x"), "no option 'pair' for the task 'entities'"),
        (("train", "names.conll", "--no-calibrate"), "no option 'calibrate' for the task 'entities'"),
        (("train", "names.conll", "--task", "entity"), "Did you mean 'entities'"),
        (("train", "names.conll", "--epochs", "0"), "epochs"),
        (("train", "bad.conll"), "bad.conll, line 2"),
        (("train", "gone.conll"), "'gone.conll' does not exist"),
        (("train", "train.csv", "--task", "entities"), "no words with tags and no text with entities"),
        (("inspect", "names.conll", "--kind", "multi"), "no option 'kind' for the task 'entities'"),
    ],
)
def test_wrong_arguments_get_one_line(bertworks: Bertworks, work: Path, arguments: tuple[str, ...], message: str) -> None:
    write(work / "names.conll", 5)
    (work / "bad.conll").write_text("a\tO\nb\n\nc\tB-X\nd\tO\n")
    assert message in bertworks(*arguments).error


def test_options_of_other_tasks_are_refused(bertworks: Bertworks, run_folder: Path) -> None:
    assert "no option 'probabilities'" in bertworks("predict", run_folder, "a text", "--probabilities").error
    assert "no option 'pair'" in bertworks("evaluate", run_folder, "names.conll", "--pair", "x").error
