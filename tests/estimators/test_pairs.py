"""Models of pairs that others saved, and ranking by a model of pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertworks as bw
from bertworks import TextClassifier
from bertworks.errors import DataError, SettingsError
from tests.conftest import VOCABULARY, write_tiny_bert

QUERY = "the good soup"
PASSAGES = ["a bad film", "good soup and bread", "the soup was cold", "tea"]


@pytest.fixture(scope="module", params=[1, 3])
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A classifier that `transformers` saved, of one number or three labels, and its tokenizer: nothing says whether it reads pairs."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(write_tiny_bert(tmp_path_factory.mktemp("tiny") / "bert"))
    torch.manual_seed(request.param)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64}
    config = transformers.BertConfig(vocab_size=len(VOCABULARY), num_labels=request.param, initializer_range=0.5, **shape)
    model = transformers.BertForSequenceClassification(config).eval()
    folder = tmp_path_factory.mktemp("theirs") / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def test_a_folder_of_transformers_reads_pairs_and_single_texts(theirs: tuple[Path, Any, Any]) -> None:
    folder, model, tokenizer = theirs
    classifier = bw.load(folder, precision="float32")
    for rows, columns in (
        ([(QUERY, passage) for passage in PASSAGES], ([QUERY] * len(PASSAGES), PASSAGES)),
        (PASSAGES, (PASSAGES,)),
    ):
        with torch.no_grad():
            logits = model(**tokenizer(*columns, padding=True, return_tensors="pt")).logits
        outputs = classifier.predict_with_accounting(rows)[1]
        expected = logits if logits.shape[1] == 1 else logits.softmax(1)
        np.testing.assert_allclose(outputs, expected.numpy(), atol=1e-5)


def test_passages_are_ranked_as_transformers_scores_them(theirs: tuple[Path, Any, Any]) -> None:
    folder, model, tokenizer = theirs
    classifier = bw.load(folder, precision="float32")
    with torch.no_grad():
        logits = model(**tokenizer([QUERY] * len(PASSAGES), PASSAGES, padding=True, return_tensors="pt")).logits
    label = None if logits.shape[1] == 1 else "LABEL_2"
    scores = (logits[:, 0] if label is None else logits.softmax(1)[:, 2]).numpy()
    ranked = classifier.rank(QUERY, PASSAGES, label=label)
    assert [found.index for found in ranked] == np.argsort(-scores).tolist()
    assert [found.text for found in ranked] == [PASSAGES[found.index] for found in ranked]
    np.testing.assert_allclose([found.score for found in ranked], np.sort(scores)[::-1], atol=1e-5)
    assert classifier.rank(QUERY, PASSAGES, label=label, top_k=2) == ranked[:2]
    assert classifier.rank(QUERY, [], label=label) == []
    if label:
        with pytest.raises(SettingsError, match="name the label"):
            classifier.rank(QUERY, PASSAGES)
        with pytest.raises(SettingsError, match="no label 'LABEL_9'"):
            classifier.rank(QUERY, PASSAGES, label="LABEL_9")
    with pytest.raises(SettingsError, match="top_k"):
        classifier.rank(QUERY, PASSAGES, label=label, top_k=0)


def test_it_says_both_after_it_was_saved_here(theirs: tuple[Path, Any, Any], tmp_path: Path) -> None:
    classifier = bw.load(theirs[0], precision="float32")
    again = bw.load(classifier.save(tmp_path / "ours"), precision="float32", verify=True)
    rows = [(QUERY, passage) for passage in PASSAGES]
    np.testing.assert_array_equal(again.predict_with_accounting(rows)[1], classifier.predict_with_accounting(rows)[1])
    np.testing.assert_array_equal(again.predict_with_accounting(PASSAGES)[1], classifier.predict_with_accounting(PASSAGES)[1])


def test_a_model_that_was_trained_on_single_texts_still_refuses_pairs(fitted: Callable[..., TextClassifier]) -> None:
    with pytest.raises(DataError, match="single texts"):
        fitted().rank(QUERY, PASSAGES)
