"""The index of vectors, against the exact search; its files; what is refused."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks as bw
from bertworks.batch import Array
from bertworks.cli.main import run
from bertworks.errors import DataError, MissingExtraError, SettingsError
from bertworks.estimators.embeddings.vector_index import VectorIndex, facts_path
from bertworks.evaluation.nearest import Comparison, nearest_vectors

pytest.importorskip("faiss")
pytestmark = pytest.mark.usefixtures("one_thread")


def clustered(count: int, seed: int, width: int = 24, centres: int = 60) -> Array:
    """Vectors around some centres, of unequal lengths."""
    middle = np.random.default_rng(0).standard_normal((centres, width))
    draws = np.random.default_rng(seed)
    found = middle[draws.integers(centres, size=count)] + 0.4 * draws.standard_normal((count, width))
    return (found * draws.uniform(0.5, 2, (count, 1))).astype(np.float32)


@pytest.mark.parametrize("by", ["cosine", "dot"])
def test_recall_beside_the_exact_search(by: Comparison) -> None:
    corpus, queries = clustered(6000, seed=1), clustered(300, seed=2)
    index = VectorIndex.build(corpus, by=by)
    assert 1 <= index.facts.probes < index.facts.cells, "a part of the vectors is compared"
    assert index.facts.recall >= 0.98
    exact, found = nearest_vectors(queries, corpus, 10, by=by), index.search(queries, 10)
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(exact.indices.tolist(), found.indices.tolist(), strict=True)]
    assert np.mean(shared) >= 0.95
    whole = nearest_vectors(queries, corpus, len(corpus), by=by)
    for places, scores, order, all_scores in zip(found.indices, found.scores, whole.indices, whole.scores, strict=True):
        by_number = np.empty(len(corpus), dtype=np.float32)
        by_number[order] = all_scores
        np.testing.assert_allclose(scores, by_number[places], rtol=1e-4, atol=1e-5)
        assert (np.diff(scores) <= 0).all()
        assert len(set(places.tolist())) == 10


def test_a_higher_recall_visits_more_cells_and_all_of_them_are_exact() -> None:
    corpus, queries = clustered(3000, seed=1, centres=1), clustered(40, seed=2, centres=1)
    low, high, all_cells = (VectorIndex.build(corpus, recall=recall) for recall in (0.3, 0.9, 1.0))
    assert low.facts.probes < high.facts.probes < all_cells.facts.probes
    assert low.facts.recall < 0.9 <= high.facts.recall
    assert all_cells.facts.recall == 1
    exact, found = nearest_vectors(queries, corpus, 10), all_cells.search(queries, 10)
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-5)


def test_more_neighbours_than_the_visited_cells_hold() -> None:
    corpus = clustered(500, seed=1)
    index = VectorIndex.build(corpus, recall=0.1)
    assert index.facts.probes < index.facts.cells
    found = index.search(corpus[:3], 500)
    np.testing.assert_array_equal(np.sort(found.indices, axis=1), np.tile(np.arange(500), (3, 1)))
    assert index.search(corpus[:1], 9999).indices.shape == (1, 500)


@pytest.mark.parametrize("count", [1, 2, 11, 40])
def test_few_vectors(count: int) -> None:
    corpus = clustered(count, seed=1)
    corpus[-1] = 0
    found = VectorIndex.build(corpus, recall=1).search(corpus, 10)
    np.testing.assert_allclose(found.scores, nearest_vectors(corpus, corpus, 10).scores, atol=1e-6)


def test_the_same_vectors_make_the_same_index(tmp_path: Path) -> None:
    corpus = clustered(2000, seed=1)
    for name in ("one", "other"):
        VectorIndex.build(corpus, threads=1).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert facts_path(tmp_path / "one").read_text() == facts_path(tmp_path / "other").read_text()


def test_files(tmp_path: Path) -> None:
    corpus = clustered(1000, seed=1)
    built = VectorIndex.build(corpus, model="m", source="s")
    path = built.save(tmp_path / "corpus.faiss")
    read = VectorIndex.load(path)
    assert read.facts == built.facts
    assert len(read) == 1000
    for mine, other in zip(read.search(corpus[:9], 5), built.search(corpus[:9], 5), strict=True):
        np.testing.assert_array_equal(mine, other)
    sound = path.read_bytes()
    path.write_bytes(sound[:-4] + b"\x00\x01\x02\x03")
    with pytest.raises(DataError, match=r"damaged.*built anew"):
        VectorIndex.load(path)
    path.write_bytes(sound)
    told = json.loads(facts_path(path).read_text())
    for change, message in (({"rows": 999}, "damaged"), ({"probes": "all"}, "damaged"), ({"format": 99}, "another version")):
        facts_path(path).write_text(json.dumps({**told, **change}))
        with pytest.raises(DataError, match=message):
            VectorIndex.load(path)
    facts_path(path).unlink()
    with pytest.raises(DataError, match=r"corpus\.faiss\.json beside it is lost"):
        VectorIndex.load(path)


# ---- encoders


@pytest.fixture
def texts(reviews: Any) -> list[str]:
    return list(dict.fromkeys(reviews(400, longest=20)[0]))


@pytest.fixture
def encoder(tiny_bert: Path) -> bw.SentenceEncoder:
    return bw.SentenceEncoder(tiny_bert, precision="float32", device="cpu", threads=1)


@pytest.mark.parametrize("dtype", ["float32", "int8", "binary"])
def test_an_encoder_searches_by_its_index(encoder: bw.SentenceEncoder, texts: list[str], dtype: Any) -> None:
    encoder.calibrate(texts)
    vectors = encoder.encode(texts, dtype=dtype)
    index = encoder.build_index(vectors, recall=1.0)
    exact, found = encoder.search(texts[:7], vectors, 4), encoder.search(texts[:7], top_k=4, index=index)
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-5)
    if dtype == "float32":
        of_texts = encoder.build_index(iter(texts), recall=1.0)
        assert of_texts.facts.source != index.facts.source
        np.testing.assert_array_equal(encoder.search(texts[:7], top_k=4, index=of_texts).indices, found.indices)


def test_an_index_belongs_to_a_model(encoder: bw.SentenceEncoder, tiny_bert: Path, texts: list[str]) -> None:
    index = encoder.build_index(texts[:50])
    others = {
        "weights": bw.SentenceEncoder(tiny_bert, precision="float32"),
        "pooling": bw.SentenceEncoder(tiny_bert, pooling="max", precision="float32"),
        "prompt": bw.SentenceEncoder(tiny_bert, prompt="this: ", precision="float32"),
        "windows": bw.SentenceEncoder(tiny_bert, overflow="truncate", precision="float32"),
    }
    others["weights"].encode("a")
    others["weights"].loaded_.model.encoder.embeddings.token.weight.data += 0.1
    for other in others.values():
        with pytest.raises(DataError, match="built with another model"):
            other.search(["a"], top_k=1, index=index)
    again = bw.SentenceEncoder(tiny_bert, device="cpu").calibrate(texts)  # another precision and ranges are the same model
    assert again.search(["a"], top_k=1, index=index).indices.shape == (1, 1)


def test_what_is_wrong_is_said(encoder: bw.SentenceEncoder, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    index = encoder.build_index(texts[:40])
    with pytest.raises(SettingsError, match="either a corpus to search, or an index"):
        encoder.search("a", texts, index=index)
    with pytest.raises(SettingsError, match="either a corpus"):
        encoder.search("a")
    with pytest.raises(SettingsError, match="recall is the share"):
        encoder.build_index(texts, recall=1.5)
    with pytest.raises(SettingsError, match="neighbours"):
        encoder.build_index(texts, neighbours=0)
    with pytest.raises(DataError, match="7 features, but the index has 32"):
        index.search(np.ones((1, 7), dtype=np.float32), 1)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"bertworks\[search\]"):
        encoder.build_index(texts)


# ---- the command


def test_the_command_builds_reads_and_refuses(
    tiny_bert: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def call(*more: str) -> tuple[int, str, str]:
        machine = ["--precision", "float32", "--device", "cpu", "--threads", "1"]
        code = run(["search", str(tiny_bert), texts[3], "--file", "texts.jsonl", "--top-k", "3", *machine, *more])
        return (code, *capsys.readouterr())

    def write(some: list[str]) -> None:
        Path("texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some), encoding="utf-8")

    write(texts)
    exact = call()[1]
    code, found, told = call("--index", "texts.faiss")
    assert (code, found) == (0, exact)
    assert told.startswith(f"built the index texts.faiss: {len(texts)} texts; a search visits ")
    before = Path("texts.faiss").read_bytes()
    monkeypatch.setattr(bw.SentenceEncoder, "build_index", None)  # it is not built again
    code, found, told = call("--index", "texts.faiss")
    assert (code, found) == (0, exact)
    assert told.startswith("read the index texts.faiss: ")
    write([*texts[:-1], "another text"])
    code, found, told = call("--index", "texts.faiss")
    assert (code, found) == (DataError.exit_code, "")
    assert "was built of other texts or vectors than those of texts.jsonl: remove it" in told
    write(texts)
    bw.SentenceEncoder(tiny_bert, pooling="max", precision="float32").save("other")
    assert run(["search", "other", "a", "--file", "texts.jsonl", "--index", "texts.faiss"]) == DataError.exit_code
    assert "was built with another model" in capsys.readouterr().err
    assert Path("texts.faiss").read_bytes() == before
    assert call("--index", "nowhere/texts.faiss")[0] == DataError.exit_code
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert call("--index", "new.faiss")[0] == MissingExtraError.exit_code
