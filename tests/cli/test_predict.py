"""`bertworks predict` and `evaluate`."""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas
import pytest

import bertworks as package
from bertworks.errors import SettingsError
from bertworks.estimators import model_folder
from bertworks.inference import load_model
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer

from .conftest import FAST, Bertworks, review_rows


def test_a_text(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("predict", trained, "this film was great and the book is very lovely!")
    label, score, text = done.out.rstrip("\n").split("\t")
    assert (done.code, label, text[:9]) == (0, "positive", "this film")
    assert 0.5 < float(score) <= 1


def test_texts_as_json_lines(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("predict", trained, "good soup", "awful song", "--json", "--probabilities")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert first["text"] == "good soup"
    assert set(first["probabilities"]) == {"negative", "positive"}
    assert second["score"] == second["probabilities"][second["prediction"]]


def test_a_table_keeps_its_columns(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("predict", trained, "--file", "test.csv", "--text", "review", "--output", "out.csv", "--probabilities")
    assert done.code == 0, done.err
    before, after = pandas.read_csv("test.csv"), pandas.read_csv("out.csv")
    assert list(after.columns) == ["id", "review", "sentiment", "prediction", "score", "probability_negative", "probability_positive"]
    pandas.testing.assert_frame_equal(after[before.columns], before)
    assert (after.prediction == after.sentiment).mean() > 0.9
    assert after.score.equals(after[["probability_negative", "probability_positive"]].max(axis=1))
    report = bertworks("predict", trained, "--file", "test.csv", "--text", "review", "--output", "out.jsonl", "--json").json
    assert (report["rows"], report["output"], sum(report["counts"].values())) == (40, "out.jsonl", 40)
    assert len(Path("out.jsonl").read_text().splitlines()) == 40


def test_a_table_with_the_names_taken(bertworks: Bertworks, trained: Path) -> None:
    pandas.DataFrame({"text": ["good soup", None], "prediction": ["x", "y"]}).to_csv("in.csv", index=False)
    done = bertworks("predict", trained, "--file", "in.csv", "--output", "out.csv")
    assert "'prediction_2'" in done.out
    assert "1 rows: empty text" in done.out
    assert list(pandas.read_csv("out.csv").columns) == ["text", "prediction", "prediction_2", "score"]


def test_long_rows_say_so(bertworks: Bertworks, trained: Path) -> None:
    pandas.DataFrame({"text": ["good soup", "the film was good . " * 40]}).to_csv("in.csv", index=False)
    done = bertworks("predict", trained, "--file", "in.csv", "--output", "out.csv")
    assert "1 long rows read whole, in overlapping windows" in done.out
    windows = pandas.read_csv("out.csv").windows.tolist()
    assert windows[0] == 1 < windows[1]


def test_a_table_without_an_output(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("predict", trained, "--file", "test.csv", "--text", "review")
    assert len(done.out.splitlines()) == 40


def test_evaluate(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("evaluate", trained, "test.csv")
    assert done.code == 0, done.err
    assert "test.csv: 40 rows" in done.out
    assert "macro f1" in done.out
    report = bertworks("evaluate", trained, "test.csv", "--json").json
    assert report["metrics"]["accuracy"] > 0.9
    assert report["accounting"]["rows"] == 40
    assert package.evaluate(trained, "test.csv").metrics == report["metrics"]


def test_labels_are_matched_by_name(bertworks: Bertworks, encoder: Path) -> None:
    names = {"positive": "1", "negative": "0"}
    rows = [(text, names[label]) for text, label in review_rows(60)] + [("the chair is the chair", "unclear")] * 4
    pandas.DataFrame(rows, columns=["text", "label"]).to_csv("mixed.csv", index=False)
    pandas.DataFrame(rows[:20], columns=["text", "label"]).to_csv("numbers.csv", index=False)
    assert bertworks("train", "mixed.csv", "--model", encoder, "-o", "run", *FAST).code == 0
    assert bertworks("evaluate", "run", "numbers.csv", "--json").json["metrics"]["rows"] == 20
    pandas.DataFrame([("a film", "unclaer"), ("a book", "0")], columns=["text", "label"]).to_csv("wrong.csv", index=False)
    wrong = bertworks("evaluate", "run", "wrong.csv")
    assert wrong.code == 3
    assert "Did you mean 'unclear'?" in wrong.error


def test_pairs(bertworks: Bertworks, encoder: Path) -> None:
    rows = [(*a, b[0], "same" if a[1] == b[1] else "other") for a, b in zip(review_rows(60, 1), review_rows(60, 2), strict=True)]
    table = pandas.DataFrame(rows, columns=["sentence1", "_", "sentence2", "label"]).drop(columns="_")
    table.to_csv("pairs.csv", index=False)
    done = bertworks("train", "pairs.csv", "--model", encoder, "-o", "run", *FAST)
    assert done.code == 0, done.err
    assert 'predict run "a first text" "a second text"' in done.out
    label, _, first, second = bertworks("predict", "run", "good soup", "bad soup").out.rstrip("\n").split("\t")
    assert (label in ("same", "other"), first, second) == (True, "good soup", "bad soup")
    wrong = bertworks("predict", "run", "good soup")
    assert (wrong.code, "a tab between them" in wrong.error) == (3, True)
    assert bertworks("predict", "run", "--file", "pairs.csv", "-o", "out.csv").code == 0
    wrong = bertworks("evaluate", "run", "test.csv")
    assert (wrong.code, "name both columns" in wrong.error) == (3, True)


def test_two_lines_of_a_pipe_are_no_pair(bertworks: Bertworks, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TextClassification("single", ("other", "same"), pairs=True, max_tokens=64)
    loaded = load_model(encoder, task.heads, new_heads=True, seed=4)
    model_folder.save(Path("pairs"), loaded, Tokenizer.load(encoder), task, about={}, replace=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("good soup\nbad soup\n"))
    refused = bertworks("predict", "pairs")
    assert (refused.code, "this line has 0 tabs: good soup" in refused.error) == (3, True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("good soup\tbad soup\ngood soup\tgood song\n"))
    assert len(bertworks("predict", "pairs").out.splitlines()) == 2


def test_lines_of_a_pipe_are_numbered_through(bertworks: Bertworks, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are answered in groups, of 256 at most."""
    strict = package.load(trained)
    strict.task_ = replace(strict.task_, overflow="error")
    strict.save("strict")
    lines = ["good soup"] * 300 + ["the film was good . " * 40]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    refused = bertworks("predict", "strict")
    assert (refused.code, re.findall(r"\b(?:row|text) (\d+)", refused.err)) == (3, ["300"])


def test_several_labels(bertworks: Bertworks, encoder: Path) -> None:
    pandas.DataFrame(
        [(t, f"{label}|text" if i % 2 else label) for i, (t, label) in enumerate(review_rows(60))], columns=["text", "labels"]
    ).to_csv("many.csv", index=False)
    done = bertworks("train", "many.csv", "--kind", "multi", "--model", encoder, "-o", "run", *FAST)
    assert done.code == 0, done.err
    answer = json.loads(bertworks("predict", "run", "good soup", "--json").out)
    assert isinstance(answer["prediction"], list)
    assert len(answer["score"]) == len(answer["prediction"])
    assert bertworks("predict", "run", "--file", "many.csv", "-o", "out.csv").code == 0
    assert "micro f1" in bertworks("evaluate", "run", "many.csv").out


def test_numbers(bertworks: Bertworks, encoder: Path) -> None:
    rows = [(text, (1.5 if label == "positive" else -0.25) + i / 100) for i, (text, label) in enumerate(review_rows(60))]
    pandas.DataFrame(rows, columns=["text", "score"]).to_csv("numbers.csv", index=False)
    done = bertworks("train", "numbers.csv", "--model", encoder, "-o", "run", *FAST)
    assert "numbers from" in done.err
    answer = json.loads(bertworks("predict", "run", "good soup", "--json").out)
    assert isinstance(answer["prediction"], float)
    assert "score" not in answer
    assert len(bertworks("predict", "run", "good soup").out.split("\t")) == 2
    assert bertworks("predict", "run", "--file", "numbers.csv", "--text", "text", "-o", "out.csv").code == 0
    assert "probabilit" not in Path("out.csv").read_text()


def test_in_python(trained: Path) -> None:
    report = package.predict(trained, ["good soup", "awful song"])
    assert [p.text for p in report.predictions] == ["good soup", "awful song"]
    assert package.predict(trained, "good soup").predictions[0].prediction == report.predictions[0].prediction
    for wrong in ({}, {"texts": "a", "file": "b.csv"}, {"texts": "a", "output": "b.csv"}):
        with pytest.raises(SettingsError):
            package.predict(trained, **wrong)
    for call in (package.predict, package.features):
        with pytest.raises(SettingsError, match="texts are read as they are: leave out split, limit, or name a file"):
            call(trained, "good soup", split="train", limit=3, encoding="utf-8")


def test_results_are_not_begun_where_they_cannot_be_written(bertworks: Bertworks, trained: Path) -> None:
    refused = bertworks("evaluate", trained, "test.csv", "--results", "no/such/answers.parquet")
    assert (refused.code, "the folder 'no/such' does not exist" in refused.error) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (("predict", "MODEL", "a text", "--limit", "2", "--encoding", "latin-1"), "--limit, --encoding"),
        (("predict", "MODEL", "--choices", "answers"), "--choices"),
        (("embed", "MODEL", "a text", "--split", "train"), "--split"),
        (("zero-shot", "MODEL", "a text", "--labels", "x", "--on-bad-rows", "drop"), "--on-bad-rows"),
        (("features", "a text", "--text", "review"), "--text"),
        (("generate", "MODEL", "a text", "--delimiter", ";"), "--delimiter"),
        (("answer", "MODEL", "who?", "--context", "me", "--encoding", "latin-1"), "--encoding"),
    ],
)
def test_options_of_a_file_are_refused_beside_texts(bertworks: Bertworks, arguments: tuple[str, ...], flags: str) -> None:
    refused = bertworks(*arguments)
    names = flags.replace("--", "").replace("-", "_")
    assert refused.code == 2
    assert refused.error == f"error: {flags}: only what --file names is read in such a way: name it, or leave out {names}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("embed", "MODEL"),
        ("zero-shot", "MODEL", "--labels", "x"),
        ("fill-mask",),
        ("next-sentence",),
        ("explain", "MODEL"),
        ("generate", "MODEL"),
        ("answer", "MODEL", "who?", "--context", "-"),
    ],
)
def test_a_pipe_of_no_text_is_told(bertworks: Bertworks, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fine\ncaf\xe9\n"), encoding="utf-8"))
    refused = bertworks(*arguments)
    assert (refused.code, refused.error.startswith("error: standard input is not valid UTF-8: it has a byte 0xe9;")) == (3, True)


@pytest.mark.parametrize("arguments", [("predict", "MODEL"), ("fill-mask",), ("explain", "MODEL"), ("generate", "MODEL")])
def test_standard_input_may_be_closed(bertworks: Bertworks, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    refused = bertworks(*arguments)
    assert (refused.code, refused.error.startswith("error: there is nothing to")) == (2, True)
    refused = bertworks("answer", "MODEL", "who?", "--context", "-")
    assert (refused.code, refused.error.startswith("error: standard input is closed: pipe a text in")) == (3, True)


def test_vectors_of_a_file_need_a_file_before_anything_is_read(bertworks: Bertworks) -> None:
    refused = bertworks("embed", "./nowhere", "--file", "test.csv", "--text", "review")
    assert (refused.code, "name it with --output, or ask for --json" in refused.error) == (2, True)


def test_a_pipe_of_no_text_is_told_while_it_comes(bertworks: Bertworks, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fine\ncaf\xe9\n"), encoding="utf-8"))
    refused = bertworks("predict", trained)
    assert (refused.code, refused.err.startswith("error: standard input is not valid UTF-8: it has a byte 0xe9;")) == (3, True)


def test_lines_of_a_pipe_are_rows_whatever_ends_them(bertworks: Bertworks, monkeypatch: pytest.MonkeyPatch) -> None:
    from bertworks.cli.texts import piped_lines

    for piped, wanted in ((b"one\r\n\r\ntwo\r\n", ["one", "", "two"]), (b" one\x0btwo\xe2\x80\xa8three", [" one\x0btwo\u2028three"])):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
        assert piped_lines("nothing") == wanted
