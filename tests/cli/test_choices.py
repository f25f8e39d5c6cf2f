"""Commands on questions with choices."""

import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import FAST, Bertworks
from tests.estimators.test_choice_verbs import rows, write


@pytest.fixture(scope="module")
def run_folder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bertworks.estimators.workflows import train

    folder = tmp_path_factory.mktemp("runs")
    settings = {"epochs": 6, "learning_rate": 0.003, "batch_size": 16, "precision": "float32", "threads": 1, "dropout": 0.0}
    data = write(folder / "train.jsonl", 120)
    return train(data, model=encoder, output=folder / "quiz", validation=write(folder / "dev.jsonl", 30, seed=1), **settings).folder


def as_columns(path: Path, count: int, seed: int = 0) -> Path:
    """The same questions as CSV, with a column for each choice and the number of the right one from 1."""
    lines = ["question,option1,option2,option3,option4,answer"]
    for row in rows(count, seed):
        cells = [row["question"], *row["choices"], *[""] * (4 - len(row["choices"])), str("ABCD".index(row["answer"]) + 1)]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_train_tells_the_task_by_the_data_and_keeps_everything(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "quiz.jsonl", 60)
    found = bertworks("train", "quiz.jsonl", "--model", encoder, *FAST, "--epochs", "1", "--json").json
    run = work / found["folder"]
    assert run.name == "quiz-1"
    assert found["headline"] == "accuracy"
    assert found["baselines"]["guessing"]["accuracy"] == pytest.approx(found["validation"]["chance"])
    assert {p.name for p in run.iterdir()} >= {"config.toml", "log.jsonl", "model", "metrics.json", "report.html", "predictions.parquet"}
    again = bertworks("train", "--resume", run, "--json").json
    assert again["validation"] == found["validation"]
    assert "leave out choices" in bertworks("train", "--resume", run, "--choices", "choices").error


