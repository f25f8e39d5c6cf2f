"""Findings about texts: what is no text, what gives the label away."""

import pytest

from .conftest import Findings, GoodRows


def test_one_text_for_all(findings: Findings, good_rows: GoodRows) -> None:
    _, labels = good_rows(30)
    found = findings(["the same"] * 30, labels)
    assert found["One text for all rows"].level == "error"
    assert "One text for all rows" not in findings([*["the same"] * 29, "another"], labels)
    pairs = [("the same", f"answer {i}") for i in range(30)]
    assert "One text for all rows" not in findings(pairs, labels)
    assert findings([("the same", "again")] * 30, labels)["One text for all rows"].count == 30


@pytest.mark.parametrize("make", [str, "A-{:04}".format, "2024-01-{:02}".format, "{:.3f}".format])
def test_ids_for_texts(findings: Findings, good_rows: GoodRows, make: object) -> None:
    assert callable(make)
    texts, labels = good_rows(40)
    assert findings([make(i) for i in range(40)], labels)["Ids or numbers instead of texts"].level == "warning"
    assert "Ids or numbers instead of texts" not in findings([f"{make(i)} {text}" for i, text in enumerate(texts)], labels)
    pairs = list(zip(texts, (make(i) for i in range(40)), strict=True))
    assert "pair=" in findings(pairs, labels)["Ids or numbers instead of texts"].message


def test_rows_that_say_nothing(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(200)
    for place, text in ((3, "NaN"), (4, " null "), (5, "[deleted]"), (8, "..."), (9, "?!"), (10, "- _ -"), (11, "nano"), (12, "日本")):
        texts[place] = text
    found = findings(texts, labels)
    assert found["Placeholders for texts"].rows == (3, 4, 5)
    assert found["Texts without letters"].rows == (8, 9, 10)
    assert found["Texts without letters"].level == "warning"
    texts[9], texts[10] = "fine", "fair"
    assert findings(texts, labels)["Texts without letters"].level == "note"


def test_texts_of_one_word(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    texts[1] = "Lovely!"
    assert "Very short texts" not in findings(texts, labels)
    texts[2], texts[3] = "dull", "昨日の映画はとても長かった"
    found = findings(texts, labels)["Very short texts"]
    assert (found.level, found.rows) == ("note", (1, 2))


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        ("fine.<br /><br />And warm", True),
        ("a <b>very</b> dull film", True),
        ("salt &amp; pepper", True),
        ("it #39;s cold", True),
        ("a &#233; b", True),
        ("<a href='x.html'>see</a>", True),
        ("1 < 2 and 3 > 2; and so on", False),
        ("I <3 this; truly", False),
        ("AT&T; or so", False),
        ("Q&A; the issue #39 was closed", False),
        ("<unk> and <user> said", False),
        ("R&D and salt & pepper", False),
    ],
)
def test_html(findings: Findings, good_rows: GoodRows, text: str, is_html: bool) -> None:
    texts, labels = good_rows(50)
    texts[17] = text
    found = findings(texts, labels).get("HTML in the texts")
    assert (found.rows if found else ()) == ((17,) if is_html else ())
    assert found is None or found.level == "note"


def test_pairs_of_the_same_text(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(50)
    assert findings(list(zip(texts, texts, strict=True)), labels)["Pairs of the same text"].level == "warning"
    assert "Pairs of the same text" not in findings(list(zip(texts, texts[20:] + texts[:20], strict=True)), labels)


def test_the_text_is_the_label(findings: Findings, good_rows: GoodRows) -> None:
    _, labels = good_rows(60)
    found = findings([f" {label.upper()}" for label in labels], labels)
    assert found["The text is the label"].level == "error"
    assert findings(["something else", *labels[1:]], labels)["The text is the label"].level == "warning"
    assert "The text is the label" not in findings(*good_rows(60))


def test_the_text_holds_the_label(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(60)
    held = [f"{text} It was {label}, no doubt." for text, label in zip(texts, labels, strict=True)]
    assert findings(held, labels)["The text holds the label"].count == 60
    both = [f"{text} It was praise or blame, I doubt." for text in texts]
    assert "The text holds the label" not in findings(both, labels)
    part = [f"{text} It was {label}worthy, no doubt." for text, label in zip(texts, labels, strict=True)]
    assert "The text holds the label" not in findings(part, labels)


@pytest.mark.parametrize(("form", "title"), [("{0}: {1}", "The first word tells the label"), ("{1} {0}", "The last word tells the label")])
def test_a_word_tells_the_label(findings: Findings, good_rows: GoodRows, form: str, title: str) -> None:
    texts, labels = good_rows(100)
    marks = {"praise": ["+1", "+2"], "blame": ["-1"]}
    told = [form.format(marks[label][i % len(marks[label])], text) for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
    assert findings(told, labels)[title].level == "warning"
    mixed = [form.format("+1" if i % 2 else "-1", text) for i, text in enumerate(texts)]
    assert title not in findings(mixed, labels)
