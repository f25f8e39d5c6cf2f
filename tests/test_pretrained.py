"""The encoder that comes with bertworks: small, whole, read by others, used where no model is named, and honestly described."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks.errors import ScriptWarning
from bertworks.pretrained import DEFAULT, shipped, shipped_names

FOLDER = shipped()
TEXTS = ["The river flows into the [MASK].", "He was a professor at the [MASK] of Chicago."]
FILES = {"README.md", "bertworks.json", "config.json", "model.safetensors", "smoke.json", "tokenizer.json", "tokenizer_config.json"}


def test_it_is_there_and_small() -> None:
    assert shipped_names() == [DEFAULT]
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(files) >= FILES
    assert sum(files.values()) < 45e6
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)


def test_it_answers_as_when_it_was_saved_and_knows_its_tasks() -> None:
    filler = bw.MaskFiller(verify=True, precision="float32")
    assert filler.tokenizer.vocabulary_size <= 24_000
    assert bw.NextSentence(precision="float32").predict([("The door opened.", "A man came in.")]).shape == (1,)


def test_transformers_fills_masks_with_the_same_words() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    for text in TEXTS:
        read = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            scores = model(**read).logits[0, read.input_ids[0].tolist().index(tokenizer.mask_token_id)].softmax(-1)
        best = scores.topk(5)
        ours = bw.MaskFiller(precision="float32").fill(text, top_k=5).masks[0]
        assert [candidate.token for candidate in ours] == tokenizer.convert_ids_to_tokens(best.indices.tolist())
        np.testing.assert_allclose([candidate.score for candidate in ours], best.values.numpy(), rtol=1e-4)


def test_it_is_what_every_estimator_begins_with() -> None:
    assert bw.Encoder().tokenizer.fingerprint() == bw.Encoder(DEFAULT).tokenizer.fingerprint() == bw.Encoder(FOLDER).tokenizer.fingerprint()
    vectors = bw.SentenceEncoder(precision="float32").encode(["A small dog.", "A little dog.", "Taxes were raised."])
    assert vectors.shape == (3, 256)
    classifier = bw.TextClassifier(epochs=1, progress=False, precision="float32").fit(["good", "bad"] * 4, ["p", "n"] * 4)
    assert classifier.tokenizer_.vocabulary_size == bw.Encoder().tokenizer.vocabulary_size


def test_texts_of_another_script_are_warned_of() -> None:
    with pytest.warns(ScriptWarning, match="words of Latin only"):
        bw.SentenceEncoder(precision="float32").encode(["Книга лежит на столе."])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bw.SentenceEncoder(precision="float32").encode(["A naïve café."])


def test_its_files_name_no_place_of_the_machine_that_made_it() -> None:
    for path in FOLDER.glob("*.json"):
        if path.name != "tokenizer.json":
            assert not re.search(r'"(/|[A-Z]:\\|~)\w', path.read_text(encoding="utf-8")), path.name


def test_its_card_says_what_the_results_say(tmp_path: Path) -> None:
    from benchmarks import machine
    from benchmarks.shipped_encoder_card import write_card

    (tmp_path / "model.safetensors").symlink_to(FOLDER / "model.safetensors")
    for path in FOLDER.iterdir():
        if path.name not in ("README.md", "training.svg", "model.safetensors"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    write_card(tmp_path, machine.RESULTS)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == (FOLDER / "README.md").read_text(encoding="utf-8")
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "English only" in card
    for link in re.findall(r"\]\(([^)#]+)\)", card):
        assert (FOLDER / link).exists()
