"""Why a few-shot classifier gives a class: attributions against `transformers` by another quadrature, windows, prompts, and errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import Encoder, FewShotClassifier, SentenceEncoder
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.explain import Explanation

from .conftest import LONG

TEXT = "the xyz film was good and the soup was cold"
Make = Callable[..., FewShotClassifier]


@pytest.fixture(scope="module")
def make(tiny_bert: Path, reviews: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A classifier of two classes, or three, on a sentence encoder with these options."""

    def made(classes: int = 2, prompt: str | None = None, **options: Any) -> FewShotClassifier:
        folder = SentenceEncoder(tiny_bert, precision="float32", progress=False, **options).save(tmp_path_factory.mktemp("few") / "encoder")
        if prompt is not None:
            path = folder / "config_sentence_transformers.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "prompts": {"usual": prompt}, "default_prompt_name": "usual"}))
        texts, labels = reviews(24, seed=7)
        if classes == 3:
            labels = ["long" if len(text) > 40 else label for text, label in zip(texts, labels, strict=True)]
        settings: dict[str, Any] = {"pairs_per_text": 0, "precision": "float32", "progress": False, "inverse_penalty": 30.0}
        return FewShotClassifier(folder, **settings).fit(texts, labels)

    return made


@pytest.fixture(scope="module")
def classifier(make: Make) -> FewShotClassifier:
    return make()


def reference(folder: Path, classifier: FewShotClassifier, label: str, normalize: bool, points: int = 64) -> tuple[Any, float, float]:
    """The attributions of each token, F(baseline) and F(text): in float64, by Gauss–Legendre quadrature."""
    transformers = pytest.importorskip("transformers")
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    ids = torch.from_numpy(classifier.tokenizer_.encode(TEXT).ids)
    table = model.embeddings.word_embeddings.weight.detach()
    end, start = table[ids], table[[0] * len(ids)].clone()
    start[[0, -1]] = end[[0, -1]]
    number = classifier.classes_.tolist().index(label)
    weights, bias = torch.from_numpy(classifier.weights_[number]).double(), float(classifier.bias_[number])

    def logit(vectors: torch.Tensor) -> torch.Tensor:
        mean = model(inputs_embeds=vectors[None]).last_hidden_state[0].mean(0)
        return (mean / mean.norm() if normalize else mean) @ weights + bias

    gradient = torch.zeros_like(end)
    for place, weight in zip(*np.polynomial.legendre.leggauss(points), strict=True):
        vectors = (start + (place + 1) / 2 * (end - start)).requires_grad_()
        gradient += weight / 2 * torch.autograd.grad(logit(vectors), vectors)[0]
    with torch.no_grad():
        return ((end - start) * gradient).sum(-1).numpy(), float(logit(start)), float(logit(end))


@pytest.mark.parametrize(
    ("classes", "label", "normalize"), [(2, "good", False), (2, "bad", True), (3, "long", False)], ids=["two", "unit", "three"]
)
def test_attributions_are_those_of_transformers(make: Make, tiny_bert: Path, classes: int, label: str, normalize: bool) -> None:
    classifier = make(classes, normalize=normalize)
    explanation = classifier.explain(TEXT, target=label)
    wanted, before, after = reference(tiny_bert, classifier, label, normalize)
    found, size = explanation.attributions, np.abs(wanted).max()
    np.testing.assert_allclose(found.tokens.values / size, wanted / size, atol=2e-4)
    assert (found.tokens.baseline_score, found.tokens.score) == pytest.approx((before, after), abs=1e-4)
    assert found.warning is None
    assert f"integrated gradients of the logit of {label}" in found.check


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "long"])
def test_the_words_add_up_to_what_the_classifier_says(make: Make, normalize: bool, text: str) -> None:
    classifier = make(3, normalize=normalize)
    explanation = classifier.explain(text)
    (probabilities,) = classifier.predict_proba([text])
    assert explanation.answer is not None
    assert list(explanation.answer.probabilities) == classifier.classes_.tolist()
    assert list(explanation.answer.probabilities.values()) == pytest.approx(probabilities.tolist(), abs=1e-6)
    assert explanation.answer.prediction == explanation.target == classifier.predict([text])[0]
    number = classifier.classes_.tolist().index(explanation.target)
    logit = float(classifier.encoder_.encode(text) @ classifier.weights_[number] + classifier.bias_[number])
    found = explanation.attributions
    assert found.tokens.score == pytest.approx(logit, abs=1e-3)
    rise = found.tokens.score - found.tokens.baseline_score
    assert found.words.sum() == pytest.approx(rise, abs=1e-3 * max(abs(rise), np.abs(found.words).sum()))
    assert (explanation.windows > 1) == (text == LONG)


