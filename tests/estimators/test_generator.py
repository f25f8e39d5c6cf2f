"""`TextGenerator`: prompts, streams, perplexity, and what is refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks import TextClassifier, TextGenerator
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators.generator import _windows
from bertworks.nn.heads import IGNORED
from tests.cli.conftest import review_rows
from tests.tiny_gpt2 import END, write_tiny_gpt2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gpt2(tmp_path_factory.mktemp("tiny") / "gpt2", spread=0.5)


@pytest.fixture(scope="module")
def generator(folder: Path) -> TextGenerator:
    return TextGenerator(folder, precision="float32")


def test_one_prompt_or_many(generator: TextGenerator) -> None:
    one = generator.generate("the film was", max_new_tokens=7)
    many = generator.generate(["the film was", "a dog and a cat"], max_new_tokens=7)
    assert many[0] == one
    tokens = len(generator.tokenizer.encode("the film was"))
    assert (one.prompt, one.prompt_tokens, one.reason) == ("the film was", tokens, "max_new_tokens")
    assert len(one.ids) == len(one.tokens) == 7
    assert [generator.tokenizer.token_to_id(token) for token in one.tokens] == one.ids
    assert one.text == generator.tokenizer.decode(one.ids)
    assert generator.generate([], max_new_tokens=7) == []
    assert json.loads(json.dumps(one.to_dict()))["text"] == one.text
    assert generator.max_tokens == 64


def test_greedy_is_what_transformers_generates(folder: Path, generator: TextGenerator) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval().double()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for prompt in ("the film was", "a dog", "the soup"):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        made = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, pad_token_id=0)[0]
        assert generator.generate(prompt, max_new_tokens=20, temperature=0).ids == made[ids.shape[1] :].tolist()


@pytest.mark.parametrize("chosen", [{"temperature": 0}, {"seed": 3}, {"seed": 5, "stop": [" a", "s"]}, {"temperature": 2.0, "top_p": None}])
def test_a_stream_is_the_text_in_pieces(generator: TextGenerator, chosen: dict[str, Any]) -> None:
    for prompt in ("the film was", "", "a dog"):
        stream = generator.stream(prompt, max_new_tokens=30, **chosen)
        with pytest.raises(SettingsError, match="not finished"):
            _ = stream.generated
        pieces = list(stream)
        assert stream.generated == generator.generate(prompt, max_new_tokens=30, **chosen)
        assert "".join(pieces) == stream.generated.text
        assert all(pieces)
        "".join(pieces).encode()


def test_the_seed_decides(generator: TextGenerator) -> None:
    texts = [generator.generate("a dog", max_new_tokens=9, seed=seed).text for seed in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]


def test_stop_strings_and_the_end_of_a_text(generator: TextGenerator, tmp_path: Path) -> None:
    plain = generator.generate("a dog", max_new_tokens=12, temperature=0)
    third = plain.tokens[2].replace("Ġ", " ")
    stopped = generator.generate("a dog", max_new_tokens=12, temperature=0, stop=third)
    assert (stopped.text, stopped.reason) == (plain.text[: plain.text.index(third)], "stop string")
    ending = write_tiny_gpt2(tmp_path / "ending", spread=0.5, eos_token_id=[plain.ids[2], 10**6])
    ended = TextGenerator(ending, precision="float32").generate("a dog", max_new_tokens=12, temperature=0)
    assert ended.ids == plain.ids[: plain.ids.index(plain.ids[2]) + 1]
    assert (ended.reason, ended.text) == ("end of text", generator.tokenizer.decode(ended.ids[:-1]))


def test_an_empty_prompt_is_a_text_from_its_beginning(generator: TextGenerator) -> None:
    assert generator.generate("", max_new_tokens=5).prompt_tokens == 1
    assert generator.generate("", max_new_tokens=5).ids == generator.generate(END, max_new_tokens=5).ids


def test_prompts_beyond_the_model(generator: TextGenerator) -> None:
    long = "the dog " * 31 + "cat"  # 64 tokens or more
    with pytest.raises(DataError, match=r"prompt 1 has \d+ tokens; the model reads 64, prompt and continuation together"):
        generator.generate(["a dog", long + " and" * 40])
    with pytest.raises(DataError, match="prompt 0"):
        generator.stream(long + " and" * 40)
    ids = generator.tokenizer.encode("a" + " and" * 62).ids
    assert len(ids) == 63
    last = generator.generate("a" + " and" * 62, temperature=0)
    assert (len(last.ids), last.reason) == (1, "model limit")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompts": "a", "temprature": 1}, SettingsError, "no setting 'temprature'. Did you mean 'temperature'?"),
        ({"prompts": "a", "top_p": 3}, SettingsError, "top_p lies above 0"),
        ({"prompts": "a", "stop": ""}, SettingsError, "stop strings"),
        ({"prompts": "a", "stop": 3}, SettingsError, "stop"),
        ({"prompts": 5}, DataError, "must be a list"),
        ({"prompts": ["a", 5]}, DataError, "row 1 of texts is 5"),
        ({"prompts": [("a", "b")]}, DataError, "row 0 of texts"),
        ({"prompts": "\ud800"}, DataError, "lone surrogate"),
    ],
)
def test_what_is_refused(generator: TextGenerator, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        generator.generate(**arguments)


# ---- perplexity


def slow_loss(generator: TextGenerator, folder: Path, text: str) -> tuple[float, int]:
    """The sum of the negative logarithms of the tokens' probabilities by `transformers`, and how many there are."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval().double()
    ids = torch.tensor([generator.tokenizer.encode(text).ids.tolist()])
    with torch.no_grad():
        scores = theirs(ids).logits[0, :-1].log_softmax(-1)
    return -float(scores.gather(1, ids[0, 1:, None]).sum()), ids.shape[1] - 1


