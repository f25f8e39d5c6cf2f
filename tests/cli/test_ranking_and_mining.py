"""`rank`, `mine` and `zero-shot`: on the command line, against the functions of the classes and against NumPy."""

import csv
import io
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from bertworks import SentenceEncoder, TextClassifier
from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.embeddings import mining
from bertworks.estimators.embeddings.data_settings import read_rows
from bertworks.estimators.embeddings.mining import mine
from bertworks.estimators.embeddings.zero_shot import zero_shot
from bertworks.inference import load_model
from bertworks.tasks.text_classification import TextClassification
from bertworks.tokenization import Tokenizer
from tests.cli.conftest import Bertworks, review_rows

MACHINE = ("--precision", "float32", "--device", "cpu", "--threads", "1")
TEXTS = list(dict.fromkeys(text for text, _ in review_rows(60, seed=3)))[:30]
QUERY = "the soup was cold"
LABELS = {"praise": "this film was good and great", "blame": "an awful cold soup"}


def as_options(labels: dict[str, str]) -> list[str]:
    return [part for name, text in labels.items() for part in ("--labels", f"{name}={text}")]


@pytest.fixture
def table(work: Path) -> Path:
    """Texts between other columns."""
    with open(work / "texts.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "body", "rank"), *((f"t{i}", text, i) for i, text in enumerate(TEXTS))])
    return work / "texts.csv"


@pytest.fixture(scope="module")
def pairs_model(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of pairs as chance has made it."""
    task = TextClassification("single", ("other", "fits"), pairs=True, max_tokens=64)
    loaded = load_model(encoder, task.heads, new_heads=True, seed=4)
    path = tmp_path_factory.mktemp("pairs") / "model"
    model_folder.save(path, loaded, Tokenizer.load(encoder), task, about={}, replace=False)
    return path


@pytest.fixture(scope="module")
def vectors_model(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SentenceEncoder(encoder, precision="float32").save(tmp_path_factory.mktemp("vectors") / "model")


@pytest.fixture(scope="module")
def unit(vectors_model: Path) -> Any:
    """Vectors of length 1 of some texts."""
    encoder = SentenceEncoder(vectors_model, precision="float32", device="cpu")

    def encode(texts: list[str]) -> Array:
        found = encoder.encode(texts)
        return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]

    return encode


# ---- rank


@pytest.mark.parametrize("label", [None, "other"])
def test_passages_are_sorted_by_the_probability_of_a_label(bertworks: Bertworks, table: Path, pairs_model: Path, label: str | None) -> None:
    classifier = TextClassifier.load(pairs_model, precision="float32", device="cpu")
    scores = classifier.predict_proba([(QUERY, text) for text in TEXTS])[:, 0 if label else 1]
    order = np.argsort(-scores, kind="stable")
    chosen = () if label is None else ("--label", label)
    done = bertworks("rank", pairs_model, QUERY, "--file", table, "--text", "body", "--json", *chosen, *MACHINE)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [hit["row"] for hit in found] == order.tolist()
    assert [hit["rank"] for hit in found] == list(range(1, len(TEXTS) + 1))
    assert [hit["text"] for hit in found] == [TEXTS[i] for i in order]
    np.testing.assert_allclose([hit["score"] for hit in found], scores[order], atol=1e-5)
    plain = bertworks("rank", pairs_model, QUERY, "--file", table, "--text", "body", "--top-k", "2", *chosen, *MACHINE)
    assert plain.out.splitlines() == [f"{scores[i]:.4f}\t{i}\t{TEXTS[i]}" for i in order[:2]]


def test_ranked_rows_are_written_with_their_columns(bertworks: Bertworks, table: Path, pairs_model: Path) -> None:
    options = ("--file", table, "--text", "body", "--top-k", "7", *MACHINE)
    found = [json.loads(line) for line in bertworks("rank", pairs_model, QUERY, *options, "--json").out.splitlines()]
    done = bertworks("rank", pairs_model, QUERY, *options, "--output", "ranked.parquet")
    assert "30 passages, 7 kept → ranked.parquet" in done.out
    assert "already: the new one is called 'rank_2'" in done.out
    written = parquet.read_table("ranked.parquet")
    assert written.column_names == ["id", "body", "rank", "rank_2", "score"]
    assert written["id"].to_pylist() == [f"t{hit['row']}" for hit in found]
    assert written["rank_2"].to_pylist() == list(range(1, 8))
    assert written["score"].to_pylist() == [hit["score"] for hit in found]
    told = bertworks("rank", pairs_model, QUERY, *options, "--output", "ranked.csv", "--json").json
    assert (told["output"], told["rows"]) == ("ranked.csv", 30)


def test_what_cannot_rank_is_said(bertworks: Bertworks, work: Path, table: Path, pairs_model: Path, trained: Path, encoder: Path) -> None:
    wrong = bertworks("rank", trained, QUERY, "--file", table, "--text", "body")
    assert (wrong.code, "this one reads single texts" in wrong.error) == (2, True)
    assert "bertworks search" in wrong.error
    wrong = bertworks("rank", pairs_model, QUERY, "--file", table, "--text", "body", "--label", "good")
    assert (wrong.code, "label is one of other, fits" in wrong.error) == (2, True)
    (work / "both.csv").write_text("query,passage\na b,c d\n", encoding="utf-8")
    wrong = bertworks("rank", pairs_model, QUERY, "--file", "both.csv")
    assert (wrong.code, "'query' and 'passage': name the column of the passages" in wrong.error) == (3, True)
    wrong = bertworks("rank", pairs_model, QUERY, "--file", table, "--text", "body", "--output", "ranked.docx")
    assert (wrong.code, "ranked.docx" in wrong.error) == (3, True)


# ---- mine


def test_paraphrases_are_the_nearest_pairs(bertworks: Bertworks, table: Path, vectors_model: Path, unit: Any) -> None:
    vectors = unit(TEXTS)
    pairs = sorted(((float(vectors[i] @ vectors[j]), i, j) for i, j in combinations(range(len(TEXTS)), 2)), reverse=True)
    done = bertworks("mine", vectors_model, table, "--text", "body", "--top-k", "12", "--json", *MACHINE)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    np.testing.assert_allclose([pair["score"] for pair in found], [score for score, _, _ in pairs[:12]], atol=1e-5)
    for pair in found:
        assert pair["score"] == pytest.approx(float(vectors[pair["row"]] @ vectors[pair["other_row"]]), abs=1e-5)
        assert (pair["text"], pair["other"]) == (TEXTS[pair["row"]], TEXTS[pair["other_row"]])
    least = (pairs[4][0] + pairs[5][0]) / 2
    plain = bertworks("mine", vectors_model, table, "--text", "body", "--least", f"{least:.8f}", *MACHINE)
    assert len(plain.out.splitlines()) == 5
    assert plain.out.splitlines()[0].split("\t")[0] == f"{pairs[0][0]:.4f}"


def slow_bitext(first: Array, second: Array, neighbours: int, least: float) -> list[tuple[float, int, int]]:
    """The margins of all pairs that are the best of one of the two, the highest first, each text once."""
    cosines = first @ second.T
    of_first, of_second = (np.sort(c, axis=1)[:, -neighbours:].mean(axis=1) for c in (cosines, cosines.T))
    margins = cosines / ((of_first[:, None] + of_second[None]) / 2)
    near = np.zeros_like(cosines, dtype=bool)
    for i in range(len(first)):
        among = np.argsort(-cosines[i])[:neighbours]
        near[i, among[margins[i, among].argmax()]] = True
    for j in range(len(second)):
        among = np.argsort(-cosines[:, j])[:neighbours]
        near[among[margins[among, j].argmax()], j] = True
    found: list[tuple[float, int, int]] = []
    for margin, i, j in sorted(((float(margins[i, j]), i, j) for i, j in np.argwhere(near).tolist()), reverse=True):
        if margin >= least and all(i != a and j != b for _, a, b in found):
            found.append((margin, i, j))
    return found


def test_translations_are_found_between_two_files(bertworks: Bertworks, table: Path, work: Path, vectors_model: Path, unit: Any) -> None:
    others = [text.replace("this ", "the ") for text in TEXTS[5:25]][::-1]
    (work / "others.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in others), encoding="utf-8")
    expected = slow_bitext(unit(TEXTS), unit(others), 3, 1.01)
    command = (
        "mine",
        vectors_model,
        table,
        "--text",
        "body",
        "--against",
        "others.jsonl",
        "--neighbours",
        "3",
        "--least",
        "1.01",
        *MACHINE,
    )
    done = bertworks(*command, "--json")
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) > 5
    assert [(pair["row"], pair["other_row"]) for pair in found] == [(i, j) for _, i, j in expected]
    np.testing.assert_allclose([pair["score"] for pair in found], [margin for margin, _, _ in expected], atol=1e-4)
    assert all(pair["other"] == others[pair["other_row"]] for pair in found)
    told = bertworks(*command, "--top-k", "4", "--output", "pairs.csv", "--json").json
    assert (told["found"], told["rows"], told["output"]) == (4, len(TEXTS) + len(others), "pairs.csv")
    with open("pairs.csv", encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["sentence1"], row["sentence2"], int(row["row1"]), int(row["row2"])) for row in written] == [
        (pair["text"], pair["other"], pair["row"], pair["other_row"]) for pair in found[:4]
    ]
    looked = bertworks("inspect", "pairs.csv", "--task", "embeddings", "--objective", "ranking", "--model", vectors_model)
    assert looked.code == 0, looked.err


def test_what_cannot_be_mined_is_said(bertworks: Bertworks, work: Path, table: Path, vectors_model: Path) -> None:
    wrong = bertworks("mine", vectors_model, table, "--against-text", "body")
    assert (wrong.code, "--against" in wrong.error) == (2, True)
    wrong = bertworks("mine", vectors_model, table, "--text", "body", "--limit", "1")
    assert (wrong.code, "has one text" in wrong.error) == (3, True)
    wrong = bertworks("mine", vectors_model, table, "--text", "body", "--against", table, "--against-text", "bdy")
    assert (wrong.code, "Did you mean 'body'?" in wrong.error) == (3, True)


@pytest.fixture
def gaps(work: Path) -> dict[int, str]:
    """gaps.csv, of whose texts some are empty or blank: the others by the number of their row."""
    cells = [cell for i, text in enumerate(TEXTS[:12]) for cell in ((text, "", "  \t") if i % 3 == 0 else (text,))]
    with open(work / "gaps.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "body"), *((i, cell) for i, cell in enumerate(cells))])
    return {i: cell for i, cell in enumerate(cells) if cell.strip()}


def test_empty_texts_are_in_no_pair(bertworks: Bertworks, vectors_model: Path, gaps: dict[int, str], unit: Any) -> None:
    numbers, texts = list(gaps), list(gaps.values())
    vectors = unit(texts)
    pairs = {(numbers[i], numbers[j]): float(vectors[i] @ vectors[j]) for i, j in combinations(range(len(texts)), 2)}
    options = ("--text", "body", "--least", "-1", *MACHINE)
    done = bertworks("mine", vectors_model, "gaps.csv", *options, "--json")
    found = {(pair["row"], pair["other_row"]): pair for pair in map(json.loads, done.out.splitlines())}
    assert found.keys() == pairs.keys()
    assert {place: pair["score"] for place, pair in found.items()} == {place: pytest.approx(s, abs=1e-5) for place, s in pairs.items()}
    assert all((pair["text"], pair["other"]) == (gaps[i], gaps[j]) for (i, j), pair in found.items())
    told = bertworks("mine", vectors_model, "gaps.csv", *options, "--output", "pairs.csv", "--json").json
    assert (told["rows"], told["accounting"]["dropped"]) == (20, {"empty text": 8})


def test_empty_texts_of_two_files_are_in_no_pair(bertworks: Bertworks, work: Path, vectors_model: Path, gaps: dict[int, str]) -> None:
    (work / "lines.txt").write_text("\n" + "\n\n \n".join(gaps.values()) + "\n", encoding="utf-8")
    options = ("--text", "body", "--against", "lines.txt", *MACHINE)
    done = bertworks("mine", vectors_model, "gaps.csv", *options, "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert {(pair["row"], pair["other_row"]) for pair in found} == {(row, 1 + 3 * place) for place, row in enumerate(gaps)}
    assert all(pair["text"] == pair["other"] == gaps[pair["row"]] for pair in found)
    told = bertworks("mine", vectors_model, "gaps.csv", *options, "--output", "pairs.csv", "--json").json
    assert (told["rows"], told["accounting"]["dropped"]) == (20 + 1 + 12 + 22, {"empty text": 8 + 1 + 22})


def test_mined_pairs_name_the_training_they_are_for(bertworks: Bertworks, table: Path, vectors_model: Path) -> None:
    done = bertworks("mine", vectors_model, table, "--text", "body", "--top-k", "3", "--output", "my pairs.csv", *MACHINE)
    assert "bertworks train 'my pairs.csv' --task embeddings --objective ranking" in " ".join(done.out.split())
    rows = read_rows("my pairs.csv", objective="ranking")
    assert (rows.scores, len(rows)) == (None, 3)


@pytest.mark.parametrize("two", [False, True])
def test_no_pair_that_is_near_enough(bertworks: Bertworks, table: Path, vectors_model: Path, unit: Any, two: bool) -> None:
    others = TEXTS[10:] if two else TEXTS
    vectors, second = unit(TEXTS), unit(others)
    best = slow_bitext(vectors, second, 4, -np.inf)[0][0] if two else np.max(np.tril(vectors @ vectors.T, -1))
    Path("others.txt").write_text("\n".join(others), encoding="utf-8")
    more = ("--against", "others.txt") if two else ()
    done = bertworks("mine", vectors_model, table, "--text", "body", "--least", "20.5", *more, *MACHINE)
    assert (done.code, done.out) == (0, "")
    said = re.search(r"no pair reaches 20.5; the nearest has (\S+)", " ".join(done.err.split()))
    assert said is not None, done.err
    assert float(said[1]) == pytest.approx(best, abs=2e-4)
    done = bertworks("mine", vectors_model, table, "--text", "body", "--least", "20.5", "-o", "none.csv", *more, *MACHINE)
    assert "no pair reaches 20.5" in done.out
    assert "bertworks train" not in done.out


@pytest.mark.parametrize("least", [float("nan"), float("inf"), -np.inf, True, "0.8"])
def test_a_lowest_score_is_a_finite_number(vectors_model: Path, least: Any) -> None:
    with pytest.raises(SettingsError, match="least is the lowest score of a pair, a finite number"):
        mine(vectors_model, TEXTS[:3], least=least)


def test_neighbours_are_those_of_two_files(bertworks: Bertworks, table: Path, vectors_model: Path) -> None:
    refused = bertworks("mine", vectors_model, table, "--text", "body", "--neighbours", "2")
    assert (refused.code, "name the second (--against), or leave it out" in refused.error) == (2, True)


def test_a_second_file_is_read_once_and_its_faults_are_told(vectors_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read = [{"body": text} for text in TEXTS[:5]], []
    whole = mining.read_table
    monkeypatch.setattr(mining, "read_table", lambda source, **options: read.append(source) or whole(source, **options))
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        mine(vectors_model, first, text="body", against="nowhere.csv")
    assert read == [first, "nowhere.csv"]
    with pytest.raises(DataError, match="column 'body' is of the type int64"):  # it is there: not that another is taken in its place
        mine(vectors_model, first, text="body", against=[{"body": 1, "text": "a text"}])


@pytest.mark.parametrize("command", [("mine", "both.csv"), ("zero-shot", *as_options(LABELS), "--file", "both.csv")])
def test_which_of_two_texts_in_a_row_is_asked(bertworks: Bertworks, work: Path, vectors_model: Path, command: tuple[str, ...]) -> None:
    (work / "both.csv").write_text("question1,question2\n" + "".join(f"{text},{text[::-1]}\n" for text in TEXTS[:4]), encoding="utf-8")
    verb, *options = command
    wrong = bertworks(verb, vectors_model, *options, *MACHINE)
    assert (wrong.code, "'question1' and 'question2'" in wrong.error, "(--text …)" in wrong.error) == (3, True, True)
    done = bertworks(verb, vectors_model, *options, "--text", "question2", "--json", *MACHINE)
    assert {json.loads(line)["text"] for line in done.out.splitlines()} <= {text[::-1] for text in TEXTS[:4]}
    assert done.out
    (work / "single.csv").write_text("body\n" + "".join(f"{text}\n" for text in TEXTS[:4]), encoding="utf-8")
    wrong = bertworks("mine", vectors_model, "single.csv", "--text", "body", "--against", "both.csv", *MACHINE)
    assert (wrong.code, "(--against-text …)" in wrong.error) == (3, True)


# ---- zero-shot


def test_texts_get_the_label_of_the_nearest_description(bertworks: Bertworks, table: Path, vectors_model: Path, unit: Any) -> None:
    scores = unit(TEXTS) @ unit(list(LABELS.values())).T
    expected = [list(LABELS)[i] for i in scores.argmax(axis=1)]
    done = bertworks("zero-shot", vectors_model, *TEXTS[:4], *as_options(LABELS), *MACHINE)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [f"{expected[i]}\t{scores[i].max():.4f}\t{TEXTS[i]}" for i in range(4)]
    done = bertworks("zero-shot", vectors_model, "--file", table, "--text", "body", *as_options(LABELS), "--json", *MACHINE)
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["prediction"] for answer in found] == expected
    np.testing.assert_allclose([list(answer["scores"].values()) for answer in found], scores, atol=1e-5)
    assert all(answer["score"] == max(answer["scores"].values()) for answer in found)
    done = bertworks("zero-shot", vectors_model, "--file", table, "--text", "body", *as_options(LABELS), "-o", "sorted.parquet", *MACHINE)
    assert "30 rows → sorted.parquet" in done.out
    written = parquet.read_table("sorted.parquet")
    assert written.column_names == ["id", "body", "rank", "prediction", "score", "similarity_praise", "similarity_blame"]
    assert written["prediction"].to_pylist() == expected
    np.testing.assert_allclose(written["similarity_blame"].to_numpy(), scores[:, 1], atol=1e-5)


def test_texts_come_through_a_pipe(bertworks: Bertworks, vectors_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEXTS[0]}\n{TEXTS[1]}\n"))
    piped = bertworks("zero-shot", vectors_model, *as_options(LABELS), "--json", *MACHINE)
    given = bertworks("zero-shot", vectors_model, *TEXTS[:2], *as_options(LABELS), "--json", *MACHINE)
    assert piped.out == given.out
    assert len(given.out.splitlines()) == 2


def test_an_empty_text_gets_no_label(bertworks: Bertworks, vectors_model: Path, gaps: dict[int, str]) -> None:
    wrong = bertworks("zero-shot", vectors_model, "", *as_options(LABELS), *MACHINE)
    assert (wrong.code, "the text is empty" in wrong.error) == (3, True)
    wrong = bertworks("zero-shot", vectors_model, TEXTS[0], " \t", *as_options(LABELS), *MACHINE)
    assert (wrong.code, "text 1 (the first is 0) is empty" in wrong.error) == (3, True)
    options = ("--file", "gaps.csv", "--text", "body", *as_options(LABELS), *MACHINE)
    done = bertworks("zero-shot", vectors_model, *options, "--json")
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == list(gaps.values())
    told = bertworks("zero-shot", vectors_model, *options, "-o", "sorted.parquet", "--json").json
    assert (told["rows"], told["accounting"]["dropped"]) == (20, {"empty text": 8})
    assert parquet.read_table("sorted.parquet")["id"].to_pylist() == [str(row) for row in gaps]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("abc", "a list of texts"),
        (None, "a list of texts"),
        (["sports", 1], "a list of texts"),
        ({"a": "a text", "b": " "}, "'b' lacks its description"),
        ({"a": "a text", "b": None}, "'b' lacks its description"),
        ({"a": "a text", "": "another"}, "a label is empty"),
        ({1: "a text", "1": "another"}, "two labels are written '1'"),
        ({"a": "a text"}, "two labels at least"),
    ],
)
def test_wrong_descriptions(vectors_model: Path, labels: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        zero_shot(vectors_model, "a text", labels=labels)


def test_labels_that_are_numbers(vectors_model: Path) -> None:
    report = zero_shot(vectors_model, TEXTS[:5], labels={1: LABELS["praise"], 2: LABELS["blame"]}, device="cpu", precision="float32")
    named = zero_shot(vectors_model, TEXTS[:5], labels={"1": LABELS["praise"], "2": LABELS["blame"]}, device="cpu", precision="float32")
    assert report.predictions == named.predictions


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "two labels at least"),
        (("a=b",), "two labels at least"),
        (("a=b", "a=c"), "'a' stands twice"),
        (("a=b", "=c"), "lacks its name"),
        (("a=b", "c="), "lacks its description"),
    ],
)
def test_wrong_labels(bertworks: Bertworks, vectors_model: Path, labels: tuple[str, ...], message: str) -> None:
    wrong = bertworks("zero-shot", vectors_model, "a text", *(part for label in labels for part in ("--labels", label)))
    assert (wrong.code, message in wrong.error) == (2, True), wrong.err


def test_a_label_alone_describes_itself(bertworks: Bertworks, vectors_model: Path, unit: Any) -> None:
    found = bertworks("zero-shot", vectors_model, TEXTS[0], "--labels", "soup", "--labels", "train", "--json", *MACHINE).json
    np.testing.assert_allclose(list(found["scores"].values()), (unit([TEXTS[0]]) @ unit(["soup", "train"]).T)[0], atol=1e-5)
