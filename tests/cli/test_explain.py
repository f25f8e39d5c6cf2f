"""`bertworks explain`."""

import io
from pathlib import Path

import pytest

from bertworks import TextClassifier
from bertworks.estimators.workflows import explain

from .conftest import FAST, Bertworks, review_rows

TEXT = "this film was great and the book is very lovely!"
MACHINE = ("--precision", "float32", "--threads", "1")


def test_a_text(bertworks: Bertworks, trained: Path) -> None:
    done = bertworks("explain", trained, TEXT, *MACHINE)
    assert (done.code, done.err) == (0, "")
    assert done.out.split()[0] == "positive"
    assert TEXT in done.out
    assert "Without the 3 most important of 11 words, P(positive) goes from" in " ".join(done.out.split())
    assert "explanation.html" in done.out
    page = Path("explanation.html").read_text(encoding="utf-8")
    assert "What speaks for positive" in page
    explanation = TextClassifier.load(trained, precision="float32", threads=1).explain(TEXT)
    strongest = max(zip(explanation.attributions.words, explanation.words, strict=True), key=lambda pair: abs(pair[0]))
    assert f"{strongest[1].text}  " in done.out
    assert f"{strongest[0]:+.4f}" in done.out


def test_json_writes_nothing_else(bertworks: Bertworks, trained: Path) -> None:
    before = set(Path().iterdir())
    found = bertworks("explain", trained, TEXT, "--target", "negative", "--json", *MACHINE).json
    assert (found["prediction"], found["target"]) == ("positive", "negative")
    assert len(found["words"]) == len(found["attribution"]["words"]) == 11
    assert found["faithfulness"]["quantity"] == "P(negative)"
    assert set(Path().iterdir()) == before
    again = bertworks(
        "explain", trained, TEXT, "--kind", "attention", "--layer", "0", "--head", "1", "--json", "-o", "a.npz", *MACHINE
    ).json
    assert again["output"] == "a.npz"
    assert len(again["attention"]["probabilities"]) == len(again["attention"]["tokens"])
    assert "attribution" not in again


@pytest.mark.parametrize(
    "options",
    [
        ("--kind", "attention", "--layer", "1", "--head", "2", "-o", "map.png"),
        ("--kind", "cls", "-o", "cls.svg"),
        ("--kind", "rollout", "-o", "rollout.html"),
        ("--layer", "0", "-o", "grid.png"),
        ("--baseline", "mask", "--kind", "attribution", "-o", "words.json"),
    ],
)
def test_kinds_and_files(bertworks: Bertworks, trained: Path, options: tuple[str, ...]) -> None:
    done = bertworks("explain", trained, TEXT, *options, *MACHINE)
    assert done.code == 0, done.err
    assert Path(options[-1]).stat().st_size > 500
    assert options[-1] in done.out
    assert ("most important" in done.out) is False


@pytest.mark.parametrize("options", [("rollout", "--layer", "0"), ("rollout", "--head", "1"), ("attribution", "--layer", "0")])
def test_what_has_no_layer_is_refused_one(bertworks: Bertworks, trained: Path, options: tuple[str, ...]) -> None:
    wrong = bertworks("explain", trained, TEXT, "--kind", *options, *MACHINE)
    assert (wrong.code, f"{options[0]} has no layer and no head: leave out" in wrong.error) == (2, True)
    assert not Path("explanation.html").exists()


def test_standard_input(bertworks: Bertworks, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" ".join([TEXT] * 12) + "\n"))
    done = bertworks("explain", trained, "--kind", "attention", "--window", "1", *MACHINE)
    assert done.code == 0, done.err
    assert "Window 1 of the" in Path("explanation.html").read_text(encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert "held no text" in bertworks("explain", trained).error


def test_pairs(bertworks: Bertworks, encoder: Path) -> None:
    import pandas

    rows = [(*a, b[0], "same" if a[1] == b[1] else "other") for a, b in zip(review_rows(60, 1), review_rows(60, 2), strict=True)]
    table = pandas.DataFrame(rows, columns=["sentence1", "_", "sentence2", "label"]).drop(columns="_")
    table.to_csv("pairs.csv", index=False)
    assert bertworks("train", "pairs.csv", "--model", encoder, "-o", "run", *FAST).code == 0
    done = bertworks("explain", "run", "the soup was good", "a bad film", *MACHINE)
    assert done.code == 0, done.err
    assert "the soup was good" in done.out
    assert "a bad film" in done.out
    page = Path("explanation.html").read_text(encoding="utf-8")
    assert page.index("first text") < page.index("second text")
    wrong = bertworks("explain", "run", "the soup was good")
    assert (wrong.code, "reads pairs of texts" in wrong.error) == (3, True)


def test_a_bare_encoder_shows_its_attention(bertworks: Bertworks, encoder: Path) -> None:
    done = bertworks("explain", encoder, "the soup was good", "a film", *MACHINE)
    assert done.code == 0, done.err
    assert "attention checked against the model's own output" in done.out
    assert "bare encoder" in Path("explanation.html").read_text(encoding="utf-8")
    wrong = bertworks("explain", encoder, "the soup was good", "--kind", "attribution", *MACHINE)
    assert (wrong.code, "a bare encoder gives no answer" in wrong.error) == (2, True)
    wrong = bertworks("explain", encoder, "the soup was good", "--baseline", "mask", *MACHINE)
    assert (wrong.code, "leave out target, window and baseline" in wrong.error) == (2, True)
    wrong = bertworks("explain", encoder, "the soup was good", "--target", "good", *MACHINE)
    assert (wrong.code, "has no labels" in wrong.error) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "postive"), "Did you mean 'positive'?"),
        (("--kind", "atention"), "Did you mean 'attention'?"),
        (("--kind", "all", "-o", "x.png"), "a picture shows one thing"),
        (("-o", "x.pdf"), ".html, .png, .svg, .json, .npz"),
        (("--layer", "9"), "the model has layers 0 to 1"),
        (("--head", "4"), "the layer has heads 0 to 3"),
        (("--window", "1"), "window 1 does not exist"),
        (("--baseline", "paad"), "Did you mean 'pad'?"),
        (("--heads", "1"), "Did you mean --head?"),
        (("--device", "abacus"), "device 'abacus'"),
    ],
)
def test_wrong_options(bertworks: Bertworks, trained: Path, options: tuple[str, ...], message: str) -> None:
    wrong = bertworks("explain", trained, TEXT, *options, "--precision", "float32")
    assert (wrong.code, message in wrong.error) == (2, True)
    assert not list(Path().glob("x.*"))
    assert not Path("explanation.html").exists()


def test_wrong_models(bertworks: Bertworks, trained: Path) -> None:
    wrong = bertworks("explain", trained.parent / "revews", TEXT)
    assert (wrong.code, "reviews'?" in wrong.error) == (4, True)


def test_more_texts_than_a_model_reads(bertworks: Bertworks, trained: Path) -> None:
    wrong = bertworks("explain", trained, "a film", "a book", "a song")
    assert (wrong.code, "reads one text or two, but 3 were given" in wrong.error) == (2, True)


def test_in_python(trained: Path) -> None:
    said: list[str] = []
    report = explain(trained, TEXT, kind="faithfulness", precision="float32", threads=1, progress=said.append)
    assert report.output is None
    assert report.to_dict()["faithfulness"]["sentence"] == report.explanation.faithfulness.sentence
    assert said == sorted(said, key=lambda what: "deletion" in what)
    assert any("integrated gradients" in what for what in said)
