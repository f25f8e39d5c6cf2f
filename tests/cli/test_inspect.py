"""`bertworks inspect`: what it prints, finds in files, and leaves with."""

import json
import shlex
from itertools import pairwise
from pathlib import Path

import pandas
import pytest

import bertworks
from bertworks.estimators.workflows import inspect

from .conftest import Bertworks, review_rows


def test_what_is_printed(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks("inspect", "train.csv", "--against", "test.csv", "--model", encoder)
    assert done.code == 0, done.err
    for told in ("train.csv: 96 rows; text 'review', label 'sentiment'", "columns not used: id", "labels (2)", "positive  ", "█"):
        assert told in done.out
    for told in (f"lengths in tokens of {encoder}", "mean ", "the model reads 64", "\nNext\n"):
        assert told in done.out
    assert f"bertworks train train.csv --text review --label sentiment --model {encoder}" in done.out
    assert not done.err
    assert "\x1b" not in done.out
    prose = [line for line in done.out.splitlines() if str(encoder) not in line]
    assert all(len(line) <= 80 and line == line.rstrip() for line in prose)
    assert done.out.index("labels (2)") < done.out.index("lengths in") < done.out.index("note: ") < done.out.index("Next")


def test_the_next_step_runs(bertworks: Bertworks, encoder: Path) -> None:
    step = shlex.split(bertworks("inspect", "train.csv", "--split", "[:80]", "--model", encoder, "--json").json["next_steps"][0])
    assert step[:3] == ["bertworks", "train", "train.csv"]
    done = bertworks(*step[1:], "--epochs", "0.2", "--precision", "float32", "--threads", "1")
    assert done.code == 0, done.err


def test_json_and_python(bertworks: Bertworks, encoder: Path) -> None:
    found = bertworks("inspect", "train.csv", "--model", encoder, "--json").json
    assert (found["rows"], found["columns"]["unused"], sum(found["labels"].values())) == (96, ["id"], 96)
    assert (found["lengths"]["unit"], found["lengths"]["limit"]) == ("tokens", 64)
    assert found["accounting"]["rows"] == 96
    again = inspect("train.csv", model=encoder).to_dict()
    assert {**again, "seconds": 0} == {**found, "seconds": 0}
    rows = [{"text": text, "label": label} for text, label in review_rows(60)]
    assert inspect(rows, against=rows, model=encoder).next_steps == []


def test_an_error_leaves_with_3(bertworks: Bertworks, encoder: Path) -> None:
    Path("one.csv").write_text("text,label\n" + "".join(f"a fine text {i},a\n" for i in range(30)))
    done = bertworks("inspect", "one.csv", "--model", encoder)
    assert done.code == 3
    assert done.out.index("error: One label for all rows") < done.out.index("Mend the errors, then look again")
    assert not done.err
    done = bertworks("inspect", "one.csv", "--model", encoder, "--json")
    assert done.code == 3
    assert json.loads(done.out)["findings"][0]["level"] == "error"
    assert "exit code 3" in " ".join(bertworks("inspect", "--help").out.split())


def test_faults_of_a_file(bertworks: Bertworks, encoder: Path) -> None:
    lines = [f'{i},"{text}",{label}' for i, (text, label) in enumerate(review_rows(200))]
    lines[20], lines[21], lines[30] = '20,"",positive', '21,"  ",positive', '30,"a film",'
    lines[40:40] = ["x,too many,fields,here", "too few"]
    Path("faults.csv").write_text("\n".join(["id,text,label", *lines]) + "\n", encoding="utf-8")
    done = bertworks("inspect", "faults.csv", "--model", encoder, "--json")
    found = {finding["title"]: finding for finding in done.json["findings"]}
    assert done.json["rows"] == 197
    assert (found["Empty texts"]["rows"], found["Empty texts"]["count"]) == ([20, 21], 2)
    assert (found["Missing labels"]["rows"], found["Missing labels"]["level"]) == ([30], "warning")
    assert (found["Rows that cannot be read"]["rows"], found["Rows that cannot be read"]["count"]) == ([40, 41], 2)
    assert "line 42: the header has 3 columns" in found["Rows that cannot be read"]["examples"][0]
    (step,) = done.json["next_steps"]
    assert "--on-bad-rows drop" in step
    refused = bertworks("inspect", "faults.csv", "--on-bad-rows", "error")
    assert (refused.code, "line 42" in refused.error) == (3, True)


def test_a_file_in_another_encoding(bertworks: Bertworks, encoder: Path) -> None:
    text = "text,label\n" + "".join(f"le café {i} est {'chaud' if i % 2 else 'gelé'},{'oui' if i % 2 else 'non'}\n" for i in range(40))
    Path("latin.csv").write_text(text, encoding="cp1252")
    done = bertworks("inspect", "latin.csv", "--model", encoder)
    assert done.code == 3
    assert "error: Undecodable bytes" in done.out
    assert "“le café 0 est gelé,non”" in done.out
    assert "Garbled" not in done.out
    assert "bertworks inspect latin.csv --text text --label label --encoding cp1252" in done.out
    assert bertworks("inspect", "latin.csv", "--model", encoder, "--encoding", "cp1252").code == 0
    wrong = bertworks("inspect", "latin.csv", "--encoding", "cp125")
    assert (wrong.code, "Did you mean" in wrong.error) == (2, True)
    Path("utf.csv").write_text(text, encoding="utf-8")
    assert "warning: Garbled characters" in bertworks("inspect", "utf.csv", "--model", encoder, "--encoding", "latin-1").out


def test_overlap_with_a_second_source(bertworks: Bertworks, encoder: Path) -> None:
    train, test = pandas.read_csv("train.csv"), pandas.read_csv("test.csv")
    test.loc[3, "review"], test.loc[5, "sentiment"] = train.loc[7, "review"], "mixed"
    test.to_csv("test.csv", index=False)
    found = {
        f["title"]: f for f in bertworks("inspect", "train.csv", "--against", "test.csv", "--model", encoder, "--json").json["findings"]
    }
    assert 3 in found["Texts of test.csv that stand here too"]["rows"]
    assert found["Labels that only test.csv has"]["rows"] == [5]
    test.drop(columns="sentiment").to_csv("test.csv", index=False)
    found = {
        f["title"]: f for f in bertworks("inspect", "train.csv", "--against", "test.csv", "--model", encoder, "--json").json["findings"]
    }
    assert not [title for title in found if title.startswith("Labels that")]
    test.rename(columns={"review": "words"}).to_csv("test.csv", index=False)
    assert bertworks("inspect", "train.csv", "--against", "test.csv").code == 3


def test_the_splits_of_a_folder(bertworks: Bertworks, encoder: Path) -> None:
    Path("set").mkdir()
    for name, count in (("train", 64), ("test", 32)):
        pandas.DataFrame(review_rows(count, seed=count), columns=["text", "label"]).to_csv(f"set/{name}.csv", index=False)
    found = bertworks("inspect", "set", "--against", "set", "--model", encoder, "--json").json
    assert found["rows"] == 64
    assert not [f for f in found["findings"] if "32 of 32" in f["message"]]


def test_labels_that_look_wrong(bertworks: Bertworks, trained: Path) -> None:
    rows = review_rows(80, seed=9)
    opposite = {"positive": "negative", "negative": "positive"}
    wrong = {4, 20, 33}
    table = [(text, opposite[label] if i in wrong else label) for i, (text, label) in enumerate(rows)]
    pandas.DataFrame(table, columns=["text", "label"]).to_csv("noisy.csv", index=False)
    done = bertworks("inspect", "noisy.csv", "--model", trained)
    assert done.code == 0, done.err
    assert "trained on these rows" in " ".join(done.out.split())
    assert "bertworks train noisy.csv --text text --label label\n" in done.out
    found = {f["title"]: f for f in bertworks("inspect", "noisy.csv", "--model", trained, "--json").json["findings"]}
    doubtful = found["Labels that look wrong"]
    assert set(doubtful["rows"][:3]) == wrong
    first = doubtful["rows"][0]
    assert doubtful["examples"][0].startswith(f"row {first}: '{table[first][1]}', predicted '{rows[first][1]}' (")
    pandas.DataFrame([*table, ("a film", "mixed")], columns=["text", "label"]).to_csv("more.csv", index=False)
    found = {f["title"]: f for f in bertworks("inspect", "more.csv", "--model", trained, "--json").json["findings"]}
    assert found["Labels that the model does not know"]["rows"] == [80]


def test_several_labels_pairs_and_numbers(bertworks: Bertworks, encoder: Path, trained: Path) -> None:
    rows = review_rows(60)
    pandas.DataFrame([(t, f"{label}|text" if i % 2 else label) for i, (t, label) in enumerate(rows)], columns=["text", "labels"]).to_csv(
        "many.csv", index=False
    )
    found = bertworks("inspect", "many.csv", "--kind", "multi", "--model", encoder, "--json").json
    assert found["labels"]["text"] == 30
    assert found["next_steps"][0].endswith(f"--kind multi --model {encoder}")
    asked = bertworks("inspect", "many.csv", "--kind", "multi", "--model", trained, "--json").json
    assert "Labels not checked" in [finding["title"] for finding in asked["findings"]]
    pairs = [(a[0], b[0], i / 7) for i, (a, b) in enumerate(pairwise(rows))]
    pandas.DataFrame(pairs, columns=["sentence1", "sentence2", "score"]).to_csv("pairs.csv", index=False)
    done = bertworks("inspect", "pairs.csv", "--model", encoder)
    assert done.code == 0, done.err
    assert "numbers from 0 to" in done.out
    assert "--text sentence1 --pair sentence2 --label score" in done.out
    wrong = bertworks("inspect", "pairs.csv", "--model", trained)
    assert (wrong.code, "reads single texts" in wrong.error) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["tran.csv"], 3, "Did you mean 'train.csv'?"),
        (["train.csv", "--text", "revew"], 3, "Did you mean 'review'?"),
        (["train.csv", "--againts", "test.csv"], 2, "Did you mean --against?"),
        (["train.csv", "--against", "tst.csv"], 3, "Did you mean 'test.csv'?"),
        (["train.csv", "--model", "./nowhere"], 4, "./nowhere"),
        (["train.csv", "--kind", "sngle"], 2, "kind is"),
        (["train.csv", "--limit", "0"], 2, "at least 1"),
        (["train.csv", "--on-bad-rows", "skip"], 2, "on_bad_rows"),
        ([], 2, "missing argument 'data'"),
    ],
)
def test_wrong_command_lines(bertworks: Bertworks, arguments: list[str], code: int, told: str) -> None:
    done = bertworks("inspect", *arguments)
    assert done.code == code, done.err
    assert told in done.error


def test_the_package_has_the_verb() -> None:
    assert bertworks.inspect is inspect
