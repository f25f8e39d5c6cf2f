"""Integrated gradients, against functions whose integral is known, and against `transformers` step by step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import TextClassifier
from bertworks.batch import PackedBatch
from bertworks.errors import SettingsError
from bertworks.explain import Target, Term, TokenAttributions, attribution, integrated_gradients, line
from bertworks.nn.heads import IGNORED
from bertworks.nn.model import Model
from bertworks.spec import EmbeddingSpec, EncoderSpec, HeadSpec, PoolerSpec
from tests.nn import small
from tests.tiny_gpt2 import write_tiny_gpt2

from .conftest import LONG

CPU = torch.device("cpu")
BASELINE = 1


def integrate(model: Model, batch: PackedBatch, target: Target, **options: Any) -> TokenAttributions:
    settings = {"baseline": BASELINE, "kept": np.zeros(batch.tokens, dtype=bool), "device": CPU, "token_budget": 64, **options}
    return integrated_gradients(model, batch, target, **settings)


def test_of_a_linear_function_it_is_weight_times_difference() -> None:
    """Without layers and norms, a head on the mean state is linear in the tokens' vectors."""
    spec = EncoderSpec("bert", 6, EmbeddingSpec(small.VOCABULARY, 6, 24, norm=None), layers=())
    model = small.model(spec, {"labels": HeadSpec(reads="mean", outputs=3)})
    batch = small.batch((5, 8))
    kept = np.zeros(batch.tokens, dtype=bool)
    kept[[0, 5, 12]] = True
    arrays = model.arrays()
    table, weight = arrays["encoder.embeddings.token.weight"], arrays["heads.labels.output.weight"]
    for baseline in (BASELINE, None):
        found = integrate(model, batch, Target("labels", (Term(0, 2, 0.25), Term(1, 2, 0.75))), baseline=baseline, kept=kept)
        way = table[batch.input_ids] - (0 if baseline is None else table[baseline])
        shares = np.repeat([0.25 / 5, 0.75 / 8], [5, 8])
        np.testing.assert_allclose(found.values, np.where(kept, 0, way @ weight[2] * shares), atol=1e-6)
        assert found.points == attribution.FEWEST_INTERVALS + 1
        assert found.error < 1e-5


def brute_force(folder: Path, ids: list[int], segments: list[int], label: int, baseline: int, steps: int = 300) -> Any:
    """By `transformers` in float64, a step at a time, by the midpoint rule; also F(text) and F(baseline)."""
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).double().eval()
    table = model.get_input_embeddings().weight.detach()
    end = table[ids]
    start = table[[baseline]].expand_as(end).clone()
    special = [place for place, number in enumerate(ids) if number in (2, 3)]
    start[special] = end[special]
    types = torch.tensor([segments])

    def logit(vectors: torch.Tensor) -> torch.Tensor:
        return model(inputs_embeds=vectors[None], token_type_ids=types).logits[0, label]

    total = torch.zeros_like(end)
    for step in range(steps):
        vectors = (start + (step + 0.5) / steps * (end - start)).requires_grad_()
        total += torch.autograd.grad(logit(vectors), vectors)[0] / steps
    with torch.no_grad():
        return ((end - start) * total).sum(-1).numpy(), float(logit(end)), float(logit(start))


@pytest.mark.parametrize("text", ["the xyz film was good and the soup was cold", "an awful song !"])
def test_of_a_classifier_it_is_the_brute_force_one(classifier: TextClassifier, saved: Path, text: str) -> None:
    explanation = classifier.explain(text, target="bad")
    found = explanation.attributions
    batch = explanation._reading.batch
    wanted, score, baseline_score = brute_force(saved, batch.input_ids.tolist(), batch.segment_ids.tolist(), label=0, baseline=0)
    size = np.abs(wanted).max()
    np.testing.assert_allclose(found.tokens.values / size, wanted / size, atol=1e-4)
    assert found.tokens.score == pytest.approx(score, abs=1e-5)
    assert found.tokens.baseline_score == pytest.approx(baseline_score, abs=1e-5)
    assert found.tokens.values[[0, -1]].tolist() == [0, 0]
    words = [sum(found.tokens.values[explanation._reading.word_of_token == i]) for i in range(len(explanation.words))]
    np.testing.assert_allclose(found.words, words)


