"""Why two texts are alike: attributions against `transformers` step by step, attention against the bare encoder, files and errors."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks import Encoder, SentenceEncoder
from bertworks.batch import PackedBatch
from bertworks.errors import BertworksError, DataError, SettingsError
from bertworks.explain import Explanation, Likeness, TokenAttributions, integrated_gradients
from bertworks.explain.page import page
from bertworks.explain.quantised import restored
from bertworks.nn.model import Model
from bertworks.spec import EmbeddingSpec, EncoderSpec, UnitStage, VectorSpec
from tests.nn import small

from .conftest import LONG

CPU = torch.device("cpu")
FIRST, SECOND = "the xyz film was good and the soup was cold", "a lovely song , they say !"
BASELINE = 1
Make = Callable[..., SentenceEncoder]


@pytest.fixture(scope="module")
def make(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A sentence encoder of the tiny BERT: saved, with changes to its files, and loaded again."""

    def made(
        similarity: str = "cosine", prompts: dict[str, str] | None = None, pools_prompt: bool = True, **options: Any
    ) -> SentenceEncoder:
        folder = SentenceEncoder(tiny_bert, precision="float32", progress=False).save(tmp_path_factory.mktemp("model") / "encoder")
        changes: dict[str, dict[str, Any]] = {
            "config_sentence_transformers.json": {
                "similarity_fn_name": similarity,
                "prompts": prompts or {},
                "default_prompt_name": next(iter(prompts or {}), None),
            },
            "1_Pooling/config.json": {"include_prompt": pools_prompt},
        }
        for name, values in changes.items():
            stored = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**stored, **values}))
        return SentenceEncoder(folder, precision="float32", progress=False, **options)

    return made


@pytest.fixture(scope="module")
def encoder(make: Make) -> SentenceEncoder:
    return make()


@pytest.fixture(scope="module")
def explanation(encoder: SentenceEncoder) -> Explanation:
    return encoder.explain(FIRST, SECOND)


def cosine(first: Any, second: Any) -> Any:
    first, second = np.atleast_2d(first).astype(float), np.atleast_2d(second).astype(float)
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


# ---- attributions


def brute_force(folder: Path, ids: Any, others: Any, baseline: int, steps: int = 300) -> tuple[Any, float, float]:
    """One text's half by `transformers` in float64, a step at a time, by the midpoint rule; and the half similarities at both ends."""
    transformers = pytest.importorskip("transformers")
    model = transformers.BertModel.from_pretrained(folder).double().eval()
    table = model.get_input_embeddings().weight.detach()
    end, start = table[ids], table[[baseline] * len(ids)].clone()
    start[[0, -1]] = end[[0, -1]]
    with torch.no_grad():
        other = model(inputs_embeds=table[others][None]).last_hidden_state[0].mean(0)

    def half(vectors: torch.Tensor) -> torch.Tensor:
        mean = model(inputs_embeds=vectors[None]).last_hidden_state[0].mean(0)
        return torch.nn.functional.cosine_similarity(mean, other, dim=0) / 2

    total = torch.zeros_like(end)
    for step in range(steps):
        vectors = (start + (step + 0.5) / steps * (end - start)).requires_grad_()
        total += torch.autograd.grad(half(vectors), vectors)[0] / steps
    with torch.no_grad():
        return ((end - start) * total).sum(-1).numpy(), float(half(start)), float(half(end))


def test_attributions_are_the_brute_force_ones(encoder: SentenceEncoder, explanation: Explanation, tiny_bert: Path) -> None:
    ids = [encoder.tokenizer_.encode(text).ids for text in (FIRST, SECOND)]
    halves = [brute_force(tiny_bert, own, other, baseline=0) for own, other in (ids, ids[::-1])]
    wanted = np.concatenate([values for values, _, _ in halves])
    found = explanation.attributions
    size = np.abs(wanted).max()
    np.testing.assert_allclose(found.tokens.values / size, wanted / size, atol=2e-4)
    assert found.tokens.baseline_score == pytest.approx(sum(start for _, start, _ in halves), abs=1e-5)
    assert found.tokens.score == pytest.approx(sum(end for _, _, end in halves), abs=1e-5)
    assert found.warning is None


