"""Attention is that of `transformers`, and of the model itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import Encoder, TextClassifier
from bertworks.batch import PackedBatch
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.explain.attention import AttentionMaps, rollout, tolerance
from bertworks.nn import layer as layer_module
from tests.nn import small

from .conftest import LONG

CPU = torch.device("cpu")


@pytest.mark.parametrize("text", ["the xyz film was good", ("the film was good .", "so was the soup , they say")])
def test_maps_are_those_of_transformers(tiny_bert: Path, text: Any) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertModel.from_pretrained(tiny_bert, attn_implementation="eager").eval()
    explanation = Encoder(tiny_bert, precision="float32").explain(text)
    batch = explanation._reading.batch
    with torch.inference_mode():
        wanted = theirs(
            torch.from_numpy(batch.input_ids)[None], token_type_ids=torch.from_numpy(batch.segment_ids)[None], output_attentions=True
        ).attentions
    assert explanation.layers == len(wanted) == 2
    for layer, maps in enumerate(wanted):
        np.testing.assert_allclose(explanation.heads(layer), maps[0].numpy(), atol=1e-6)
        for head in range(4):
            np.testing.assert_allclose(explanation.attention(layer, head), maps[0, head].numpy(), atol=1e-6)
        np.testing.assert_allclose(explanation.attention(layer), maps[0].mean(0).numpy(), atol=1e-6)
    np.testing.assert_allclose(explanation.attention(), wanted[-1][0].mean(0).numpy(), atol=1e-6)
    assert 0 < explanation.largest_deviation < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_probabilities_times_values_are_what_the_model_computed(dtype: torch.dtype) -> None:
    model, batch = small.model(small.encoder(3)), small.batch((19,))
    maps = AttentionMaps(model, batch, device=CPU, dtype=dtype)
    exact = AttentionMaps(small.model(small.encoder(3)), batch, device=CPU, dtype=torch.float32)
    for layer in range(3):
        found = maps.of(layer)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
        assert maps.deviations[layer] <= maps.tolerance == tolerance(dtype)
    assert np.abs(maps.of(0) - exact.of(0)).max() < {torch.float32: 1e-6, torch.float16: 0.01, torch.bfloat16: 0.05}[dtype]


@pytest.mark.parametrize("fault", [lambda mixed: mixed + 1e-3, lambda mixed: mixed.flip(1), lambda mixed: mixed * float("nan")])
def test_a_model_that_computes_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch, fault: Callable[..., Any]) -> None:
    """The kernel is made wrong: then the maps are not those of the model, and are not given out."""
    right = layer_module.attention
    monkeypatch.setattr(layer_module, "attention", lambda *values: fault(right(*values)))
    maps = AttentionMaps(small.model(small.encoder()), small.batch((9,)), device=CPU, dtype=torch.float32)
    with pytest.raises(BertworksError, match="layer 0: the recomputed attention is not the model's own"):
        maps.of(0)


def test_causal_and_windowed_layers() -> None:
    base = small.layer()
    causal, windowed = (replace(base, attention=replace(base.attention, **change)) for change in ({"causal": True}, {"window": (1, 2)}))
    model = small.model(replace(small.encoder(), layers=(causal, replace(windowed, weights=1))))
    maps = AttentionMaps(model, small.batch((9,)), device=CPU, dtype=torch.float32)
    distance = np.arange(9) - np.arange(9)[:, None]
    assert np.array_equal(maps.of(0) > 0, np.broadcast_to(distance <= 0, (3, 9, 9)))
    assert np.array_equal(maps.of(1) > 0, np.broadcast_to((distance >= -1) & (distance <= 2), (3, 9, 9)))


def slow_rollout(layers: list[Any]) -> list[list[float]]:
    """Entry by entry, from the definition."""
    length = layers[0].shape[-1]
    joint = [[float(i == j) for j in range(length)] for i in range(length)]
    for heads in layers:
        mixed = [
            [0.5 * sum(float(head[i, j]) for head in heads) / len(heads) + 0.5 * (i == j) for j in range(length)] for i in range(length)
        ]
        joint = [[sum(mixed[i][k] * joint[k][j] for k in range(length)) for j in range(length)] for i in range(length)]
    return joint


def test_rollout() -> None:
    draws = np.random.default_rng(0)
    layers = [draws.dirichlet(np.ones(7), size=(3, 7)).astype(np.float32) for _ in range(4)]
    found = rollout(layers)
    np.testing.assert_allclose(found, slow_rollout(layers), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rollout([np.broadcast_to(np.eye(5), (2, 5, 5))] * 3), np.eye(5))
    with pytest.raises(ValueError, match="a layer at least"):
        rollout([])


def test_rollout_of_a_text(classifier: TextClassifier) -> None:
    explanation = classifier.explain("the film was good and the soup was warm")
    np.testing.assert_allclose(explanation.rollout(), slow_rollout([explanation.heads(0), explanation.heads(1)]), atol=1e-6)


def test_what_the_first_token_attends_to(classifier: TextClassifier) -> None:
    explanation = classifier.explain("the xyz film was good")
    row = explanation.attention(1, 2)[0]
    entries = explanation.cls_attention(1, 2)
    assert [name for name, _ in entries] == ["[CLS]", "the", "xyz", "film", "was", "good", "[SEP]"]
    assert dict(entries)["xyz"] == pytest.approx(row[2:5].sum())
    assert sum(value for _, value in entries) == pytest.approx(1, abs=1e-5)


def test_looking_changes_nothing(classifier: TextClassifier) -> None:
    text = "the film was good and the soup was warm"
    before = classifier.predict_proba([text])
    explanation = classifier.explain(text)
    explanation.heads(0), explanation.rollout(), explanation.attributions, explanation.faithfulness
    assert np.array_equal(classifier.predict_proba([text]), before)
    assert classifier.loaded_.model.encoder.compute_dtype == torch.float32
    assert all(parameter.requires_grad for parameter in classifier.loaded_.model.parameters())


def test_windows(classifier: TextClassifier) -> None:
    classifier_windows = classifier.explain(LONG)
    assert classifier_windows.windows > 1
    for window in range(classifier_windows.windows):
        alone = AttentionMaps(classifier.loaded_.model, classifier_windows._reading.batch.take([window]), device=CPU, dtype=torch.float32)
        assert np.array_equal(classifier_windows.heads(0, window=window), alone.of(0))
        assert len(classifier_windows.tokens_of(window)) == classifier_windows.heads(0, window=window).shape[-1]
    assert classifier.explain(LONG, window=1).window == 1
    with pytest.raises(SettingsError, match="window 9 does not exist: the text is read in 2, 0 to 1"):
        classifier.explain(LONG, window=9)


def test_512_tokens_are_no_matter(make_bert: Callable[..., Path]) -> None:
    encoder = Encoder(make_bert(max_position_embeddings=512), precision="float32")
    explanation = encoder.explain(" ".join(["the film was good and the soup was warm ."] * 51))
    assert len(explanation.tokens) == 512
    assert explanation.heads(1).shape == (4, 512, 512)
    np.testing.assert_allclose(explanation.rollout().sum(axis=1), 1, atol=1e-5)
    with pytest.raises(DataError, match="more than max_tokens=512"):
        encoder.explain("the film . " * 300)


def test_what_does_not_exist(classifier: TextClassifier) -> None:
    explanation = classifier.explain("the film was good")
    for layer, head, message in (
        (2, None, "layers 0 to 1"),
        (-1, None, "layers 0 to 1"),
        (0, 4, "heads 0 to 3"),
        (None, -1, "heads 0 to 3"),
    ):
        with pytest.raises(SettingsError, match=f"does not exist: the .* has {message}"):
            explanation.attention(layer, head)
    with pytest.raises(SettingsError, match="window 1 does not exist"):
        explanation.heads(0, window=1)


def test_a_batch_of_one_token() -> None:
    maps = AttentionMaps(small.model(small.encoder()), PackedBatch.from_sequences([[5]]), device=CPU, dtype=torch.float32)
    assert maps.of(0).tolist() == [[[1.0]]] * 3