def test_perplexity_is_the_one_of_transformers(generator: TextGenerator, folder: Path) -> None:
    texts = ["the film was very good", "a dog", "the soup was cold and the bread was stale"]
    losses = [slow_loss(generator, folder, text) for text in texts]
    for text, (loss, tokens) in zip(texts, losses, strict=True):
        assert generator.perplexity(text) == pytest.approx(math.exp(loss / tokens), rel=1e-4)
    found = generator.evaluate(texts)
    total, count = sum(loss for loss, _ in losses), sum(tokens for _, tokens in losses)
    assert found["loss"] == pytest.approx(total / count, rel=1e-5)
    assert (found["tokens"], found["windows"]) == (count, 3)


def test_long_texts_are_read_in_windows(generator: TextGenerator) -> None:
    text = "the film was good and the soup was cold . " * 12
    count = len(generator.tokenizer.encode(text))
    found = generator.evaluate(text)
    assert found["tokens"] == count - 1
    assert found["windows"] == 1 + math.ceil((count - 1 - 64) / 32)
    ids = generator.tokenizer.encode(text).ids
    loss = 0.0
    model = generator._loaded.model
    for token in range(1, count):  # the slow way: each token in the first window that holds it
        start = 0 if token <= 64 else min(32 * math.ceil((token - 64) / 32), count - 1 - 64)
        hidden = model.encoder(_inputs(ids[start:token])).hidden[-1].detach()
        loss -= float((hidden @ model.encoder.embeddings.token.weight.detach().T).log_softmax(0)[ids[token]])
    assert found["loss"] == pytest.approx(loss / (count - 1), rel=1e-4)


def _inputs(ids: np.ndarray) -> Any:
    from bertworks.batch import PackedBatch
    from bertworks.nn.inputs import model_inputs

    return model_inputs(PackedBatch.from_sequences([ids]), torch.device("cpu"))


