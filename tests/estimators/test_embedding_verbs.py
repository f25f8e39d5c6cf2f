"""`train`, `evaluate`, `embed` and `search` of vectors, as functions and on the command line."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from rich.console import Console

import bertworks as bw
from bertworks.cli.main import run
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.embeddings.data_settings import read_rows
from bertworks.estimators.embeddings.verbs import embed, evaluate, inspect, search
from bertworks.estimators.progress import TerminalProgress

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
FAST: dict[str, Any] = {"epochs": 1, "precision": "float32", "device": "cpu"}


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def table(name: str, columns: Sequence[str], rows: Any) -> Path:
        with open(tmp_path / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        return tmp_path / name

    return table


@pytest.fixture
def pairs(write: Write, reviews: Any) -> Path:
    texts, labels = reviews(80, seed=1)
    return write(
        "pairs.csv", ("sentence1", "sentence2", "score"), [(texts[i], texts[i + 1], 5 * (labels[i] == labels[i + 1])) for i in range(60)]
    )


def test_scored_pairs_make_a_run_with_a_report_and_a_card(pairs: Path, tiny_bert: Path, capsys: Capture) -> None:
    command = f"train {pairs} --task embeddings --model {tiny_bert} --epochs 1 --precision float32 --device cpu --output run --matryoshka 8"
    assert run(command.split()) == 0
    printed = capsys.readouterr().out
    assert "spearman" in printed
    assert "the model before training" in printed
    assert "bertworks embed run" in printed
    stored = json.loads(Path("run/metrics.json").read_text())
    assert stored["headline"] == "spearman"
    assert set(stored["validation"]["intervals"]) == {"spearman", "pearson"}
    assert json.loads(Path("run/accounting.json").read_text())["training"]["rows"] == 54
    assert json.loads(Path("run/model/bertworks.json").read_text())["about"]["objective"]["matryoshka"] == [8, 32]
    card = Path("run/model/README.md").read_text()
    assert "pipeline_tag: sentence-similarity" in card
    assert "SentenceTransformer(" in card
    assert "vectors" in Path("run/report.md").read_text()
    found = bw.evaluate("run", pairs, device="cpu", precision="float32")
    assert found.headline == "spearman"
    assert found.metrics["rows"] == 60
    assert bw.train(resume="run").was_finished
    with pytest.raises(SettingsError, match="leave out epochs, limit"):
        bw.train(resume="run", epochs=9, limit=3)


OBJECTIVES: dict[str, tuple[tuple[str, ...], int, dict[str, Any], str]] = {
    "pairs": (("anchor", "positive"), 2, {}, "ranking"),
    "triplets": (("anchor", "positive", "negative"), 3, {}, "ranking"),
    "texts": (("text",), 1, {}, "simcse"),
    "teacher": (("text",), 1, {"teacher": True}, "distillation"),
}


@pytest.mark.parametrize("what", OBJECTIVES)
def test_the_form_of_the_data_says_what_is_learnt(write: Write, reviews: Any, tiny_bert: Path, what: str) -> None:
    columns, width, more, objective = OBJECTIVES[what]
    texts = list(dict.fromkeys(reviews(100)[0]))
    data = write("data.csv", columns, [texts[i : i + width] for i in range(0, 60, width)])
    report = bw.train(data, task="embeddings", model=tiny_bert, **FAST, **({"teacher": str(tiny_bert)} if more else {}))
    about = json.loads((report.model / "bertworks.json").read_text())["about"]["objective"]
    assert about["kind"] == objective
    assert (report.metrics is None) == (what == "texts")
    assert report.next_steps[0].startswith("bertworks embed")


def test_every_parameter_of_the_class_has_an_option(pairs: Path, tiny_bert: Path, make_bert: Any, capsys: Capture) -> None:
    fast = f"--task embeddings --model {tiny_bert} --epochs 0.3 --precision float32 --device cpu --validation-fraction 0"
    own = "--layers-from 1 --dense 12 --activation relu --normalize --score-range -5 10 --pooling cls"
    assert run(f"train {pairs} {fast} --output run {own}".split()) == 0
    rows = list(csv.DictReader(pairs.open(newline="")))
    texts, scores = [(row["sentence1"], row["sentence2"]) for row in rows], [float(row["score"]) for row in rows]
    options: dict[str, Any] = {"layers_from": 1, "dense": 12, "activation": "relu", "normalize": True, "score_range": (-5.0, 10.0)}
    by_hand = bw.SentenceEncoder(
        tiny_bert, objective="scores", pooling="cls", epochs=0.3, precision="float32", device="cpu", progress=False, **options
    ).fit(texts, scores)
    trained = bw.load("run", precision="float32", device="cpu", verify=True)
    np.testing.assert_array_equal(trained.encode(texts[0]), by_hand.encode(texts[0]))
    taught = f"train {pairs} {fast} --text sentence1 --teacher {make_bert(hidden_size=20, num_attention_heads=2)} --distance squared"
    assert run(f"{taught} --output wide".split()) == 0
    assert "a linear layer is added: from 32 features to the teacher's 20" in capsys.readouterr().err
    assert bw.load("wide").width == 20
    assert json.loads(Path("wide/model/bertworks.json").read_text())["about"]["objective"]["distance"] == "squared"
    assert bw.train(resume="wide").was_finished
    assert run(f"{taught} --dense 20 --activation identity --output flat".split()) == 0
    assert json.loads(Path("flat/model/2_Dense/config.json").read_text())["activation_function"].endswith("Identity")
    capsys.readouterr()
    for wrong, message in (("--dense 21", "choose dense=20 (--dense 20)"), ("--activation relu", "give dense (--dense) too")):
        assert run(f"{taught} {wrong} --output no".split()) == 2
        assert message in capsys.readouterr().err


def test_a_way_with_long_texts_that_is_named_is_taken(pairs: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """Though the folder says another, and the named one is the usual one of other tasks."""
    bw.SentenceEncoder(tiny_bert, overflow="truncate", precision="float32").save(tmp_path / "cutting")
    fast = "--task embeddings --epochs 0.3 --precision float32 --device cpu --validation-fraction 0"
    for more, expected in (("", "truncate"), ("--overflow window", "window")):
        output = f"run-{expected}"
        assert run(f"train {pairs} --model {tmp_path / 'cutting'} {fast} --output {output} {more}".split()) == 0
        assert json.loads(Path(f"{output}/model/bertworks.json").read_text())["settings"]["overflow"] == expected


def test_what_cannot_be_learnt_from_is_said(write: Write, pairs: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled = write(
        "labelled.csv", ("premise", "hypothesis", "label"), [("a cat", "a dog", "neutral"), ("the cat", "a cat", "entailment")] * 9
    )
    with pytest.raises(DataError, match="does not hold a number for each pair"):
        bw.train(labelled, task="embeddings", model=tiny_bert)
    with pytest.raises(SettingsError, match="no option 'label_smoothing' for the task 'embeddings'"):
        bw.train(pairs, task="embeddings", label_smoothing=0.1)
    with pytest.raises(SettingsError, match="several seeds are compared on validation data, but there are none"):
        bw.train(pairs, task="embeddings", seeds=2, validation_fraction=0)
    assert run(["predict", str(tiny_bert), "a"]) != 0
    assert not list(Path().glob("runs/*"))


def test_negatives_are_read_for_ranking_only(reviews: Any) -> None:
    texts = list(dict.fromkeys(reviews(100)[0]))
    rows = [{"a": texts[i], "b": texts[i + 1], "negative": texts[i + 2], "negatives": [texts[i + 3], None, " "]} for i in range(9)]
    for objective, width in ((None, 4), ("ranking", 4), ("distillation", 2), ("simcse", 2)):
        read = read_rows(rows, objective, text="a", pair="b")
        assert {len(row) for row in read.texts} == {width}
        assert read.texts[2] == (*texts[2:4], *texts[4:6])[:width]
        assert ("columns not used: negative, negatives" in read.facts) == (width == 2)
    rows[3]["negatives"] = None
    rows[4]["negatives"] = []
    assert [len(row) for row in read_rows(rows, "ranking", text="a", pair="b").texts] == [4, 4, 4, 3, 3, 4, 4, 4, 4]
    for row in rows:
        row["negatives"] = {"text": "a song"}
    with pytest.raises(DataError, match=r"row 0 .*'negatives' is to hold a text or a list of texts, but has \{'text': 'a song'\}"):
        read_rows(rows, "ranking", text="a", pair="b")


LABELS: dict[str, tuple[Callable[[int], Any], bool]] = {
    "one": (lambda i: 1, False),
    "two classes": (lambda i: i % 2, False),
    "three classes": (lambda i: i % 3, False),
    "words": (lambda i: "same", False),
    "few scores": (lambda i: i % 2 / 2, True),
    "whole scores": (lambda i: i % 6, True),
}


@pytest.mark.parametrize("what", LABELS)
def test_what_a_ranking_is_judged_by(write: Write, reviews: Any, tiny_bert: Path, what: str) -> None:
    """Labels that can be nothing but scores are; with others the texts of a row belong together, as in the training."""
    label, are_scores = LABELS[what]
    texts = list(dict.fromkeys(reviews(100)[0]))
    columns, rows = ("sentence1", "sentence2", "label"), [(texts[i], texts[i + 1], label(i)) for i in range(40)]
    data, dev = write("pairs.csv", columns, rows[:30]), write("dev.csv", columns, rows[30:])
    terminal = io.StringIO()
    watches = TerminalProgress(Console(file=terminal, width=200))
    report = bw.train(data, task="embeddings", objective="ranking", validation=dev, model=tiny_bert, progress=watches, **FAST)
    assert re.search(rf"validation {report.headline} -?\d", terminal.getvalue()), "it is told what the model is judged by"
    assert report.headline == ("spearman" if are_scores else "ndcg@10")
    other = inspect(data, against=dev, objective="ranking", model=tiny_bert)
    assert not [finding for finding in other.inspection.findings if finding.level == "error"]
    if what == "one":
        with pytest.raises(DataError, match=r"all scores are 1.*objective=.ranking"):
            bw.evaluate(report.folder, dev)
    if what == "words":
        with pytest.raises(DataError, match="--objective ranking"):
            bw.evaluate(report.folder, dev)
    assert bw.evaluate(report.folder, dev, objective="ranking").headline == "ndcg@10"


def test_the_model_before_training_is_judged_in_the_same_way(pairs: Path, tiny_bert: Path) -> None:
    own: dict[str, Any] = {"prompt": "a song about ", "dimensions": 5}
    report = bw.train(pairs, task="embeddings", validation=pairs, model=tiny_bert, **FAST, **own)
    before = bw.SentenceEncoder(tiny_bert, precision="float32", device="cpu", **own)
    data = read_rows(pairs, "scores")
    assert report.findings["baselines"]["the model before training"]["spearman"] == before.score(data.texts, data.scores)
    trained = bw.SentenceEncoder(report.model, precision="float32", device="cpu", **own)
    assert report.metrics is not None
    assert report.metrics["spearman"] == pytest.approx(trained.score(data.texts, data.scores), abs=1e-3)


def test_the_command_line_names_what_is_judged(write: Write, reviews: Any, tiny_bert: Path, capsys: Capture) -> None:
    texts = list(dict.fromkeys(reviews(60)[0]))
    data = write("pairs.csv", ("sentence1", "sentence2", "label"), [(texts[i], texts[i + 1], i % 5) for i in range(20)])
    bw.SentenceEncoder(tiny_bert, precision="float32").save("encoder")
    for more, headline in (([], "spearman"), (["--objective", "scores"], "spearman"), (["--objective", "ranking"], "ndcg@10")):
        assert run(["evaluate", "encoder", str(data), "--json", "--device", "cpu", *more]) == 0
        assert json.loads(capsys.readouterr().out)["headline"] == headline
    assert run(["evaluate", "encoder", str(data), "--objective", "simcse"]) == SettingsError.exit_code
    assert "'scores' or 'ranking', not 'simcse'" in capsys.readouterr().err


def test_embed_writes_what_encode_gives_and_keeps_the_columns(write: Write, reviews: Any, tiny_bert: Path) -> None:
    texts = reviews(50)[0]
    data = write("texts.csv", ("body", "number"), [(text, i) for i, text in enumerate(texts)])
    wanted = bw.SentenceEncoder(tiny_bert, precision="float32").encode(texts)
    options: dict[str, Any] = {"file": data, "text": "body", "precision": "float32", "device": "cpu"}
    report = embed(tiny_bert, output="vectors.parquet", **options)
    table = parquet.read_table("vectors.parquet")
    assert table.column_names == ["body", "number", "vector"]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), wanted)
    assert (report.accounting.rows, report.width) == (50, 32)
    embed(tiny_bert, output="vectors.npy", dtype="float16", **options)
    np.testing.assert_array_equal(np.load("vectors.npy"), wanted.astype(np.float16))
    again = embed(tiny_bert, output="again.parquet", **{**options, "file": "vectors.parquet"})
    assert parquet.read_table("again.parquet").column_names[-1] == "vector_2"
    assert any("vector_2" in note for note in again.notes)


def test_search_finds_by_texts_and_by_stored_vectors(write: Write, reviews: Any, tiny_bert: Path) -> None:
    texts = list(dict.fromkeys(reviews(50)[0]))
    data = write("texts.csv", ("text",), [(text,) for text in texts])
    options: dict[str, Any] = {"precision": "float32", "device": "cpu"}
    found = search(tiny_bert, ["good soup", texts[7]], file=data, top_k=3, **options)
    assert [hit.rank for hit in found] == [1, 2, 3] * 2
    assert found[3].row == 7
    assert found[3].text == texts[7]
    for dtype in ("float32", "int8"):
        embed(tiny_bert, file=data, output=f"{dtype}.npy", dtype=dtype, **options)  # type: ignore[arg-type]
        stored = search(tiny_bert, texts[7], file=data, vectors=f"{dtype}.npy", top_k=1, **options)
        assert (stored[0].row, stored[0].score) == (7, pytest.approx(1, abs=0.01))
    with pytest.raises(DataError, match="of different files"):
        search(tiny_bert, "a", file=write("few.csv", ("text",), [("a",), ("b",)]), vectors="int8.npy")


def test_a_search_is_judged_by_what_is_relevant(write: Write, reviews: Any, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = list(dict.fromkeys(reviews(40)[0]))
    corpus = write("corpus.csv", ("_id", "text"), [(f"d{i}", text) for i, text in enumerate(texts)])
    queries = write("queries.csv", ("_id", "text"), [("q1", texts[3]), ("q2", texts[9])])
    relevant = write("relevant.csv", ("query-id", "corpus-id", "score"), [("q1", "d3", 1), ("q2", "d9", 1), ("q2", "d1", 0)])
    command = ["evaluate", str(tiny_bert), str(queries), "--corpus", str(corpus), "--relevance", str(relevant), "--json", "--device", "cpu"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["mrr@10"] == 1.0
    wrong = write("wrong.csv", ("query-id", "corpus-id"), [("q1", "d99")])
    assert run([*command[:6], str(wrong)]) == DataError.exit_code
    assert "no id 'd99'" in capsys.readouterr().err
    assert run([*command, "--scheme", "IO"]) == SettingsError.exit_code
    assert "evaluate has no option 'scheme' for the task 'embeddings'. Leave it out" in capsys.readouterr().err


def test_some_queries_of_a_search_are_chosen(write: Write, reviews: Any, tiny_bert: Path) -> None:
    texts = list(dict.fromkeys(reviews(40)[0]))
    corpus = write("corpus.csv", ("_id", "text"), [(f"d{i}", text) for i, text in enumerate(texts)])
    queries = write("queries.csv", ("_id", "text", "split"), [(f"q{i}", texts[i], "test" if i < 6 else "train") for i in range(9)])
    relevant = write("relevant.csv", ("query-id", "corpus-id"), [(f"q{i}", f"d{i}") for i in range(9)])

    def rows(**options: Any) -> int:
        found = evaluate(tiny_bert, queries, **{"corpus": corpus, "relevance": relevant, "device": "cpu", **options}).metrics
        assert found["mrr@10"] == 1
        return int(found["rows"])

    assert (rows(), rows(limit=4), rows(split="test"), rows(split="train", limit=2, shuffle_seed=1)) == (9, 4, 6, 2)
    for name, text in (("corpus", corpus.read_text()), ("relevance", relevant.read_text())):
        Path("semicolons.csv").write_text(text.replace(",", ";").replace("d3", "dé3"), encoding="latin-1")
        with pytest.raises(DataError):
            rows(**{name: Path("semicolons.csv")})
    for path in (corpus, queries, relevant):
        path.write_text(path.read_text().replace(",", ";").replace("d3", "dé3"), encoding="latin-1")
    assert rows(encoding="latin-1", delimiter=";") == 9
    for option in ({"pair": "text"}, {"label": "text"}, {"objective": "ranking"}):
        with pytest.raises(SettingsError, match=f"a search has no {next(iter(option))}"):
            rows(**option)
    with relevant.open("a", encoding="latin-1") as file:
        file.write("q77;d1\n")
    with pytest.raises(DataError, match="no id 'q77'"):
        rows(encoding="latin-1", delimiter=";")
    assert rows(encoding="latin-1", delimiter=";", on_bad_rows="drop") == 9


def test_texts_on_the_command_line_are_printed_with_their_vectors(tiny_bert: Path, capsys: Capture) -> None:
    assert run(["embed", str(tiny_bert), "a good soup", "b", "--precision", "float32", "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a good soup", "b"]
    wanted = bw.SentenceEncoder(tiny_bert, precision="float32").encode(["a good soup", "b"])
    np.testing.assert_allclose([line["vector"] for line in lines], wanted, atol=1e-6)
    for arguments, message in (
        (["--file", "no.csv", "-o", "x.npy"], "no.csv"),
        (["a", "-o", "x.csv"], ".npy or .parquet"),
        (["a", "--dtype", "int9"], "Did you mean 'int8'"),
        (["a", "--dimensions", "99"], "from 1 to 32"),
        (["a", "--overflow", "cut"], "overflow must be one of"),
    ):
        assert run(["embed", str(tiny_bert), *arguments]) in (2, 3)
        assert message in capsys.readouterr().err
