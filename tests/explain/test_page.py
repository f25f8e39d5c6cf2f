"""The page needs nothing but itself, runs no text of others, and shows the numbers that were computed."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bertworks import Encoder, TextClassifier
from bertworks.errors import SettingsError
from bertworks.explain import page as page_module
from bertworks.explain.page import framed, page
from bertworks.explain.quantised import quantised, restored

from .conftest import LONG

ATTACK = "</script><script>alert(1)</script> & \"'><img src=x onerror=alert(1)> {{ 7 * 7 }} {% raw %} <!-- good film ${x}"


class Read(HTMLParser):
    """The elements of a page with their attributes, the text of its scripts, and all other text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        self.scripts += [""] * (tag == "script")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.text += data

    @property
    def material(self) -> Any:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def short(classifier: TextClassifier) -> str:
    return page(classifier.explain("the xyz film was good and the soup was cold"), "all", None, None)


def test_it_needs_nothing_else(short: str) -> None:
    read = Read(short)
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]", short, re.IGNORECASE)
    assert not [tag for tag, _ in read.elements if tag in ("link", "img", "iframe", "object", "embed", "base", "form", "audio", "video")]
    assert not [names for _, names in read.elements if {"src", "href", "srcset", "action", "data"} & set(names)]
    assert not re.search(r"url\(|@import|\bimport\b|fetch\(|XMLHttpRequest|eval\(|innerHTML", short)
    policies = [names for tag, names in read.elements if tag == "meta" and names.get("http-equiv") == "Content-Security-Policy"]
    assert [p["content"].split(";")[0] for p in policies if p["content"]] == ["default-src 'none'"]


def test_no_text_becomes_a_part_of_the_page(classifiers: Callable[..., TextClassifier], short: str) -> None:
    usual = Read(short)
    for explanation in (classifiers().explain(ATTACK), classifiers("pairs").explain((ATTACK, ATTACK))):
        source = page(explanation, "all", None, None)
        read = Read(source)
        assert {tag for tag, _ in read.elements} <= {tag for tag, _ in usual.elements}
        assert len(read.scripts) == len(usual.scripts) == 2
        assert read.scripts[1] == usual.scripts[1]
        assert not [names for _, names in read.elements if any(name.startswith("on") for name in names)]
        assert read.material["tokens"] == explanation.tokens
        assert ATTACK in read.text
        assert "<" not in read.scripts[0]


def test_no_label_becomes_a_part_of_the_page(tiny_bert: Path, reviews: Callable[..., Any]) -> None:
    texts, labels = reviews(16)
    evil = TextClassifier(tiny_bert, epochs=1, progress=False, precision="float32").fit(texts, [f"<b onclick=x>{y}" for y in labels])
    read = Read(page(evil.explain("a good film"), "attribution", None, None))
    assert "<b onclick=x>good" in read.text
    assert not [names for _, names in read.elements if "onclick" in names]


def test_the_numbers_are_those_that_were_computed(classifier: TextClassifier) -> None:
    explanation = classifier.explain("the xyz film was good and the soup was cold")
    source = page(explanation, "all", None, None)
    read = Read(source)
    words = [(names["title"], names.get("style")) for tag, names in read.elements if tag == "span" and "title" in names]
    assert [title for title, _ in words] == [f"{value:+.4f}" for value in explanation.attributions.words]
    assert explanation.faithfulness.sentence in read.text
    assert explanation.attributions.check in read.text
    probability = explanation.answer.probabilities["good"]  # type: ignore[union-attr]
    assert f"{probability:.4f}" in read.text
    maps = read.material["maps"]
    assert set(maps) == {"rollout", *(f"{layer}.{head}" for layer in (0, 1) for head in ("mean", 0, 1, 2, 3))}
    for name, stored in maps.items():
        layer, _, head = name.partition(".")
        wanted = explanation.rollout() if name == "rollout" else explanation.attention(int(layer), None if head == "mean" else int(head))
        assert np.abs(restored(stored) - wanted.ravel()).max() < 0.004 * wanted.max()


@given(arrays(np.float64, (3, 3), elements=st.floats(0, 1)))
def test_bytes_keep_the_values(values: Any) -> None:
    found = restored(quantised(values))
    assert found.max() == values.max()
    assert np.abs(found - values.ravel()).max() <= 0.004 * values.max()
    roots = np.sqrt(values.ravel() / (values.max() or 1))
    assert np.abs(np.sqrt(found / (values.max() or 1)) - roots).max() <= 0.5001 / 255


