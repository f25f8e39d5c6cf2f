"""Why a model takes a choice: attributions against `transformers` by another quadrature, attention, files, and what is no choice."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import Encoder, MultipleChoice
from bertworks.batch import PackedBatch
from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.explain import Chosen, Explanation, integrated_gradients
from bertworks.explain.page import page
from bertworks.spec import HeadSpec
from tests.estimators.test_multiple_choice import questions
from tests.nn import small

from .conftest import SETTINGS

TEXT, CHOICES = "which one is it , xyz ?", ["a cold stale soup", "a fine warm soup and the lovely dog", "poor wine"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chooser(tiny_bert: Path) -> MultipleChoice:
    return MultipleChoice(tiny_bert, dropout=0.0, **{**SETTINGS, "learning_rate": 1e-3}).fit(*questions(120))


@pytest.fixture(scope="module")
def explanation(chooser: MultipleChoice) -> Explanation:
    return chooser.explain(TEXT, CHOICES)


@pytest.fixture(scope="module")
def theirs(chooser: MultipleChoice, tmp_path_factory: pytest.TempPathFactory) -> Any:
    transformers = pytest.importorskip("transformers")
    folder = chooser.save(tmp_path_factory.mktemp("choices") / "model")
    model = transformers.BertForMultipleChoice.from_pretrained(folder, attn_implementation="eager").double().eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


# ---- attributions


def reference(theirs: Any, chosen: int, points: int = 64) -> tuple[list[Any], float, float]:
    """The attributions of each choice's tokens, F(baseline) and F(text): padded, in float64, by Gauss–Legendre quadrature."""
    model, tokenizer = theirs
    told = tokenizer([TEXT] * len(CHOICES), CHOICES, return_tensors="pt", padding=True, return_special_tokens_mask=True)
    table = model.bert.embeddings.word_embeddings.weight.detach()
    end = table[told.input_ids]
    start = torch.where(told.special_tokens_mask.bool()[..., None], end, table[tokenizer.pad_token_id])

    def log_probability(vectors: torch.Tensor) -> torch.Tensor:
        inputs = {"attention_mask": told.attention_mask[None], "token_type_ids": told.token_type_ids[None]}
        found: torch.Tensor = model(inputs_embeds=vectors[None], **inputs).logits[0].log_softmax(-1)[chosen]
        return found

    gradient = torch.zeros_like(end)
    for place, weight in zip(*np.polynomial.legendre.leggauss(points), strict=True):
        vectors = (start + (place + 1) / 2 * (end - start)).requires_grad_()
        gradient += weight / 2 * torch.autograd.grad(log_probability(vectors), vectors)[0]
    values = ((end - start) * gradient).sum(-1).numpy()
    with torch.no_grad():
        ends = [float(log_probability(vectors)) for vectors in (start, end)]
    return [row[: int(mask.sum())] for row, mask in zip(values, told.attention_mask, strict=True)], ends[0], ends[1]


@pytest.mark.parametrize("target", [None, "A", 2])
def test_attributions_are_those_of_transformers(chooser: MultipleChoice, theirs: Any, target: Any) -> None:
    explanation = chooser.explain(TEXT, CHOICES, target=target)
    wanted, before, after = reference(theirs, {None: 1, "A": 0, 2: 2}[target])
    found = explanation.attributions
    size = max(np.abs(row).max() for row in wanted)
    np.testing.assert_allclose(found.tokens.values / size, np.concatenate(wanted) / size, atol=2e-4)
    assert (found.tokens.baseline_score, found.tokens.score) == pytest.approx((before, after), abs=1e-4)
    assert found.warning is None


def test_the_words_of_the_question_are_told_once(explanation: Explanation, theirs: Any) -> None:
    assert explanation.texts == (TEXT, *CHOICES)
    assert explanation.names == ("question", "choice A", "choice B", "choice C")
    assert [word.text for word in explanation.words if word.part == 2] == CHOICES[1].split()
    assert all(explanation.texts[word.part][word.start : word.end] == word.text for word in explanation.words)
    found = explanation.attributions
    assert found.words.sum() == pytest.approx(found.tokens.score - found.tokens.baseline_score, abs=2e-3)
    wanted, _, _ = reference(theirs, 1)
    first = next(number for number, word in enumerate(explanation.words) if word.text == "which")
    assert found.words[first] == pytest.approx(sum(row[1] for row in wanted), abs=1e-3)
    assert "the log-probability of 'a fine warm soup and the lovely dog' among 3 choices" in found.check