def test_removed_words_are_really_removed(classifier: FewShotClassifier) -> None:
    explanation = classifier.explain(TEXT, target="good")
    number = classifier.classes_.tolist().index("good")
    removed = [np.array([], dtype=int), np.array([1, 4]), np.arange(3, 9)]
    texts = [" ".join(w.text for i, w in enumerate(explanation.words) if i not in some) for some in removed]
    np.testing.assert_allclose(explanation._without(removed), classifier.predict_proba(texts)[:, number], atol=1e-5)
    assert "P(good) goes from" in explanation.faithfulness.sentence


def test_attention_is_that_of_the_bare_encoder(classifier: FewShotClassifier, tiny_bert: Path) -> None:
    explanation, bare = classifier.explain(TEXT), Encoder(tiny_bert, precision="float32").explain(TEXT)
    for layer in range(2):
        np.testing.assert_allclose(explanation.heads(layer), bare.heads(layer), atol=1e-6)
    assert explanation.tokens == bare.tokens


def test_windows(classifier: FewShotClassifier) -> None:
    explanation = classifier.explain(LONG)
    lengths = explanation._reading.batch.lengths
    assert lengths[explanation.window] == lengths.max()
    assert classifier.explain(LONG, window=1).window == 1
    assert explanation.text_of(1) is None


def test_a_prompt_stays_where_it_is(make: Make) -> None:
    classifier = make(prompt="what is ")
    explanation = classifier.explain(TEXT)
    assert explanation.texts == (TEXT,)
    assert [word.text for word in explanation.words] == TEXT.split()
    assert explanation.tokens[:3] == ["[CLS]", "what", "is"]
    assert explanation.attributions.tokens.values[:3].tolist() == [0, 0, 0]
    assert explanation.answer is not None
    assert list(explanation.answer.probabilities.values()) == pytest.approx(classifier.predict_proba([TEXT])[0].tolist(), abs=1e-6)


def test_files(classifier: FewShotClassifier, tmp_path: Path) -> None:
    explanation: Explanation = classifier.explain(TEXT)
    assert f"What speaks for {explanation.target}" in explanation.save(tmp_path / "it.html").read_text("utf-8")
    assert json.loads(explanation.save(tmp_path / "it.json").read_text("utf-8"))["target"] == explanation.target
    assert explanation.save(tmp_path / "it.svg").stat().st_size > 500
    with np.load(explanation.save(tmp_path / "it.npz"), allow_pickle=False) as arrays:
        assert arrays["labels"].tolist() == ["bad", "good"]


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, DataError, "the text has no word"),
        (("a film", "a book"), {}, DataError, "give one string"),
        (TEXT, {"target": "goood"}, SettingsError, "no label 'goood'. Did you mean 'good'"),
        (TEXT, {"window": 1}, SettingsError, "window 1 does not exist"),
        (TEXT, {"baseline": "padd"}, SettingsError, "Did you mean 'pad'"),
    ],
)
def test_what_cannot_be_explained(
    classifier: FewShotClassifier, text: Any, options: Any, error: type[BertworksError], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier.explain(text, **options)
