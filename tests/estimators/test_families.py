"""What a user does with a model of any family: its states, a classifier trained from it, saved and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import Encoder, TextClassifier
from bertworks.inference import load_model
from bertworks.tokenization import Tokenizer
from tests.estimators.families import FAMILIES, write_family

TEXTS = ["A good hotel, the best of this year.", "sad", "cold soup and stale bread, never again!", "the big old house was not so bad"]
PAIRS = ["we were there", "a train", "once more", "the small one was warm, bright and clean"]
Reviews = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    pytest.importorskip("transformers")
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = write_family(family, tmp_path_factory.mktemp("families") / family)
        return made[family]

    return folder


def reference_inputs(tokenizer: Any, family: str, *texts: list[str]) -> dict[str, Any]:
    segments = family in ("albert", "electra")
    return dict(tokenizer(*texts, padding=True, return_tensors="pt", return_token_type_ids=segments))


@pytest.mark.parametrize("columns", [(TEXTS,), (TEXTS, PAIRS)], ids=["texts", "pairs"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_gives_the_references_states(folders: Callable[[str], Path], family: str, columns: tuple[list[str], ...]) -> None:
    import torch
    import transformers

    folder = folders(family)
    output = Encoder(folder, precision="float32", device="cpu")(*columns, hidden_states=True)
    inputs = reference_inputs(transformers.AutoTokenizer.from_pretrained(folder), family, *columns)
    assert np.array_equal(inputs["attention_mask"].numpy(), output.attention_mask)
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(**inputs, output_hidden_states=True)
    mask = output.attention_mask[:, :, None]
    np.testing.assert_allclose(output.last_hidden_state, expected.last_hidden_state.numpy() * mask, atol=1e-5)
    assert output.hidden_states is not None
    assert len(output.hidden_states) == len(expected.hidden_states)
    if getattr(expected, "pooler_output", None) is None:
        assert output.pooler_output is None
    else:
        np.testing.assert_allclose(output.pooler_output, expected.pooler_output.numpy(), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_segments_are_those_of_the_family(folders: Callable[[str], Path], family: str) -> None:
    tokenizer = Tokenizer.load(folders(family))
    pair = tokenizer.encode("a good hotel", "a bad day")
    special = [tokenizer.cls_id, tokenizer.sep_id]
    between = [number for number in pair.ids.tolist() if number in special]
    fairseq = family in ("roberta", "xlm-roberta", "camembert")
    assert between == [special[0], *[special[1]] * (3 if fairseq else 2)]  # <s> a </s></s> b </s>, [CLS] a [SEP] b [SEP]
    second = np.flatnonzero(pair.ids == special[1])[0] + 1
    assert pair.segment_ids.tolist() == [int(not fairseq and place >= second) for place in range(len(pair.ids))]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_is_trained_saved_and_loaded(
    folders: Callable[[str], Path], reviews: Reviews, tmp_path: Path, family: str, pairs: bool
) -> None:
    import torch
    import transformers

    texts, labels = reviews(160)
    rows: list[Any] = [("a story", text) for text in texts] if pairs else texts
    settings: dict[str, Any] = {"learning_rate": 0.003, "batch_size": 16, "precision": "float32", "dropout": 0.0, "progress": False}
    classifier = TextClassifier(folders(family), epochs=8, **settings).fit(rows, labels)
    assert np.mean([found == label for found, label in zip(classifier.predict(rows), labels, strict=True)]) > 0.8
    probabilities = classifier.predict_proba(rows[:9])
    classifier.save(tmp_path / "saved")
    again = TextClassifier.load(tmp_path / "saved", precision="float32", verify=True)
    np.testing.assert_array_equal(again.predict_proba(rows[:9]), probabilities)

    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    columns = [list(column) for column in zip(*rows[:9], strict=True)] if pairs else [rows[:9]]
    with torch.no_grad():
        inputs = tokenizer(*columns, padding=True, return_tensors="pt")
        scores = theirs(**inputs).logits
    assert ("token_type_ids" in inputs) == (family in ("albert", "electra"))
    np.testing.assert_allclose(scores.softmax(-1).numpy(), probabilities, atol=1e-5)
    names = [theirs.config.id2label[i] for i in range(theirs.config.num_labels)]
    assert [str(label) for label in classifier.classes_] == names


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_set_in_the_words_of_the_family(folders: Callable[[str], Path], family: str) -> None:
    loaded = load_model(folders(family), {"label": ("sequence_classification", 2)}, new_heads=True, dropout=0.35)
    spec, (_, head) = loaded.model.spec, loaded.model.head_items()[0]
    assert {spec.embedding.dropout, spec.layers[0].dropout, spec.layers[0].attention.dropout, head.spec.dropout} == {0.35}