def test_the_probability_is_that_of_predict_and_without_words_that_of_a_guess(chooser: MultipleChoice, explanation: Explanation) -> None:
    (probabilities,) = chooser.predict_proba([TEXT], [CHOICES])
    assert explanation.answer is not None
    assert list(explanation.answer.probabilities.values()) == pytest.approx(probabilities.tolist())
    assert explanation.answer.prediction == explanation.target == CHOICES[1]
    assert explanation.attributions.tokens.score == pytest.approx(np.log(probabilities[1]), abs=1e-4)
    words = explanation.words
    whole, none = explanation._without([np.zeros(0, dtype=int), np.arange(len(words))])
    assert whole == pytest.approx(probabilities[1], abs=1e-5)
    assert none == pytest.approx(1 / 3, abs=1e-5)
    removed = [number for number, word in enumerate(words) if word.text in ("one", "stale", "lovely")]
    (shortened,) = chooser.predict_proba(["which is it , xyz ?"], [["a cold soup", "a fine warm soup and the dog", "poor wine"]])
    assert explanation._without([np.array(removed)])[0] == pytest.approx(shortened[1], abs=1e-5)
    assert f"P('{CHOICES[1]}') goes from" in explanation.faithfulness.sentence


@pytest.mark.parametrize("budget", [1, 12, 40])
def test_neither_budget_nor_company_changes_it(budget: int) -> None:
    """With a small budget the choices are computed one after another."""
    model = small.model(small.encoder(), {"choices": HeadSpec("first", 1)}, spread=0.15)
    batch = small.batch((6, 9, 4))
    options: dict[str, Any] = {"baseline": 1, "kept": np.zeros(batch.tokens, dtype=bool), "device": CPU}

    def integrate(batch: PackedBatch, budget: int) -> Any:
        return integrated_gradients(model, batch, Chosen("choices", 1), token_budget=budget, **options)

    whole, found = integrate(batch, 1000), integrate(batch, budget)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-5)
    assert (found.score, found.baseline_score) == pytest.approx((whole.score, whole.baseline_score), abs=1e-5)


# ---- attention


def test_attention_is_that_of_the_chosen_pair(chooser: MultipleChoice, explanation: Explanation, theirs: Any) -> None:
    model, tokenizer = theirs
    assert (explanation.window, explanation.shown, explanation.windows) == (1, (1,), 3)
    for window, choice in enumerate(CHOICES):
        inputs = tokenizer([TEXT], [choice], return_tensors="pt")
        with torch.no_grad():
            wanted = model.bert(**inputs, output_attentions=True).attentions
        for layer in range(2):
            np.testing.assert_allclose(explanation.heads(layer, window=window), wanted[layer][0].numpy(), atol=1e-5)
        assert explanation.tokens_of(window) == tokenizer.convert_ids_to_tokens(inputs.input_ids[0])
        assert set(explanation.parts_of(window)) == {-1, 0, 1}
    other = chooser.explain(TEXT, CHOICES, target=CHOICES[2])
    np.testing.assert_array_equal(other.attention(), explanation.attention(window=2))


# ---- which choice is meant


@pytest.mark.parametrize(
    ("choices", "target", "meant"),
    [
        (CHOICES, "poor wine", 2),
        (CHOICES, " a cold stale soup ", 0),
        (CHOICES, "b", 1),
        (CHOICES, "C", 2),
        (CHOICES, "0", 0),
        (CHOICES, 2, 2),
        (["wine a", "b", "a"], "a", 2),
        (["soup 2", "wine 0", "0"], "0", 2),
        (["soup 2", "wine 0", "0"], 0, 0),
        (["soup", "soup", "wine"], "B", 1),
    ],
)
def test_a_choice_by_its_text_its_letter_or_its_number(chooser: MultipleChoice, choices: list[str], target: Any, meant: int) -> None:
    explanation = chooser.explain(TEXT, choices, target=target)
    assert explanation.window == meant
    assert str(explanation.target).startswith(choices[meant])