@pytest.mark.parametrize(
    "options", [{}, {"normalize": True}, {"similarity": "dot"}, {"similarity": "dot", "normalize": True}, {"dimensions": 12}]
)
@pytest.mark.parametrize("texts", [(FIRST, SECOND), (LONG, SECOND), (SECOND, LONG)], ids=["short", "long first", "long second"])
def test_the_words_add_up_to_the_similarity_that_is_explained(make: Make, options: Any, texts: tuple[str, str]) -> None:
    encoder = make(**options)
    explanation = encoder.explain(*texts)
    found, similarity = explanation.attributions, float(encoder.similarity(*texts)[0, 0])
    assert explanation.answer is not None
    assert explanation.answer.prediction == pytest.approx(similarity, abs=1e-5)
    assert found.tokens.score == pytest.approx(similarity, abs=1e-4)
    rise = found.tokens.score - found.tokens.baseline_score
    assert found.words.sum() == pytest.approx(rise, abs=1e-3 * max(abs(rise), np.abs(found.words).sum()))
    assert found.tokens.error <= 1e-3
    assert [word.part for word in explanation.words] == sorted(word.part for word in explanation.words)
    assert all(texts[word.part][word.start : word.end] == word.text for word in explanation.words)


def test_the_mean_similarity_of_texts_without_words_is_the_baseline(encoder: SentenceEncoder, explanation: Explanation) -> None:
    """With the padding token as baseline, a text without words is one of as many [PAD] as it has tokens."""
    tokens = [len(encoder.tokenizer_.encode(text).ids) - 2 for text in (FIRST, SECOND)]
    empty = encoder.encode(["[PAD] " * count for count in tokens])
    first, second = encoder.encode([FIRST, SECOND])
    wanted = (cosine(empty[0], second) + cosine(first, empty[1]))[0] / 2
    assert explanation.attributions.tokens.baseline_score == pytest.approx(wanted, abs=1e-5)


def integrate(model: Model, batch: PackedBatch, target: Likeness, **options: Any) -> TokenAttributions:
    settings = {"baseline": BASELINE, "kept": np.zeros(batch.tokens, dtype=bool), "device": CPU, "token_budget": 1000, **options}
    return integrated_gradients(model, batch, target, **settings)


def test_of_a_dot_product_of_linear_vectors_it_is_weight_times_difference() -> None:
    """Without layers, norms and positions the mean vector is linear in the tokens' vectors."""
    spec = EncoderSpec("bert", 6, EmbeddingSpec(small.VOCABULARY, 6, 24, norm=None), layers=())
    model, batch = small.model(spec, {"vectors": VectorSpec()}), small.batch((5, 8, 3))
    found = integrate(model, batch, Likeness("vectors", ((0, 2), (1,)), cosine=False))
    arrays = model.arrays()
    states = arrays["encoder.embeddings.token.weight"][batch.input_ids]
    way = states - arrays["encoder.embeddings.token.weight"][BASELINE]
    with torch.no_grad():
        from bertworks.nn.inputs import model_inputs

        vectors = model(model_inputs(batch, CPU))["vectors"].numpy()
    first, second = (5 * vectors[0] + 3 * vectors[2]) / 8, vectors[1]
    shares = np.repeat([1 / 8, 1 / 8, 1 / 8], [5, 8, 3])  # 8 tokens in each text
    others = np.repeat([second, first, second], [5, 8, 3], axis=0)
    np.testing.assert_allclose(found.values, (way * others).sum(1) * shares / 2, atol=1e-6)
    assert found.score == pytest.approx(float(first @ second), abs=1e-6)


@pytest.mark.parametrize("stages", [(), (UnitStage(),)])
def test_neither_budget_nor_company_changes_it(stages: Any) -> None:
    """With a small budget the windows of a text are computed one after another."""
    model = small.model(small.encoder(), {"vectors": VectorSpec(stages=stages)}, spread=0.15)
    batch = small.batch((6, 9, 4, 7))
    target = Likeness("vectors", ((0, 1, 2), (3,)))
    whole = integrate(model, batch, target)
    for budget in (1, 12, 40):
        found = integrate(model, batch, target, token_budget=budget)
        np.testing.assert_allclose(found.values, whole.values, atol=1e-5)
        assert (found.score, found.baseline_score) == pytest.approx((whole.score, whole.baseline_score), abs=1e-5)


def test_removed_words_are_followed_in_one_text_at_a_time(encoder: SentenceEncoder) -> None:
    first, second = "the film was good and the soup was cold", "a lovely song , they say !"
    explanation = encoder.explain(first, second)
    removed = [np.array([], dtype=int), np.array([1, 3, 10]), np.array([0, 1, 2]), np.arange(len(explanation.words))]
    whole = encoder.encode([first, second])
    wanted = []
    for some in removed:
        left = [" ".join(w.text for i, w in enumerate(explanation.words) if w.part == part and i not in some) for part in (0, 1)]
        vectors = encoder.encode(left)
        wanted.append((cosine(vectors[0], whole[1]) + cosine(whole[0], vectors[1]))[0] / 2)
    np.testing.assert_allclose(explanation._without(removed), wanted, atol=1e-5)
    assert explanation.faithfulness.most_first[0] == pytest.approx(cosine(*whole)[0], abs=1e-5)
    assert "the cosine similarity goes from" in explanation.faithfulness.sentence


