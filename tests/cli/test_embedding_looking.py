"""`inspect` and `explain` for vectors of texts, on the command line."""

import csv
from pathlib import Path
from typing import Any

import pytest

from bertworks import SentenceEncoder
from tests.cli.conftest import Bertworks, review_rows

TEXTS = ("this film was great", "the song is very lovely!")
MACHINE = ("--precision", "float32", "--threads", "1")


def write(path: Path, columns: tuple[str, ...], rows: Any) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def pairs(work: Path) -> Path:
    """Sound pairs with scores."""
    texts = list(dict.fromkeys(text for text, _ in review_rows(120, seed=5)))[:80]
    return write(work / "pairs.csv", ("sentence1", "sentence2", "score"), [(texts[i], texts[40 + i], i % 11 / 2) for i in range(40)])


@pytest.fixture(scope="module")
def model(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SentenceEncoder(encoder, precision="float32").save(tmp_path_factory.mktemp("vectors") / "model")


# ---- inspect


def test_sound_pairs(bertworks: Bertworks, pairs: Path, encoder: Path) -> None:
    done = bertworks("inspect", pairs, "--task", "embeddings", "--model", encoder)
    assert (done.code, done.err) == (0, "")
    assert "score 'score' from 0 to 5" in done.out
    assert "objective: scores" in done.out
    assert "nothing found that would spoil a training" in done.out
    (command,) = [line.strip() for line in done.out.splitlines() if "bertworks train" in line]
    assert command.startswith(f"bertworks train {pairs.name} --task embeddings --text sentence1 --pair sentence2 --label score")


def test_the_objective_can_be_chosen(bertworks: Bertworks, pairs: Path, encoder: Path) -> None:
    done = bertworks("inspect", pairs, "--task", "embeddings", "--objective", "ranking", "--model", encoder)
    assert (done.code, "objective: ranking" in done.out) == (0, True), done.err
    wrong = bertworks("inspect", pairs, "--objective", "ranking", "--model", encoder)
    assert (wrong.code, "no option 'objective'" in wrong.error) == (2, True), wrong.err


def test_faults_are_printed_with_their_rows(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    texts = [text for text, _ in review_rows(60, seed=5)]
    rows = [[texts[i], texts[20 + i], texts[40 + i]] for i in range(20)]
    rows[3][1] = rows[3][0]
    rows[7][2] = rows[7][1]
    data = write(work / "triplets.csv", ("anchor", "positive", "negative"), rows)
    done = bertworks("inspect", data, "--task", "embeddings", "--model", encoder)
    assert done.code == 0
    assert "negatives negative" in done.out
    assert "warning: The same on both sides" in done.out
    assert "warning: A negative that is the text or its partner" in done.out
    found = bertworks("inspect", data, "--task", "embeddings", "--model", encoder, "--json").json
    assert [(f["title"], f["rows"]) for f in found["findings"]][:2] == [
        ("The same on both sides", [3]),
        ("A negative that is the text or its partner", [7]),
    ]


def test_what_a_training_cannot_read_has_an_exit_code(bertworks: Bertworks, work: Path, encoder: Path) -> None:
    rows = [
        (text, other, ("same", "other")[i % 2])
        for i, ((text, _), (other, _)) in enumerate(zip(review_rows(24), review_rows(24, 1), strict=True))
    ]
    done = bertworks(
        "inspect", write(work / "nli.csv", ("premise", "hypothesis", "label"), rows), "--task", "embeddings", "--model", encoder
    )
    assert done.code == 3
    assert "error: Labels that are no scores" in done.out
    assert "bertworks inspect" in done.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--task", "embedings"), 2, "Did you mean 'embeddings'?"),
        (("--kind", "number"), 2, "no option 'kind' for the task 'embeddings'"),
        (("--device", "cpu"), 2, "no option 'device' for the task 'embeddings'"),
        (("--text", "sentense1", "--pair", "sentence2"), 3, "Did you mean 'sentence1'?"),
        (("--text", "sentence1", "--pair", "sentence1"), 3, "must be different columns"),
        (("--against", "none.csv"), 3, "none.csv"),
        (("--against", "train.csv"), 3, "no column 'sentence1'"),
        (("--model", "nowhere/at/all"), 4, "nowhere/at/all"),
        (("--limit", "0"), 2, "at least 1"),
        (("--split", "test"), 3, "no split 'test'"),
        (("--agianst", "train.csv"), 2, "Did you mean --against?"),
    ],
)
def test_wrong_options_of_inspect(bertworks: Bertworks, pairs: Path, encoder: Path, options: Any, code: int, message: str) -> None:
    usual = {"--task": "embeddings", "--model": str(encoder)}
    given = {**usual, **dict(zip(options[::2], options[1::2], strict=True))}
    wrong = bertworks("inspect", pairs, *[part for pair in given.items() for part in pair])
    assert (wrong.code, message in wrong.error) == (code, True), wrong.err