def test_choices_that_are_alike_are_told_apart(chooser: MultipleChoice) -> None:
    explanation = chooser.explain(TEXT, ["soup", "soup", "wine"], target="B")
    assert explanation.answer is not None
    assert list(explanation.answer.probabilities) == ["soup (A)", "soup (B)", "wine"]
    assert explanation.target == "soup (B)"
    assert sum(explanation.answer.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "choices", "options", "error", "message"),
    [
        (TEXT, CHOICES[:1], {}, DataError, "a question and its choices, two at least"),
        (TEXT, "ab", {}, DataError, "a question and its choices, two at least"),
        (7, CHOICES, {}, DataError, "a question and its choices, two at least"),
        (" ", CHOICES, {}, DataError, "the question has no word"),
        (TEXT, [*CHOICES, ""], {}, DataError, "the choice D has no word"),
        (
            TEXT,
            CHOICES,
            {"target": "wine"},
            SettingsError,
            r"'wine' is none of the choices: .* its letter \(A to C\) or its number \(0 to 2\)",
        ),
        (TEXT, CHOICES, {"target": "D"}, SettingsError, "'D' is none of the choices"),
        (TEXT, CHOICES, {"target": 3}, SettingsError, "'3' is none of the choices"),
        (TEXT, CHOICES, {"target": -1}, SettingsError, "'-1' is none of the choices"),
        (TEXT, ["tea", "tea"], {"target": "tea"}, SettingsError, "'tea' is several of the choices: name one by its letter"),
        (TEXT, CHOICES, {"baseline": "padd"}, SettingsError, "Did you mean 'pad'"),
    ],
)
def test_what_cannot_be_explained(
    chooser: MultipleChoice, text: Any, choices: Any, options: Any, error: type[BertworksError], message: str
) -> None:
    with pytest.raises(error, match=message):
        chooser.explain(text, choices, **options)


def test_a_model_must_be_trained_first() -> None:
    with pytest.raises(BertworksError, match="fit"):
        MultipleChoice().explain(TEXT, CHOICES)


def test_what_is_not_read_is_counted_once(chooser: MultipleChoice) -> None:
    """The question stands beside each choice, and beside the longest most of it is cut."""
    long = " ".join(["the soup was cold"] * 20)
    explanation = chooser.explain(long, CHOICES)
    _, seen = chooser.answer([ChoiceQuestion(long, tuple(CHOICES))])
    longest = max(CHOICES, key=lambda choice: len(chooser.tokenizer_.encode(choice).ids))
    _, beside = chooser.answer([ChoiceQuestion(long, (longest, longest))])
    assert explanation.truncated_tokens == beside.truncated_tokens / 2 > 0
    assert seen.truncated_tokens > explanation.truncated_tokens
    assert explanation.attributions.warning is None


# ---- out


def test_the_page_names_the_question_and_its_choices(explanation: Explanation) -> None:
    source = page(explanation, "all", None, None)
    assert re.findall("<h2>(.*?)</h2>", source) == [f"What speaks for {CHOICES[1]}", "Is this faithful?", "Attention"]
    places = [source.index(f'<p class="kicker">{name}</p>') for name in ("choice", "question", "choice A", "choice B", "choice C")]
    assert places == sorted(places)
    assert "The question with choice B." in source
    (material,) = re.findall(r'<script type="application/json" class="material">(.*?)</script>', source)
    assert json.loads(material)["tokens"] == explanation.tokens


def test_plain_values_arrays_and_pictures(explanation: Explanation, tmp_path: Path) -> None:
    stored = json.loads(explanation.save(tmp_path / "it.json").read_text("utf-8"))
    assert (stored["prediction"], stored["target"]) == (CHOICES[1], CHOICES[1])
    assert (stored["attention"]["window"], stored["attention"]["text"]) == (1, 2)
    assert {word["part"] for word in stored["words"]} == {0, 1, 2, 3}
    with np.load(explanation.save(tmp_path / "it.npz"), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["attention_1"], explanation.heads(1))
        np.testing.assert_array_equal(arrays["attributions"], explanation.attributions.words)
        assert arrays["labels"].tolist() == CHOICES
    assert "choice B (window 1 of 3)" in explanation.save(tmp_path / "it.svg", "attention").read_text("utf-8")
    for kind in ("attribution", "faithfulness", "cls", "rollout"):
        assert explanation.save(tmp_path / f"{kind}.png", kind).stat().st_size > 500


def test_the_attention_is_that_of_the_encoder_alone(chooser: MultipleChoice, explanation: Explanation, tmp_path: Path) -> None:
    bare = Encoder(chooser.save(tmp_path / "model"), precision="float32")
    np.testing.assert_allclose(explanation.heads(0), bare.explain((TEXT, CHOICES[1])).heads(0), atol=1e-6)