# ---- attention


def test_attention_is_that_of_the_bare_encoder(encoder: SentenceEncoder, explanation: Explanation, tiny_bert: Path) -> None:
    bare = Encoder(tiny_bert, precision="float32")
    for window, text in enumerate((FIRST, SECOND)):
        wanted = bare(text, attentions=True).attentions
        assert wanted is not None
        alone = encoder.explain(text)
        for layer in range(2):
            np.testing.assert_allclose(explanation.heads(layer, window=window), wanted[layer][0], atol=1e-6)
            np.testing.assert_array_equal(alone.heads(layer), explanation.heads(layer, window=window))
        assert explanation.tokens_of(window) == alone.tokens == bare(text).tokens[0]
        assert set(explanation.parts_of(window)) == {-1, 0}
    assert (explanation.windows, explanation.shown, explanation.window) == (2, (0, 1), 0)


def test_windows_are_numbered_over_both_texts(make: Make) -> None:
    explanation = make().explain(LONG, SECOND)
    assert [explanation.text_of(window) for window in range(explanation.windows)] == [0, 0, 1]
    assert explanation.shown == (0, 2)
    other = make().explain(LONG, SECOND, window=1)
    assert (other.shown, other.window) == ((1,), 1)
    with pytest.raises(SettingsError, match=r"window 3 does not exist: the texts are read in 3, 0 to 2"):
        make().explain(LONG, SECOND, window=3)


def test_one_text_alone_has_attention_only(encoder: SentenceEncoder, tmp_path: Path) -> None:
    alone = encoder.explain(FIRST)
    assert (alone.answer, alone.target, alone.windows) == (None, None, 1)
    for attribute in ("attributions", "faithfulness"):
        with pytest.raises(SettingsError, match=r"one text alone has no similarity to attribute: give a second text \(pair\)"):
            getattr(alone, attribute)
    with pytest.raises(SettingsError, match="one text alone has no similarity, so there is no attribution"):
        alone.save(tmp_path / "it.html", "attribution")
    source = alone.save(tmp_path / "it.html").read_text(encoding="utf-8")
    assert "<h1>One text</h1>" in source
    assert re.findall("<h2>(.*?)</h2>", source) == ["Attention"]


# ---- prompts and cases


@pytest.mark.parametrize("pools_prompt", [True, False])
@pytest.mark.parametrize("text", [FIRST, LONG], ids=["short", "long"])
def test_a_prompt_stays_where_it_is(make: Make, pools_prompt: bool, text: str) -> None:
    encoder = make(prompts={"query": "what is "}, pools_prompt=pools_prompt)
    explanation = encoder.explain(text, SECOND)
    assert explanation.texts == (text, SECOND)
    assert [word.text for word in explanation.words if word.part == 1] == SECOND.split()
    assert all(explanation.texts[word.part][word.start : word.end] == word.text for word in explanation.words)
    for window in range(explanation.windows):
        assert explanation.tokens_of(window)[:3] == ["[CLS]", "what", "is"]
    batch, _ = encoder.task_.encode([text, SECOND], encoder.tokenizer_, "what is ")
    np.testing.assert_array_equal(explanation._reading.batch.input_ids, batch.input_ids)
    found = explanation.attributions
    assert found.tokens.score == pytest.approx(float(encoder.similarity(text, SECOND)[0, 0]), abs=1e-5)
    assert found.tokens.values[:3].tolist() == [0, 0, 0]
    if text == FIRST:
        vectors = encoder.encode([text, SECOND, "", "!"])
        wanted = (cosine(vectors[2], vectors[1]) + cosine(vectors[0], vectors[3]))[0] / 2
        assert explanation._without([np.arange(len(explanation.words) - 1)])[0] == pytest.approx(wanted, abs=1e-5)


# ---- out


