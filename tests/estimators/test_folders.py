"""Saved models: the same answers after loading, here and in transformers, and damage that is noticed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks as bw
from bertworks import TextClassifier
from bertworks.checkpoints.files import open_tensors, write_tensors
from bertworks.errors import CheckpointError

Make = Callable[..., TextClassifier]
TEXTS = ["the food was good", "a sad and dull film", "tea", "good " * 80, "Fantastic! Isn't it?"]


@pytest.fixture(scope="module")
def saved(fitted: Make, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    done: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in done:
            done[kind] = fitted(kind).save(tmp_path_factory.mktemp("saved") / kind)
        return done[kind]

    return save


@pytest.fixture
def copied(saved: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a saved model with several labels, to be damaged."""
    return Path(shutil.copytree(saved("multi"), tmp_path / "model"))


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_a_loaded_model_answers_bit_by_bit_as_the_saved_one(fitted: Make, saved: Callable[[str], Path], kind: str) -> None:
    before = fitted(kind)
    loaded = bw.load(saved(kind), precision="float32", verify=True)
    predicted, outputs, _ = before.predict_with_accounting(TEXTS)
    loaded_predicted, loaded_outputs, _ = loaded.predict_with_accounting(TEXTS)
    np.testing.assert_array_equal(loaded_outputs, outputs)
    assert list(loaded_predicted) == list(predicted)
    assert loaded.task_ == before.task_
    assert loaded.classes_.tolist() == before.classes_.tolist()
    assert loaded.task_.thresholds == before.task_.thresholds
    assert loaded.about_["training"]["learning_rate"] == 0.01


@pytest.mark.parametrize("settings", [{"overflow": "truncate", "max_tokens": 20}, {"overflow": "window", "max_tokens": 20, "stride": 2}])
def test_overflow_settings_are_kept(make: Make, reviews: Callable[..., Any], tmp_path: Path, settings: dict[str, Any]) -> None:
    before = make(epochs=0.3, **settings).fit(*reviews(30))
    loaded = bw.load(before.save(tmp_path / "model"), precision="float32", verify=True)
    for name, value in settings.items():
        assert getattr(loaded.task_, name) == value
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), before.predict_proba(TEXTS))
    assert loaded.predict_with_accounting(TEXTS)[2] == before.predict_with_accounting(TEXTS)[2]


def test_a_model_that_refuses_long_texts_can_be_saved(make: Make, reviews: Callable[..., Any], tmp_path: Path) -> None:
    classifier = make(epochs=0.3, overflow="error", max_tokens=18).fit(*reviews(20))
    assert bw.load(classifier.save(tmp_path / "model"), verify=True).task_.overflow == "error"


def test_pairs_are_kept(make: Make, tmp_path: Path) -> None:
    pairs = [("good tea", "yes"), ("bad tea", "no")] * 8
    before = make(epochs=1).fit(pairs, ["same", "other"] * 8)
    loaded = bw.load(before.save(tmp_path / "model"), precision="float32", verify=True)
    np.testing.assert_array_equal(loaded.predict_proba(pairs), before.predict_proba(pairs))


def test_a_saved_model_is_trained_further(make: Make, saved: Callable[[str], Path], reviews: Callable[..., Any]) -> None:
    classifier = make(model=saved("single"), epochs=1, learning_rate=1e-4).fit(*reviews(30))
    assert classifier.score(*reviews(40, seed=1)) > 0.8
    assert "heads.labels.output.weight" not in " ".join(classifier.loading_report_.lines()), "the head was loaded, not begun anew"


def test_folders_are_not_overwritten(fitted: Make, copied: Path) -> None:
    with pytest.raises(CheckpointError, match="already exists"):
        fitted().save(copied)
    fitted().save(copied, replace=True)
    assert bw.load(copied, verify=True).task_.kind == "single"


# ---- damage


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2))


def change_weight(folder: Path) -> None:
    with open_tensors(folder) as files:
        arrays = {name: np.array(files[name]) for name in files}
    arrays["classifier.bias"][0] += 0.01
    write_tensors(folder / "model.safetensors", arrays)