def test_train_shows_the_accuracy_beside_chance(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    as_columns(work / "quiz.csv", 40)
    outcome = bertworks("train", "quiz.csv", "--task", "choices", "--model", encoder, *FAST, "--epochs", "1")
    assert outcome.code == 0
    for told in ("accuracy", "log loss", "chance", "guessing", "the longest choice", 'quiz-1 "a question" "a first choice"'):
        assert told in outcome.out
    assert "answers are numbers of choices, counted from 1" in outcome.err


def test_evaluate(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    write(work / "test.jsonl", 30, seed=2)
    as_columns(work / "test.csv", 30, seed=2)
    outcome = bertworks("evaluate", run_folder, "test.jsonl", "--results", "answers.parquet")
    assert outcome.code == 0
    assert "answers are letters" in outcome.out
    assert (work / "answers.parquet").exists()
    found = [bertworks("evaluate", run_folder, name, "--json").json["metrics"] for name in ("test.jsonl", "test.csv")]
    assert found[0] == found[1]
    assert found[0]["accuracy"] > 0.9
    options = [option for i in (1, 2, 3, 4) for option in ("--choices", f"option{i}")]
    named = bertworks("evaluate", run_folder, "test.csv", "--text", "question", *options, "--first-choice", "1", "--json").json["metrics"]
    assert named == found[0]


def test_predict_arguments_lines_and_files(bertworks: Bertworks, work: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("which one is it", "a cold stale soup", "a fine warm soup", "poor sour wine")
    outcome = bertworks("predict", run_folder, *asked)
    assert outcome.code == 0
    choice, score, question = outcome.out.strip().split("\t")
    assert (choice, question) == ("a fine warm soup", "which one is it")
    found = bertworks("predict", run_folder, *asked, "--probabilities", "--json").json
    assert found["choice"] == 1
    assert f"{found['probabilities'][1]:.4f}" == score
    assert sum(found["probabilities"]) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr("sys.stdin", io.StringIO("\t".join(asked) + "\n" + "\t".join((asked[0], asked[2], asked[1])) + "\n"))
    lines = bertworks("predict", run_folder).out.splitlines()
    assert lines[0] == outcome.out.strip()
    assert lines[1].startswith("a fine warm soup\t")
    as_columns(work / "in.csv", 5, seed=3)
    assert bertworks("predict", run_folder, "--file", "in.csv", "--output", "out.jsonl").code == 0
    told = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    assert [row["prediction"] for row in told] == [row[f"option{row['choice'] + 1}"] for row in told]


def test_inspect(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "quiz.jsonl", 20)
    outcome = bertworks("inspect", "quiz.jsonl", "--model", encoder)
    assert outcome.code == 0
    assert "choice 1" in outcome.out
    as_columns(work / "quiz.csv", 20)
    assert bertworks("inspect", "quiz.csv", "--task", "choices", "--choices", "option", "--model", encoder).code == 0


@pytest.mark.parametrize(
    ("line", "arguments", "message"),
    [
        ({"question": "who?", "choices": ["a dog"], "answer": "A"}, (), "row 1 (the first is 0): fewer than two choices"),
        (
            {"question": "who?", "choices": ["a dog", "a cat"], "answer": "C"},
            (),
            "row 1 (the first is 0): an answer that is none of the choices",
        ),
        ({"question": " ", "choices": ["a dog", "a cat"], "answer": "A"}, (), "row 1 (the first is 0): a question that is empty"),
        ({"question": "who?", "choices": ["a dog", "a cat"]}, (), "row 1 (the first is 0): no answer"),
        ({"question": "who?", "choices": ["a dog", "a cat"], "answer": "A"}, ("--choices", "chioces"), "Did you mean 'choices'"),
        ({"question": "who?", "choices": ["a dog", "a cat"], "answer": "A"}, ("--label", "right"), "no column 'right'"),
        ({"question": "who?", "choices": ["a dog", "a cat"], "answer": "A"}, ("--first-choice", "2"), "0 or 1, not 2"),
        (
            {"question": "who?", "choices": ["a dog", "a cat"], "answer": "A"},
            ("--kind", "single"),
            "no option 'kind' for the task 'choices'",
        ),
        (
            {"question": "who?", "choices": ["a dog", "a cat"], "answer": "A"},
            ("--overflow", "error", "--calibrate", "--stride", "3"),
            "'stride'",
        ),
    ],
)
def test_wrong_input_gets_one_line(
    bertworks: Bertworks, work: Path, encoder: Path, line: dict[str, object], arguments: tuple[str, ...], message: str
) -> None:
    good = {"question": "which?", "choices": ["a fine warm soup", "the rude dog", "poor wine"], "answer": "A"}
    (work / "quiz.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(line) + "\n", encoding="utf-8")
    outcome = bertworks("train", "quiz.jsonl", "--model", encoder, *arguments)
    assert outcome.code in (2, 3)
    assert message in outcome.error
    assert not (work / "runs").exists()


def test_a_way_with_long_texts_is_the_users_though_it_is_usual_for_other_tasks(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    write(work / "quiz.jsonl", 12)
    train = ("train", "quiz.jsonl", "--model", encoder, *FAST, "--epochs", "1", "--validation-fraction", "0")
    outcome = bertworks(*train, "--overflow", "window")
    assert outcome.code == 2
    assert "window" in outcome.err.splitlines()[-1]
    assert bertworks(*train, "--output", "run").code == 0
    assert json.loads((work / "run" / "model" / "bertworks.json").read_text())["settings"]["overflow"] == "truncate"
    assert "leave out overflow" in bertworks("train", "--resume", "run", "--overflow", "window").error


def test_a_missing_column_and_one_choice_of_the_command_line(bertworks: Bertworks, work: Path, encoder: Path, run_folder: Path) -> None:
    (work / "quiz.csv").write_text("question,answer\nwho?,A\n")
    assert "the choices cannot be told by name" in bertworks("train", "quiz.csv", "--task", "choices", "--model", encoder).error
    for asked in (("who came?",), ("who came?", "the dog")):
        assert "give a question and two choices at least" in bertworks("predict", run_folder, *asked).error


def test_other_verbs_say_that_they_do_not_know_such_models(bertworks: Bertworks, work: Path, run_folder: Path) -> None:
    write(work / "test.jsonl", 5)
    for more in ((), ("--data", "test.jsonl")):
        assert "compare knows classifiers of texts" in bertworks("compare", run_folder, run_folder, *more).error


def test_explain_takes_a_question_and_its_choices_as_predict_does(
    bertworks: Bertworks, work: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, machine = ("which one is it", "a cold stale soup", "a fine warm soup", "poor sour wine"), ("--precision", "float32")
    outcome = bertworks("explain", run_folder, *asked, *machine)
    assert (outcome.code, outcome.err) == (0, "")
    found = bertworks("predict", run_folder, *asked, "--probabilities", "--json", *machine).json
    assert outcome.out.lstrip().startswith(f"a fine warm soup ({found['probabilities'][1]:.1%})")
    assert "P('a fine warm soup') goes from" in " ".join(outcome.out.split())
    assert "the question with choice b" in (work / "explanation.html").read_text(encoding="utf-8").lower()
    told = [bertworks("explain", run_folder, *asked, "--target", name, "--json", *machine).json for name in ("poor sour wine", "C", "2")]
    assert [each["target"] for each in told] == ["poor sour wine"] * 3
    assert told[0]["attribution"] == told[1]["attribution"] == told[2]["attribution"]
    assert told[0]["probabilities"] == pytest.approx(dict(zip(asked[1:], found["probabilities"], strict=True)), abs=1e-5)
    monkeypatch.setattr("sys.stdin", io.StringIO("\t".join(asked) + "\n"))
    piped = bertworks("explain", run_folder, "--kind", "attention", "--layer", "0", "--head", "1", "--json", "-o", "map.png", *machine).json
    assert (piped["attention"]["window"], piped["attention"]["head"]) == (1, 1)
    assert (work / "map.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("who?", "he"), 3, "give a question and two choices at least"),
        (("who?\the\tshe", "what?\tit\tthat"), 3, "one question is explained at a time, with its choices; 2 were given"),
        (("who?", "the dog", "the cat", "--target", "cat"), 2, "'cat' is none of the choices"),
        (("who?", "the dog", "the cat", "--window", "1"), 2, "no option 'window' for the task 'choices'"),
        (("who?", "the dog", "the cat", " "), 3, "the choice C has no word"),
    ],
)
def test_wrong_questions_to_explain(bertworks: Bertworks, run_folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    wrong = bertworks("explain", run_folder, *arguments)
    assert (wrong.code, message in wrong.error) == (code, True), wrong.err
    assert not Path("explanation.html").exists()


def test_lines_of_a_pipe_are_questions(bertworks: Bertworks, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("who?\the\tshe\nwhat?\tit\tthat\n"))
    wrong = bertworks("explain", run_folder)
    assert (wrong.code, "one question is explained at a time, with its choices; 2 were given" in wrong.error) == (3, True)


def test_options_of_choices_are_refused_elsewhere(bertworks: Bertworks, work: Path, trained: Path) -> None:
    for command in (("evaluate", trained, "test.csv"), ("predict", trained, "--file", "test.csv")):
        assert "no option 'choices' for the task 'classification'" in bertworks(*command, "--choices", "x").error
    assert "'choices'" in bertworks("train", "train.csv", "--choices", "x").error