# ---- explain


def test_two_texts(bertworks: Bertworks, model: Path) -> None:
    done = bertworks("explain", model, *TEXTS, *MACHINE)
    assert (done.code, done.err) == (0, "")
    encoder = SentenceEncoder(model, precision="float32", threads=1)
    assert done.out.lstrip().startswith(f"cosine similarity {float(encoder.similarity(*TEXTS)[0, 0]):.4g}\n")
    assert TEXTS[0] in done.out
    assert TEXTS[1] in done.out
    assert "the cosine similarity goes from" in " ".join(done.out.split())
    assert "the words' shares add up to the difference" in " ".join(done.out.split())
    page = Path("explanation.html").read_text(encoding="utf-8")
    assert page.index("The first text.") < page.index("The second text.")


def test_json(bertworks: Bertworks, model: Path) -> None:
    found = bertworks("explain", model, *TEXTS, *MACHINE, "--json").json
    assert found["target"] == "a greater similarity"
    assert len(found["attribution"]["words"]) == len(found["words"]) == 10
    rise = found["attribution"]["score"] - found["attribution"]["baseline_score"]
    assert sum(found["attribution"]["words"]) == pytest.approx(rise, abs=1e-3)
    assert [part["text"] for part in found["attention"]] == [0, 1]
    assert not Path("explanation.html").exists()
    one = bertworks("explain", model, *TEXTS, *MACHINE, "--kind", "attention", "--window", "1", "--head", "2", "--json").json["attention"]
    assert (one["text"], one["window"], one["head"]) == (1, 1, 2)
    assert len(one["probabilities"]) == len(one["tokens"])


def test_one_text(bertworks: Bertworks, model: Path) -> None:
    done = bertworks("explain", model, TEXTS[0], *MACHINE, "--layer", "0", "-o", "map.png")
    assert done.code == 0, done.err
    assert Path("map.png").stat().st_size > 500
    assert "attention checked against the model's own output" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((TEXTS[0], "--kind", "attribution"), 2, "one text alone has no similarity, so there is no attribution"),
        ((*TEXTS, "--target", "good"), 2, "no option 'target' for the task 'embeddings'"),
        ((*TEXTS, "--window", "2"), 2, "window 2 does not exist: the texts are read in 2, 0 to 1"),
        ((*TEXTS, "--baseline", "paad"), 2, "Did you mean 'pad'?"),
        ((*TEXTS, "--kind", "atribution"), 2, "Did you mean 'attribution'?"),
        ((*TEXTS, "--kind", "all", "-o", "x.png"), 2, "a picture shows one thing"),
        ((*TEXTS, "--layer", "2"), 2, "the model has layers 0 to 1"),
        ((*TEXTS, "-o", "x.pdf"), 2, ".html, .png, .svg, .json, .npz"),
        ((TEXTS[0], ""), 3, "the second text has no word"),
    ],
)
def test_wrong_options_of_explain(bertworks: Bertworks, model: Path, arguments: Any, code: int, message: str) -> None:
    wrong = bertworks("explain", model, *arguments, *MACHINE)
    assert (wrong.code, message in wrong.error) == (code, True), wrong.err
    assert not list(Path().glob("x.*"))
