"""Features of frozen encoders against `transformers`' hidden states, and scikit-learn's conventions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import Encoder, FeatureExtractor, Tokenizer
from bertworks.errors import DataError, SettingsError

TEXTS = ["the soup was cold", "a fine day", "the old train was late and the dog was not there", "wine"]
FAST: dict[str, Any] = {"precision": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def theirs(tiny_bert: Path) -> list[list[np.ndarray[Any, Any]]]:
    """Of each text all states, `[tokens, hidden]` each."""
    transformers = pytest.importorskip("transformers")
    model = transformers.BertModel.from_pretrained(tiny_bert).eval()
    tokenizer = Tokenizer.load(tiny_bert)
    out = []
    for text in TEXTS:
        with torch.no_grad():
            states = model(torch.tensor([tokenizer.encode(text).ids.tolist()]), output_hidden_states=True).hidden_states
        out.append([layer[0].numpy() for layer in states])
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda s: s[-1].mean(0)),
        ({"layers": 0}, lambda s: s[0].mean(0)),
        ({"layers": (-2, -1)}, lambda s: np.concatenate([s[-2], s[-1]], 1).mean(0)),
        ({"layers": (1, 2), "combine": "sum", "pooling": "cls"}, lambda s: (s[1] + s[2])[0]),
        ({"layers": (0, 1, 2), "combine": "mean", "pooling": "max"}, lambda s: ((s[0] + s[1] + s[2]) / 3).max(0)),
    ],
)
def test_features_are_those_of_transformers(tiny_bert: Path, theirs: Any, options: dict[str, Any], expected: Any) -> None:
    extractor = FeatureExtractor(tiny_bert, **options, **FAST)
    features = extractor.transform(TEXTS)
    np.testing.assert_allclose(features, np.stack([expected(states) for states in theirs]), atol=2e-5)
    assert features.dtype == np.float32
    assert len(extractor.get_feature_names_out()) == features.shape[1]
    assert extractor.accounting_.rows == len(TEXTS)


def test_token_by_token(tiny_bert: Path, theirs: Any) -> None:
    extractor = FeatureExtractor(tiny_bert, **FAST)
    for text, found, states in zip(TEXTS, extractor.tokens(TEXTS), theirs, strict=True):
        np.testing.assert_allclose(found.vectors, states[-1][1:-1], atol=2e-5)
        assert [text[a:b] for a, b in found.offsets.tolist()] == text.split()
        assert found.tokens == text.split()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_long_texts_are_read_whole(tiny_bert: Path, pooling: Any) -> None:
    text = " ".join(["the", "soup", "was", "very", "cold", "and", "old"] * 6)
    extractor = FeatureExtractor(tiny_bert, pooling=pooling, max_tokens=16, **FAST)
    windows = Tokenizer.load(tiny_bert).encode_batch([text], max_tokens=16)[0]
    assert len(windows) > 2
    encoder = Encoder(tiny_bert, **FAST)
    states = [encoder(encoder.tokenizer.decode(w.ids[1:-1])).last_hidden_state[0] for w in windows]
    if pooling == "max":
        expected = np.concatenate(states).max(0)
    else:
        of_windows = [s[0] if pooling == "cls" else s.mean(0) for s in states]
        expected = np.average(of_windows, axis=0, weights=[len(s) for s in states])
    np.testing.assert_allclose(extractor.transform([text])[0], expected, atol=2e-5)
    assert extractor.accounting_.windowed_rows == 1
    assert extractor.accounting_.truncated_tokens == 0
    assert [t for f in extractor.tokens([text]) for t in f.tokens] == text.split()


def test_any_number_of_texts(tiny_bert: Path) -> None:
    extractor = FeatureExtractor(tiny_bert, **FAST)
    many = TEXTS * 300
    parts = list(extractor.stream(text for text in many))
    assert len(parts) > 1
    np.testing.assert_allclose(np.concatenate(parts), np.tile(extractor.transform(TEXTS), (300, 1)), atol=1e-5)
    assert extractor.transform([]).shape == (0, 32)
    assert list(extractor.stream([])) == []


def test_in_a_pipeline(tiny_bert: Path, reviews: Any) -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = reviews(40)
    extractor = FeatureExtractor(tiny_bert, layers=(1, 2), **FAST)
    pipeline = make_pipeline(clone(extractor), LogisticRegression(C=100, max_iter=5000)).fit(texts, labels)
    assert pipeline.score(texts, labels) > 0.9
    assert clone(extractor).get_params() == extractor.get_params()
    assert extractor.set_params(pooling="max").transform(texts[:2]).shape == (2, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 3}, "layer 3 does not exist: layers go from 0, the embedding, to 2"),
        ({"layers": ()}, "no layer is named"),
        ({"layers": True}, "layer True"),
        ({"pooling": "men"}, "pooling is one of mean, cls, max, not 'men'. Did you mean 'mean'"),
        ({"combine": "add"}, "combine is one of"),
        ({"max_tokens": 100}, "reads from 1 to 64"),
    ],
)
def test_wrong_settings(tiny_bert: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FeatureExtractor(tiny_bert, **options, **FAST).transform(TEXTS)


def test_wrong_texts(tiny_bert: Path) -> None:
    with pytest.raises(DataError, match="put it in a list"):
        FeatureExtractor(tiny_bert, **FAST).transform("one text")
    with pytest.raises(DataError):
        FeatureExtractor(tiny_bert, **FAST).transform([("a", "pair")])  # type: ignore[list-item]
    for row, wrong in ((3, 7), (600, None), (600, ("a", "b", "c"))):
        texts = [*(["wine"] * row), wrong]
        for stream in (FeatureExtractor(tiny_bert, **FAST).stream, FeatureExtractor(tiny_bert, **FAST).stream_tokens):
            with pytest.raises(DataError, match=f"row {row} "):
                list(stream(texts))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="more than max_tokens"):
        FeatureExtractor(tiny_bert, max_tokens=5, overflow="error", **FAST).transform(TEXTS)


# ---- the verb


def test_features_of_a_file(tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    import pyarrow.parquet as parquet

    from bertworks.cli.main import run

    (tmp_path / "texts.csv").write_text("number,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate(TEXTS)), encoding="utf-8")
    options = ["--model", str(tiny_bert), "--layers=1,2", "--precision", "float32", "--device", "cpu"]
    expected = FeatureExtractor(tiny_bert, layers=(1, 2), **FAST).transform(TEXTS)
    for name in ("features.parquet", "features.npy"):
        assert run(["features", "--file", str(tmp_path / "texts.csv"), "-o", str(tmp_path / name), *options]) == 0
        assert "4 texts" in capsys.readouterr().out
    table = parquet.read_table(tmp_path / "features.parquet")
    assert table["number"].to_pylist() == ["0", "1", "2", "3"]
    np.testing.assert_allclose(np.array(table["vector"].to_pylist()), expected, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected, atol=1e-5)
    assert run(["features", TEXTS[0], *options]) == 0
    np.testing.assert_allclose(json.loads(capsys.readouterr().out)["features"], expected[0], atol=1e-5)


def test_features_of_the_tokens_of_a_file(tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    import pyarrow.parquet as parquet

    from bertworks.cli.main import run

    rows = [*TEXTS[:2], "", *TEXTS[2:], " ".join(TEXTS * 3)]
    file, output = tmp_path / "texts.csv", tmp_path / "tokens.parquet"
    file.write_text("text,number\n" + "".join(f"{text},{i}\n" for i, text in enumerate(rows)), encoding="utf-8")
    options = ["--model", str(tiny_bert), "--layers=0,2", "--max-tokens", "20", "--tokens", "--precision", "float32", "--device", "cpu"]
    assert run(["features", "--file", str(file), "--text", "text", "--split", "[1:]", "-o", str(output), *options]) == 0
    assert "5 texts" in capsys.readouterr().out
    table = parquet.read_table(output)
    assert table.column_names == ["row", "token", "start", "end", "vector"]
    extractor = FeatureExtractor(tiny_bert, layers=(0, 2), max_tokens=20, **FAST)
    numbers = [1, 2, 3, 4, 5]
    expected = extractor.tokens([rows[number] for number in numbers])
    assert table["row"].to_pylist() == [number for number, text in zip(numbers, expected, strict=True) for _ in text.tokens]
    spans = zip(*(table[name].to_pylist() for name in ("row", "start", "end", "token")), strict=True)
    assert all(rows[row][start:end] == token for row, start, end, token in spans)
    np.testing.assert_allclose(np.array(table["vector"].to_pylist()), np.concatenate([text.vectors for text in expected]), atol=1e-5)
    assert run(["features", TEXTS[1], *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [token["token"] for token in told["tokens"]] == TEXTS[1].split()
    np.testing.assert_allclose([token["features"] for token in told["tokens"]], expected[0].vectors, atol=1e-5)


def test_tokens_of_any_number_of_texts(tiny_bert: Path, tmp_path: Path) -> None:
    """What is read ahead of what was taken is a few dozen texts, and the file has a group of rows for some thousand tokens."""
    import pyarrow.parquet as parquet

    from bertworks.estimators.verbs.features import features

    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for number in range(100):
            taken = number
            yield TEXTS[number % len(TEXTS)]

    stream = FeatureExtractor(tiny_bert, **FAST).stream_tokens(texts())
    for number, found in enumerate(stream):
        assert found.tokens == TEXTS[number % len(TEXTS)].split()
        assert taken < number + 40
    many = TEXTS[2:3] * 1000
    report = features(tiny_bert, many, tokens=True, output=tmp_path / "tokens.parquet", **FAST)
    assert report.accounting.rows == 1000
    groups = parquet.ParquetFile(tmp_path / "tokens.parquet").metadata
    assert groups.num_rows == 1000 * len(many[0].split())
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) < 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a text", "--tokens", "--pooling", "max"], "leave out either pooling or tokens"),
        (["a text", "--tokens", "-o", "x.npy"], "written to .parquet files, not '.npy'"),
        (["a text", "--layers", "1;2"], "whole numbers with commas"),
        (["--file", "x.csv"], "name it with --output"),
        ([], "there is nothing to read"),
        (["a text", "--pooling", "men"], "pooling is one of"),
    ],
)
def test_wrong_arguments(tiny_bert: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bertworks.cli.main import run

    assert run(["features", *arguments, "--model", str(tiny_bert)]) in (2, 3)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