def change_word(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"this"', '"thus"'))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a weight": change_weight,
    "the tokenizer": change_word,
    "config.json": lambda folder: edit(folder / "config.json", lambda c: c.update(hidden_act="relu")),
    "most tokens": lambda folder: edit(folder / "bertworks.json", lambda c: c["settings"].update(max_tokens=8)),
    "a threshold": lambda folder: edit(folder / "bertworks.json", lambda c: c["settings"]["thresholds"].__setitem__(0, 0.99)),
    "the order of the labels": lambda folder: edit(folder / "bertworks.json", lambda c: c["settings"]["labels"].reverse()),
    "overflow": lambda folder: edit(folder / "bertworks.json", lambda c: c["settings"].update(overflow="truncate")),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_notices(copied: Path, what: str) -> None:
    bw.load(copied, verify=True)
    DAMAGE[what](copied)
    with pytest.raises(CheckpointError, match="smoke cases"):
        bw.load(copied, verify=True)
    bw.load(copied)


def test_a_folder_without_smoke_cases_cannot_be_verified(copied: Path) -> None:
    (copied / "smoke.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no smoke\.json to verify the model by"):
        bw.load(copied, verify=True)
    bw.load(copied)


def test_a_bare_encoder_is_no_classifier(tiny_bert: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no finished model \(config.json says BertModel\): train one from it"):
        bw.load(tiny_bert)


def test_an_unknown_task_is_named(copied: Path) -> None:
    edit(copied / "bertworks.json", lambda content: content.update(task="poetry"))
    with pytest.raises(CheckpointError, match="saved for the task 'poetry'"):
        bw.load(copied)


# ---- transformers


def padded_logits(folder: Path, texts: list[str]) -> Any:
    """The logits of transformers' own model and tokenizer, a text at a time."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model, np.concatenate([model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts])


@pytest.mark.parametrize("kind", ["single", "multi", "number"])
def test_transformers_computes_the_same_from_a_saved_folder(fitted: Make, saved: Callable[[str], Path], kind: str) -> None:
    texts = [text for text in TEXTS if len(text) < 100]
    model, logits = padded_logits(saved(kind), texts)
    ours = fitted(kind).predict_with_accounting(texts)[1]
    if kind == "single":
        theirs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    else:
        theirs = 1 / (1 + np.exp(-logits)) if kind == "multi" else logits
    assert type(model).__name__ == "BertForSequenceClassification"
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-5)
    names = ["value"] if kind == "number" else fitted(kind).classes_.tolist()
    assert [model.config.id2label[i] for i in range(len(names))] == names
    problems = {"single": "single_label_classification", "multi": "multi_label_classification", "number": "regression"}
    assert model.config.problem_type == problems[kind]


def test_transformers_cuts_texts_to_what_a_saved_model_reads(saved: Callable[[str], Path], tiny_bert: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for folder in (saved("single"), bw.Encoder(tiny_bert).save(tmp_path / "encoder")):
        tokenizer, config = transformers.AutoTokenizer.from_pretrained(folder), transformers.AutoConfig.from_pretrained(folder)
        assert tokenizer.model_max_length == config.max_position_embeddings
        assert len(tokenizer("good " * 1000, truncation=True)["input_ids"]) == config.max_position_embeddings


@pytest.mark.parametrize(
    ("kind", "problem", "outputs"), [("single", None, 3), ("multi", "multi_label_classification", 3), ("number", None, 1)]
)
def test_what_transformers_saved_is_loaded(tiny_bert: Path, tmp_path: Path, kind: str, problem: str | None, outputs: int) -> None:
    transformers = pytest.importorskip("transformers")
    names = {i: f"name {i}" for i in range(outputs)}
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    model = transformers.BertForSequenceClassification.from_pretrained(tiny_bert, problem_type=problem, **labels)
    model.save_pretrained(tmp_path)
    transformers.BertTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    loaded = bw.load(tmp_path, precision="float32")
    assert loaded.task_.kind == kind
    assert loaded.classes_.tolist() == ([] if kind == "number" else list(names.values()))
    texts = ["the food was good", "tea", "a sad film"]
    _, logits = padded_logits(tmp_path, texts)
    outputs_ = loaded.predict_with_accounting(texts)[1]
    if kind == "number":
        np.testing.assert_allclose(outputs_, logits, atol=1e-5)
    elif kind == "single":
        np.testing.assert_allclose(outputs_, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), atol=1e-5)
    else:
        np.testing.assert_allclose(outputs_, 1 / (1 + np.exp(-logits)), atol=1e-5)