def test_the_page_shows_both_texts(explanation: Explanation) -> None:
    source = page(explanation, "all", None, None)
    assert re.findall("<h2>(.*?)</h2>", source) == ["What speaks for a greater similarity", "Is this faithful?", "Attention"]
    assert f"<h1>{explanation.answer.prediction:.4g}</h1>" in source  # type: ignore[union-attr]
    assert ">cosine similarity</p>" in source
    assert source.index("The first text.") < source.index("The second text.")
    assert explanation.attributions.check.replace("'", "&#39;") in source
    materials = [json.loads(found) for found in re.findall(r'<script type="application/json" class="material">(.*?)</script>', source)]
    assert [material["tokens"] for material in materials] == [explanation.tokens_of(0), explanation.tokens_of(1)]
    maps = restored(materials[1]["maps"]["0.2"])
    wanted = explanation.attention(0, 2, window=1)
    assert np.abs(maps - wanted.ravel()).max() < 0.004 * wanted.max()
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node to run the page's script")
    for number in range(2):
        command = [node, str(Path(__file__).with_name("page_in_node.js")), "3", "2", "0", str(number)]
        done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        seen, tokens = json.loads(done.stdout), explanation.tokens_of(number)
        value = restored(materials[number]["maps"]["1.mean"]).reshape(len(tokens), -1)[3, 2]
        assert seen["readout"] == f"“{tokens[3]}” (3) reads “{tokens[2]}” (2): {value:.4f}"


def test_plain_values_and_arrays(explanation: Explanation, tmp_path: Path) -> None:
    stored = explanation.to_dict("attention", layer=0)
    assert json.loads(json.dumps(stored)) == json.loads(explanation.save(tmp_path / "it.json", "attention", layer=0).read_text("utf-8"))
    assert [(part["text"], part["window"], part["tokens"]) for part in stored["attention"]] == [
        (number, number, explanation.tokens_of(number)) for number in (0, 1)
    ]
    for number, part in enumerate(stored["attention"]):
        np.testing.assert_allclose(part["probabilities"], explanation.heads(0, window=number), atol=1e-6)
    assert {word["part"] for word in stored["words"]} == {0, 1}
    with np.load(explanation.save(tmp_path / "it.npz"), allow_pickle=False) as arrays:
        for number, prefix in enumerate(("", "second_text_")):
            np.testing.assert_array_equal(arrays[f"{prefix}attention_1"], explanation.heads(1, window=number))
            np.testing.assert_array_equal(arrays[f"{prefix}rollout"], explanation.rollout(window=number))
            assert arrays[f"{prefix}tokens"].tolist() == explanation.tokens_of(number)
        np.testing.assert_array_equal(arrays["attributions"], explanation.attributions.words)


@pytest.mark.parametrize("kind", ["attribution", "faithfulness", "attention", "cls", "rollout"])
def test_pictures(explanation: Explanation, encoder: SentenceEncoder, tmp_path: Path, kind: Any) -> None:
    content = explanation.save(tmp_path / "it.svg", kind).read_text("utf-8")
    second = encoder.explain(FIRST, SECOND, window=1).save(tmp_path / "other.svg", kind).read_text("utf-8")
    if kind in ("attention", "cls", "rollout"):
        assert "first text (window 0 of 2)" in content
        assert "second text (window 1 of 2)" in second
    else:
        assert content == second


# ---- what cannot be explained


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        (("", SECOND), {}, DataError, "the first text has no word"),
        ((FIRST, " \n"), {}, DataError, "the second text has no word"),
        (("",), {}, DataError, "the text has no word"),
        ((7,), {}, DataError, "give one string, or two"),
        (((FIRST, SECOND),), {}, DataError, "give one string, or two"),
        ((FIRST, 7), {}, DataError, "give one string, or two"),
        ((FIRST, SECOND), {"baseline": "padd"}, SettingsError, "Did you mean 'pad'"),
        ((FIRST,), {"window": 1}, SettingsError, "window 1 does not exist"),
    ],
)
def test_what_cannot_be_explained(encoder: SentenceEncoder, texts: Any, options: Any, error: type[BertworksError], message: str) -> None:
    with pytest.raises(error, match=message):
        encoder.explain(*texts, **options)


def test_vectors_that_are_compared_by_a_distance_are_refused(make: Make) -> None:
    with pytest.raises(SettingsError, match="euclidean distance"):
        make(similarity="euclidean").explain(FIRST, SECOND)
    assert make(similarity="euclidean").explain(FIRST).windows == 1


def test_too_long_a_text_is_refused_or_said(make: Make) -> None:
    with pytest.raises(DataError, match="more than max_tokens"):
        make(overflow="error").explain(LONG, SECOND)
    cut = make(overflow="truncate").explain(SECOND, LONG)
    assert cut.truncated_tokens > 0
    assert (cut.windows, cut.to_dict("attribution")["truncated_tokens"]) == (2, cut.truncated_tokens)