@pytest.mark.parametrize("baseline", ["pad", "mask", "zero"])
def test_attributions_add_up(classifier: TextClassifier, baseline: Any) -> None:
    explanation = classifier.explain("the film was good and the soup was awful , they say", baseline=baseline)
    found = explanation.attributions
    rise = found.tokens.score - found.tokens.baseline_score
    missed = abs(found.words.sum() - rise)
    assert missed <= 1e-3 * max(abs(rise), 0.1 * np.abs(found.words).sum())
    assert found.tokens.error == pytest.approx(missed / max(abs(rise), 0.1 * np.abs(found.tokens.values).sum()), rel=1e-6)
    assert found.warning is None
    assert found.baseline == {"pad": "[PAD]", "mask": "[MASK]", "zero": "zero vectors"}[baseline]


def test_a_family_without_a_padding_token_begins_at_zero(tmp_path: Path) -> None:
    folder = write_tiny_gpt2(tmp_path / "gpt2")
    texts = ["a good film", "a bad film", "good soup", "bad soup"]
    classifier = TextClassifier(folder, epochs=1, progress=False, precision="float32").fit(texts, ["good", "bad"] * 2)
    told, zero = (classifier.explain("the good film", **options).attributions for options in ({}, {"baseline": "zero"}))
    assert told.baseline == "zero vectors (the vocabulary has no pad token)"
    np.testing.assert_array_equal(told.words, zero.words)
    with pytest.raises(SettingsError, match="no mask token"):
        classifier.explain("the good film", baseline="mask").show()


def test_points_are_added_until_it_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small.model(small.encoder(), {"labels": HeadSpec(reads="pooled", outputs=2)})
    batch, target = small.batch((9,)), Target("labels", (Term(0, 1),))
    asked: list[int] = []
    rough = integrate(model, batch, target, tolerance=10.0)
    fine = integrate(model, batch, target, tolerance=1e-5, progress=asked.append)
    assert (rough.points, rough.score) == (attribution.FEWEST_INTERVALS + 1, fine.score)
    assert asked == [2**n + 1 for n in range(4, 4 + len(asked))]
    assert asked[-1] == fine.points > rough.points
    assert fine.error <= 1e-5 < rough.error
    monkeypatch.setattr(attribution, "MOST_INTERVALS", 32)
    assert integrate(model, batch, target, tolerance=0.0).points == 33


def test_what_does_not_add_up_is_said(classifier: TextClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "MOST_INTERVALS", 16)
    from bertworks.estimators.explanation import explain_classifier

    found = explain_classifier(classifier, "the film was good and the soup was awful", tolerance=1e-12).attributions
    assert found.warning is not None
    assert "with 17 points" in found.warning


def test_neither_budget_nor_company_changes_it() -> None:
    model = small.model(small.encoder(), {"labels": HeadSpec(reads="pooled", outputs=4)}, spread=0.15)
    batch = small.batch((6, 9, 4))
    alone = integrate(model, batch.take([1]), Target("labels", (Term(0, 3),)))
    for budget in (1, 20, 1000):
        found = integrate(model, batch, Target("labels", (Term(1, 3),)), token_budget=budget)
        np.testing.assert_allclose(found.values[6:15], alone.values, atol=1e-5)
        assert not found.values[:6].any()
        assert not found.values[15:].any()


def test_a_document_is_the_weighted_sum_of_its_windows(classifier: TextClassifier) -> None:
    explanation = classifier.explain(LONG)
    batch, found = explanation._reading.batch, explanation.attributions
    assert batch.sequences > 1
    label = classifier.classes_.tolist().index(explanation.target)
    values = []
    for window in range(batch.sequences):
        tokens = slice(*batch.offsets[window : window + 2])
        kept = explanation._reading.special[tokens]
        one = integrate(classifier.loaded_.model, batch.take([window]), Target("labels", (Term(0, label),)), baseline=0, kept=kept)
        values.append(one.values * batch.lengths[window] / batch.tokens)
    np.testing.assert_allclose(found.tokens.values, np.concatenate(values), atol=2e-3 * np.abs(found.tokens.values).max())
    probability = explanation.answer.probabilities[explanation.target]  # type: ignore[union-attr,index]
    other = classifier.explain(LONG, target=classifier.classes_[1 - label]).attributions.tokens.score
    assert probability == pytest.approx(1 / (1 + np.exp(other - found.tokens.score)), abs=1e-5)  # the merged logits decide


