"""What an explanation says of itself, and the files that it is saved as."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bertworks import Encoder, TextClassifier
from bertworks.errors import BertworksError, DataError, NotFittedError, SettingsError
from bertworks.explain import Explanation

from .conftest import LONG

TEXT = "the xyz film was good and the soup was cold"
KINDS = ("attribution", "faithfulness", "attention", "cls", "rollout")


@pytest.fixture(scope="module")
def explanation(classifier: TextClassifier) -> Explanation:
    return classifier.explain(TEXT)


def test_it_answers_as_the_classifier_does(classifiers: Callable[..., TextClassifier]) -> None:
    for kind, text in (("single", TEXT), ("pairs", (TEXT, "no !")), ("multi", TEXT), ("number", TEXT), ("single", LONG)):
        classifier = classifiers(kind)
        answer = classifier.explain(text).answer
        assert answer is not None
        assert answer.prediction == classifier.predict([text])[0]  # type: ignore[list-item]
        if kind != "number":
            np.testing.assert_array_equal(list(answer.probabilities.values()), classifier.predict_proba([text])[0])  # type: ignore[list-item]


def test_what_is_explained(classifiers: Callable[..., TextClassifier], explanation: Explanation) -> None:
    classifier = classifiers()
    assert explanation.target == classifier.predict([TEXT])[0]
    other = next(label for label in classifier.classes_ if label != explanation.target)
    assert classifier.explain(TEXT, target=other).target == other
    assert classifiers("number").explain(TEXT).target == "a larger number"
    assert repr(explanation) == f"Explanation(10 words, 1 window, predicted '{explanation.target}')"
    with pytest.raises(SettingsError, match=r"no label 'god'\. Did you mean 'good'\?"):
        classifier.explain(TEXT, target="god")


def test_the_window_that_is_shown_has_the_largest_weight(classifier: TextClassifier) -> None:
    explanation = classifier.explain(LONG)
    lengths = explanation._reading.batch.lengths
    assert lengths[explanation.window] == lengths.max()
    assert explanation.tokens == explanation.tokens_of(explanation.window)
    assert sum(len(explanation.tokens_of(window)) for window in range(explanation.windows)) == lengths.sum()


def test_what_cannot_be_explained(classifiers: Callable[..., TextClassifier]) -> None:
    wrong: list[tuple[str, Any, type[BertworksError], str]] = [
        ("single", "", DataError, "has no word"),
        ("single", " \n", DataError, "has no word"),
        ("single", ("a film", "a soup"), DataError, "single texts, not pairs"),
        ("pairs", "a film", DataError, "reads pairs of texts"),
        ("single", 7, DataError, "not a string"),
        ("single", ("a", "b", "c"), DataError, "3 texts"),
    ]
    for kind, text, error, message in wrong:
        with pytest.raises(error, match=message):
            classifiers(kind).explain(text)
    with pytest.raises(SettingsError, match="baseline is pad, mask or zero, not 'padd'"):
        classifiers().explain(TEXT, baseline="padd")  # type: ignore[arg-type]
    with pytest.raises(NotFittedError):
        TextClassifier().explain(TEXT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures(explanation: Explanation, tmp_path: Path, kind: Any, suffix: str) -> None:
    path = explanation.save(tmp_path / f"it.{suffix}", kind)
    content = path.read_bytes()
    if suffix == "png":
        assert content.startswith(b"\x89PNG")
    else:
        texts = {"".join(element.itertext()) for element in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text")}
        assert texts & {"film", "words removed, % of 10"}


def test_a_picture_of_no_kind(explanation: Explanation, tiny_bert: Path, tmp_path: Path) -> None:
    def same(path: Path, kind: Any, **options: Any) -> bool:
        return path.read_bytes() == explanation.save(tmp_path / "wanted.png", kind, **options).read_bytes()

    assert same(explanation.save(tmp_path / "a.png"), "attribution")
    assert same(explanation.save(tmp_path / "b.png", layer=0), "attention", layer=0)
    assert same(explanation.save(tmp_path / "c.PNG", head=3), "attention", layer=1, head=3)
    with pytest.raises(SettingsError, match="a picture shows one thing"):
        explanation.save(tmp_path / "d.png", "all")
    bare = Encoder(tiny_bert, precision="float32").explain(("the film", "a soup"))
    assert bare.save(tmp_path / "e.svg").exists()


def test_json(explanation: Explanation, tmp_path: Path) -> None:
    stored = json.loads(explanation.save(tmp_path / "it.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(explanation.to_dict()))
    assert [TEXT[word["start"] : word["end"]] for word in stored["words"]] == [word["text"] for word in stored["words"]]
    np.testing.assert_allclose(stored["attribution"]["words"], explanation.attributions.words, atol=1e-6)
    assert stored["faithfulness"]["sentence"] == explanation.faithfulness.sentence
    assert stored["attention"]["largest_deviation"] < 1e-5
    assert "probabilities" not in stored["attention"]
    maps = explanation.to_dict("attention", layer=0)["attention"]
    np.testing.assert_allclose(maps["probabilities"], explanation.heads(0), atol=1e-6)
    np.testing.assert_allclose(
        explanation.to_dict("attention", head=2)["attention"]["probabilities"], explanation.attention(1, 2), atol=1e-6
    )
    np.testing.assert_allclose(explanation.to_dict("rollout")["attention"]["rollout"], explanation.rollout(), atol=1e-6)
    assert set(explanation.to_dict("attribution")) & {"attribution", "faithfulness", "attention"} == {"attribution"}


def test_arrays(explanation: Explanation, tiny_bert: Path, tmp_path: Path) -> None:
    with np.load(explanation.save(tmp_path / "it.npz"), allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["attention_1"], explanation.heads(1))
        np.testing.assert_array_equal(stored["attributions"], explanation.attributions.words)
        np.testing.assert_array_equal(stored["rollout"], explanation.rollout())
        assert stored["tokens"].tolist() == explanation.tokens
        assert stored["words"].tolist() == [word.text for word in explanation.words]
        assert stored["removed_words"].tolist() == explanation.faithfulness.removed.tolist()
    with np.load(explanation.save(tmp_path / "one.npz", "attention", layer=0, head=1)) as stored:
        np.testing.assert_array_equal(stored["attention_0"], explanation.attention(0, 1))
        assert not {"attributions", "attention_1", "rollout"} & set(stored)
    with np.load(Encoder(tiny_bert).explain("a film").save(tmp_path / "bare.npz")) as stored:
        assert {"attention_0", "attention_1", "rollout", "tokens"} <= set(stored)


def test_what_cannot_be_saved(explanation: Explanation, tiny_bert: Path, tmp_path: Path) -> None:
    for name in ("it.pdf", "it"):
        with pytest.raises(SettingsError, match=r"choose one of \.html, \.png, \.svg, \.json, \.npz"):
            explanation.save(tmp_path / name)
    with pytest.raises(SettingsError, match=r"no kind 'atention'.*Did you mean 'attention'\?"):
        explanation.save(tmp_path / "it.png", "atention")  # type: ignore[arg-type]
    for options in ({"layer": 2}, {"head": 4}):
        with pytest.raises(SettingsError, match="does not exist"):
            explanation.save(tmp_path / "it.html", **options)  # type: ignore[arg-type]
    bare = Encoder(tiny_bert).explain("a film")
    with pytest.raises(SettingsError, match="a bare encoder gives no answer"):
        bare.save(tmp_path / "it.html", "attribution")
    for attribute in ("attributions", "faithfulness"):
        with pytest.raises(SettingsError, match="a bare encoder gives no answer"):
            getattr(bare, attribute)
    assert not list(tmp_path.iterdir())


def test_showing_it(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    path = explanation.show()
    assert path is not None
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    again = explanation.show()
    assert again is not None
    assert opened == [again.as_uri()]


def test_showing_it_in_a_notebook(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    class ZMQInteractiveShell:
        pass

    shown: list[Any] = []
    notebook, display = ModuleType("IPython"), ModuleType("IPython.display")
    notebook.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert explanation.show() is None
    assert shown == [explanation]


def test_what_is_not_read_is_said(tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> None:
    texts, labels = reviews(16)
    settings: dict[str, Any] = {"epochs": 1, "progress": False, "precision": "float32", "max_tokens": 16, "overflow": "head_tail"}
    explanation = TextClassifier(tiny_bert, **settings).fit(texts, labels).explain(LONG)
    assert (explanation.windows, explanation.truncated_tokens > 50) == (1, True)
    source = explanation.save(tmp_path / "it.html", "attribution").read_text(encoding="utf-8")
    assert f"{explanation.truncated_tokens} tokens of the text were not read" in source
    assert source.count('<s title="not read">') >= 1
    assert explanation.to_dict("attribution")["truncated_tokens"] == explanation.truncated_tokens