@settings(max_examples=100, deadline=None)
@given(tokens=st.integers(2, 60), limit=st.integers(1, 20))
def test_windows_tell_every_token_once(tokens: int, limit: int) -> None:
    ids = np.arange(tokens)
    told: list[int] = []
    for inputs, targets in _windows(ids, limit):
        assert 0 < len(inputs) == len(targets) <= limit
        assert inputs[-1] + 1 == targets[-1]
        own = targets[targets != IGNORED]
        assert np.array_equal(own, (inputs + 1)[targets != IGNORED])
        if inputs[0] > 0:
            assert len(inputs) - len(own) >= limit - max(1, limit // 2)  # half a window of context
        told += own.tolist()
    assert told == list(range(1, tokens))


def test_a_text_of_one_token_tells_nothing(generator: TextGenerator) -> None:
    with pytest.raises(DataError, match="text 1 has 1 tokens: two are needed"):
        generator.perplexity(["a dog", "a"])
    with pytest.raises(DataError):
        generator.perplexity([])


# ---- folders


def test_models_that_continue_nothing(tiny_bert: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is an encoder \(bert\), which reads a text from both sides"):
        TextGenerator(tiny_bert)
    with pytest.raises(CheckpointError, match="no model folder"):
        TextGenerator(folder / "nowhere")
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "architectures": ["GPT2ForSequenceClassification"]}))
    with pytest.raises(CheckpointError, match=r"trained for another task \(GPT2ForSequenceClassification\)"):
        TextGenerator(other)
    (other / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match="output matrix of its own"):
        TextGenerator(other)


def test_half_precision_goes_on_too(folder: Path) -> None:
    own = TextGenerator(folder, precision="bfloat16")
    one = own.generate(["a dog", "the film was"], max_new_tokens=10, seed=1)
    assert [len(text.ids) for text in one] == [10, 10]
    exact = TextGenerator(folder, precision="float32")
    assert own.evaluate("the film was very good")["loss"] == pytest.approx(exact.evaluate("the film was very good")["loss"], rel=0.05)


# ---- the other estimators


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gpt2(tmp_path_factory.mktemp("tiny") / "gpt2")


SETTINGS: dict[str, Any] = {"epochs": 4, "learning_rate": 0.005, "batch_size": 16, "precision": "float32", "progress": False}


def praise_and_blame(rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    made = review_rows(rows, seed)
    return [text for text, _ in made], [label for _, label in made]


def test_a_classifier_of_texts(untrained: Path, tmp_path: Path) -> None:
    texts, labels = praise_and_blame(160)
    held_out = praise_and_blame(60, seed=1)
    own = TextClassifier(untrained, dropout=0.0, **SETTINGS).fit(texts, labels, validation=held_out)
    assert own.score(*held_out) > 0.9
    assert [own.loaded_.config[key] for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop")] == [0.0] * 3
    saved = own.save(tmp_path / "saved")
    again = TextClassifier.load(saved, precision="float32", verify=True)
    assert np.array_equal(again.predict(held_out[0]), own.predict(held_out[0]))
    transformers = pytest.importorskip("transformers")
    theirs, info = transformers.GPT2ForSequenceClassification.from_pretrained(saved, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    for text, probabilities in zip(held_out[0][:8], own.predict_proba(held_out[0][:8]), strict=True):
        scores = theirs.eval()(torch.from_numpy(own.tokenizer_.encode(text).ids)[None]).logits
        np.testing.assert_allclose(scores.softmax(1)[0].detach().numpy(), probabilities, atol=1e-5)


def test_a_classifier_that_predicts_numbers(untrained: Path, tmp_path: Path) -> None:
    """GPT-2's classifier has no bias that could take up a number's mean: it is kept with the task."""
    texts, labels = praise_and_blame(120)
    numbers = [50.0 + 10.0 * (label == "positive") for label in labels]
    own = TextClassifier(untrained, **SETTINGS).fit(texts, numbers)
    found = own.predict(texts)
    assert abs(found.mean() - np.mean(numbers)) < 3
    assert np.corrcoef(found, numbers)[0, 1] > 0.8
    again = TextClassifier.load(own.save(tmp_path / "saved"), precision="float32", verify=True)
    np.testing.assert_allclose(again.predict(texts), found, rtol=1e-4)