@pytest.mark.parametrize("reads", ["tokens", "targets", "mean", "first", "last"])
def test_any_head_can_be_asked(reads: Any) -> None:
    """An entity's or a span's score is a sum of rows of a head that reads tokens."""
    model = small.model(replace(small.encoder(), pooler=PoolerSpec()), {"head": HeadSpec(reads=reads, outputs=3)}, spread=0.15)
    targets = np.full(16, IGNORED)
    targets[[1, 5, 6, 9]] = 2
    batch = replace(small.batch((4, 9, 3)), token_targets={"head": targets})
    rows = (2, 0) if reads == "tokens" else (1, 2) if reads == "targets" else (0, 0)
    terms = (Term(1, 0, 0.5, rows[0]), Term(1, 2, -2.0, rows[1]))
    found = integrate(model, batch, Target("head", terms), baseline=None)
    with torch.inference_mode():
        scores = model(small.inputs(batch.take([1])))["head"]
    assert found.score == pytest.approx(float(0.5 * scores[rows[0], 0] - 2 * scores[rows[1], 2]), abs=1e-5)
    assert found.values[4:13].sum() == pytest.approx(found.score - found.baseline_score, rel=2e-3)
    assert np.abs(found.values[4:13]).min() > 0
    assert not found.values[:4].any()


def test_the_model_is_as_it_was(classifier: TextClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small.model(small.encoder(), {"labels": HeadSpec(reads="pooled", outputs=2)}).compute_in(torch.bfloat16)
    frozen = model.encoder.embeddings.token.weight.requires_grad_(False)
    integrate(model, small.batch((5,)), Target("labels", (Term(0, 1),)), tolerance=1.0)
    monkeypatch.setattr(Model, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        integrate(model, small.batch((5,)), Target("labels", (Term(0, 1),)))
    assert model.encoder.compute_dtype == torch.bfloat16
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["encoder.embeddings.token.weight"]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not frozen.requires_grad


def test_it_is_float32_whatever_the_model_is_served_in(saved: Path) -> None:
    text = "the film was good and the soup was warm"
    half, full = (TextClassifier.load(saved, precision=precision).explain(text) for precision in ("bfloat16", "float32"))
    np.testing.assert_array_equal(half.attributions.words, full.attributions.words)


def test_numbers_and_several_labels(classifiers: Callable[..., TextClassifier]) -> None:
    text = "the film was good and the soup was warm"
    number = classifiers("number").explain(text)
    assert number.answer is not None
    assert number.attributions.tokens.score == pytest.approx(number.answer.prediction, rel=1e-5)
    assert number.faithfulness.quantity == "the predicted number"
    assert number.faithfulness.most_first[0] == pytest.approx(number.answer.prediction, rel=1e-5)
    several = classifiers("multi").explain(text, target="long")
    assert several.answer is not None
    probability = several.answer.probabilities["long"]
    assert 1 / (1 + np.exp(-several.attributions.tokens.score)) == pytest.approx(probability, abs=1e-5)
    assert several.faithfulness.most_first[0] == pytest.approx(probability, abs=1e-6)
    with pytest.raises(SettingsError, match="leave out the target"):
        classifiers("number").explain(text, target="good")


def test_the_curve_is_what_the_model_says_of_the_shorter_text(classifier: TextClassifier) -> None:
    explanation = classifier.explain("the film was good and the soup was warm")
    curve = explanation.faithfulness
    assert curve.removed.tolist() == list(range(10))
    order = np.argsort(-explanation.attributions.words, kind="stable")
    label = classifier.classes_.tolist().index(explanation.target)
    for count in (1, 3, 8):
        left = " ".join(word.text for i, word in enumerate(explanation.words) if i not in order[:count])
        assert curve.most_first[count] == pytest.approx(classifier.predict_proba([left])[0, label], abs=1e-6)
    assert curve.most_first[9] == pytest.approx(classifier.predict_proba([""])[0, label], abs=1e-6)


class OfApple(torch.Tensor):
    """A tensor as on Apple's GPUs: without float64 until it is on the CPU."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if function is torch.Tensor.double:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
        with torch._C.DisableTorchFunctionSubclass():
            out = function(*arguments, **(options or {}))
            return out.as_subclass(torch.Tensor if function is torch.Tensor.cpu else cls)


def test_a_device_without_float64() -> None:
    values = line._numpy(torch.tensor([0.5, 3.0], requires_grad=True).as_subclass(OfApple))
    assert values.tolist() == [0.5, 3.0]
    assert values.dtype == np.float64