def test_kinds_have_their_parts(classifier: TextClassifier, tiny_bert: Path) -> None:
    explanation = classifier.explain("the film was good and the soup was cold")
    parts = {kind: re.findall(r"<h2>(.*?)</h2>", page(explanation, kind, None, None)) for kind in ("attribution", "faithfulness", "cls")}
    words = f"What speaks for {explanation.target}"
    assert parts == {"attribution": [words], "faithfulness": [words, "Is this faithful?"], "cls": ["Attention"]}
    assert set(Read(page(explanation, "rollout", None, None)).material["maps"]) == {"rollout"}
    assert set(Read(page(explanation, "attention", 1, 2)).material["maps"]) == {"1.2"}
    assert set(Read(page(explanation, "attention", 1, None)).material["maps"]) == {"1.mean", "1.0", "1.1", "1.2", "1.3"}
    bare = page(Encoder(tiny_bert, precision="float32").explain("the film"), "all", None, None)
    assert re.findall(r"<h2>(.*?)</h2>", bare) == ["Attention"]
    pair = page(Encoder(tiny_bert, precision="float32").explain(("the film", "a soup")), "attention", None, None)
    assert Read(pair).material["parts"] == [-1, 0, 0, -1, 1, 1, -1]


def test_a_page_has_a_limit_and_says_so(classifier: TextClassifier) -> None:
    explanation = classifier.explain(LONG)
    size = len(explanation.tokens) ** 2
    for room, layers in ((11, [0, 1]), (10, [0, 1]), (9, [1]), (5, [1]), (4, [1]), (1, [1])):
        source = page(explanation, "attention", None, None, room * size)
        material = Read(source).material
        assert material["layers"] == layers
        assert len(material["maps"]) <= room
        assert set(material["maps"]) >= ({"1.mean", "1.3"} if room > 4 else {"1.mean"})
        assert ("Layers 0 would make the page too large" in source) == (layers == [1])
    assert len(Read(page(explanation, "all", None, None, 6 * size)).material["maps"]) == 6
    with pytest.raises(SettingsError, match="does not fit into a page"):
        page(explanation, "attention", None, None, size - 1)


def test_a_long_text_of_many_windows(classifier: TextClassifier) -> None:
    read = Read(page(classifier.explain(LONG, window=1), "all", None, None))
    assert "Window 1 of the 2 in which the text is read" in read.text
    assert LONG in read.text


def test_a_notebook_gets_the_page_in_a_frame(classifier: TextClassifier) -> None:
    explanation = classifier.explain(ATTACK)
    shown = explanation._repr_html_()
    assert shown == framed(explanation)
    ((tag, names),) = Read(shown).elements
    assert (tag, names["sandbox"]) == ("iframe", "allow-scripts")
    assert names["srcdoc"] == page(explanation, "all", None, None, page_module._MOST_BYTES_IN_NOTEBOOKS)
    assert html.escape(ATTACK) not in shown, "the text is escaped twice: in the page, and the page in the attribute"


def test_the_script_shows_what_is_pointed_at(classifier: TextClassifier) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node to run the page's script")
    explanation = classifier.explain("the xyz film was good and the soup was cold")
    script = Path(__file__).with_name("page_in_node.js")
    source = page(explanation, "all", None, None)
    done = subprocess.run([node, str(script), "3", "5", "0"], input=source, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    maps = Read(source).material["maps"]
    count = len(explanation.tokens)

    def told(name: str, row: int, column: int) -> str:
        return f"{restored(maps[name]).reshape(count, count)[row, column]:.4f}"

    pair = f"“{explanation.tokens[3]}” (3) reads “{explanation.tokens[5]}” (5): "
    assert (seen["count"], seen["first"], seen["asked"]) == (count, "1.mean", "What “[CLS]” (0) reads")
    assert seen["readout"] == pair + told("1.mean", 3, 5)
    assert seen["otherReadout"] == pair + told("0.mean", 3, 5)
    assert seen["askedAfterClick"] == f"What “{explanation.tokens[3]}” (3) reads"
    assert seen["strip"] == [told("1.mean", 3, column) for column in range(count)]
    assert (seen["layers"], seen["heads"]) == (["rollout", 0, 1], ["mean of all", "0", "1", "2", "3"])
    assert seen["readoutAfterLeaving"] == ""
    assert seen["darkest"] == 0, "the largest value has the last colour"
