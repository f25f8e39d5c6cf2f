"""Settings of a classifier reach its training, and seeds decide its bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import TextClassifier
from bertworks.batch import Array
from bertworks.tokenization import Tokenizer

Make = Callable[..., TextClassifier]
Weights = dict[str, Array]


@pytest.fixture(scope="module")
def data(reviews: Callable[..., Any]) -> Any:
    return reviews(40)


def weights(classifier: TextClassifier) -> Weights:
    return classifier.loaded_.model.arrays()


def same(one: Weights, other: Weights) -> set[str]:
    """Names of the weights that are equal bit by bit."""
    return {name for name in one if np.array_equal(one[name], other[name])}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_bits(make: Make, data: Any, precision: str) -> None:
    runs = [weights(make(epochs=1, precision=precision, seed=seed).fit(*data)) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1]) == set(runs[0])
    differing = set(runs[0]) - same(runs[0], runs[2])
    assert {"heads.labels.output.weight", "encoder.layers.0.attention.qkv.weight"} <= differing


def test_refitting_starts_anew(make: Make, data: Any) -> None:
    classifier = make(epochs=1)
    first = weights(classifier.fit(*data))
    assert same(first, weights(classifier.fit(*data))) == set(first)


def test_torchs_own_seed_and_numpys_have_no_part_in_it(make: Make, data: Any) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what is to be without effect
    first = weights(make(epochs=1).fit(*data))
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert same(first, weights(make(epochs=1).fit(*data))) == set(first)


@pytest.mark.parametrize(
    "setting",
    [
        {"class_weights": {"good": 5.0, "bad": 0.1}},
        {"label_smoothing": 0.3},
        {"layer_decay": 0.5},
        {"reinitialized_layers": 1},
        {"dropout": 0.4},
        {"dropout": 0.0},
        {"weight_decay": 0.5},
        {"adam_beta2": 0.9},
        {"max_gradient_norm": 0.01},
        {"schedule": "constant"},
        {"warmup": 0.0},
        {"batch_size": 8},
        {"learning_rate": 0.02},
    ],
    ids=lambda setting: "-".join(f"{name} {value}" for name, value in setting.items()),
)
def test_a_setting_reaches_the_training(make: Make, data: Any, setting: dict[str, Any]) -> None:
    changed = weights(make(epochs=1, **setting).fit(*data))
    assert "encoder.layers.1.attention.qkv.weight" not in same(weights(make(epochs=1).fit(*data)), changed)


@pytest.mark.parametrize("setting", [{"checkpoint_minutes": 1.0}, {"log_steps": 1}, {"threads": 1}, {"device": "cpu"}])
def test_a_setting_without_effect_has_none(make: Make, data: Any, setting: dict[str, Any]) -> None:
    first = weights(make(epochs=1).fit(*data))
    assert same(first, weights(make(epochs=1, **setting).fit(*data))) == set(first)


def test_balanced_weights_are_what_a_dictionary_would_say(make: Make, data: Any) -> None:
    texts, labels = data
    counts = {label: labels.count(label) for label in ("bad", "good")}
    by_hand = {label: len(labels) / (2 * count) for label, count in counts.items()}
    one, other = (weights(make(epochs=1, class_weights=given).fit(texts, labels)) for given in ("balanced", by_hand))
    assert same(one, other) == set(one)


def test_weights_move_the_answers_to_the_heavy_label(make: Make, reviews: Callable[..., Any]) -> None:
    texts, labels = reviews(60)
    shares = {}
    for heavy in ("good", "bad"):
        classifier = make(epochs=2, class_weights={label: 20.0 if label == heavy else 0.05 for label in ("good", "bad")})
        shares[heavy] = (classifier.fit(texts, labels).predict(texts) == "good").mean()
    assert shares["good"] > 0.9
    assert shares["bad"] < 0.1


def test_frozen_layers_keep_the_bits_of_the_folder(make: Make, data: Any, tiny_bert: Path) -> None:
    from bertworks.inference import load_model

    before = load_model(tiny_bert).model.arrays()
    after = weights(make(epochs=1, frozen_layers=1, weight_decay=0.3).fit(*data))
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {name for name in before if name.startswith(("encoder.embeddings.", "encoder.layers.0."))}


def test_reinitialized_layers_start_anew_and_the_others_do_not(make: Make, data: Any, tiny_bert: Path) -> None:
    from bertworks.inference import load_model

    before = load_model(tiny_bert).model.arrays()
    after = weights(make(epochs=0.01, learning_rate=1e-12, reinitialized_layers=1, weight_decay=0).fit(*data))
    moved = {name for name in before if np.abs(before[name] - after[name]).max() > 1e-6}
    assert moved == {
        f"encoder.layers.1.{part}.weight" for part in ("attention.qkv", "attention.output", "feed_forward.up", "feed_forward.down")
    } | {"encoder.pooler.dense.weight"}


def test_dropout_is_what_the_setting_says(make: Make, data: Any) -> None:
    spec = make(epochs=0.01, dropout=0.25).fit(*data).loaded_.model.spec
    assert (spec.embedding.dropout, spec.layers[0].dropout, spec.layers[0].attention.dropout) == (0.25, 0.25, 0.25)


def test_new_tokens_are_learnt_and_saved(make: Make, tmp_path: Path) -> None:
    texts = ["zorblax tea", "quibble tea", "the zorblax", "so quibble"] * 8
    labels = ["good", "bad"] * 16
    plain = make()
    plain_size = Tokenizer.load(plain.model).vocabulary_size
    classifier = make(epochs=6, new_tokens=["zorblax", "quibble"], learning_rate=0.02).fit(texts, labels)
    assert classifier.tokenizer_.vocabulary_size == plain_size + 2
    assert len(classifier.tokenizer_.encode("zorblax tea").ids) == 4
    assert classifier.score(texts, labels) == 1.0
    loaded = TextClassifier.load(classifier.save(tmp_path / "model"), precision="float32", verify=True)
    embedding = weights(loaded)["encoder.embeddings.token.weight"]
    assert embedding.shape[0] == plain_size + 2
    assert np.abs(embedding[-1] - embedding[-2]).max() > 1e-3, "both began as the same mean"
    np.testing.assert_array_equal(loaded.predict_proba(texts), classifier.predict_proba(texts))


def test_what_became_of_the_training_data_is_kept(make: Make, data: Any, tmp_path: Path) -> None:
    classifier = make(epochs=1, output=tmp_path / "run").fit(*data, validation=data)
    assert classifier.accounting_.rows == 40
    assert classifier.validation_accounting_ == classifier.accounting_
    loaded = TextClassifier.load(tmp_path / "run")
    assert loaded.about_["accounting"]["tokens"] == classifier.accounting_.tokens
    assert loaded.about_["training"]["epochs"] == 1
    assert loaded.about_["validation"]["accuracy"] == classifier.result_.best_metrics["accuracy"]  # type: ignore[index]
