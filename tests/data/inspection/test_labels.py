"""Findings about labels."""

import pytest

from .conftest import Findings, GoodRows


def test_one_label_for_all(findings: Findings, good_rows: GoodRows) -> None:
    texts, _ = good_rows(30)
    for labels in (["a"] * 30, [3.5] * 30, [("a", "b")] * 30):
        found = findings(texts, labels)["One label for all rows"]
        assert found.level == "error"
        assert "30 in all" in found.message
    assert "One label for all rows" not in findings(texts, ["a"] * 29 + ["b"])


@pytest.mark.parametrize(
    ("rows", "labels", "level"),
    [(600, 600, "error"), (600, 599, "warning"), (499, 499, "warning"), (60, 40, "warning"), (60, 30, None), (19, 19, None)],
)
def test_a_label_for_each_row(findings: Findings, good_rows: GoodRows, rows: int, labels: int, level: str | None) -> None:
    """An error only where it is certain: a few hundred questions, each with an answer of its own, are a legitimate training."""
    texts, _ = good_rows(rows)
    found = findings(texts, [f"id{i % labels}" for i in range(rows)])
    told = [finding for title, finding in found.items() if "label of its own" in title]
    assert [finding.level for finding in told] == ([level] if level else [])


def test_whole_numbers_that_may_measure(findings: Findings, good_rows: GoodRows) -> None:
    texts, _ = good_rows(300)
    assert "from 0 to 29" in findings(texts, [i % 30 for i in range(300)])["Whole numbers as labels"].message
    assert "Whole numbers as labels" not in findings(texts, [i % 20 for i in range(300)])
    assert "Whole numbers as labels" not in findings(texts, [str(i % 30) for i in range(300)])


@pytest.mark.parametrize(("share", "level"), [(0.79, None), (0.81, "note"), (0.96, "warning")])
def test_imbalance(findings: Findings, good_rows: GoodRows, share: float, level: str | None) -> None:
    texts, _ = good_rows(200)
    found = findings(texts, ["usual" if i % 100 < share * 100 else "other" for i in range(200)]).get("One label outweighs the others")
    assert (found.level if found else None) == level


def test_rare_labels(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    labels[7], labels[9], labels[50] = "seldom", "seldom", "once"
    found = findings(texts, labels, numbers=range(1000, 1100))["Rare labels"]
    assert (found.level, found.rows, found.count) == ("warning", (1007, 1009, 1050), 3)
    assert "'seldom' 2, 'once' 1" in found.message
    assert "Rare labels" not in findings(texts, [("praise",) if i % 2 else ("blame",) for i in range(100)])
    assert findings(texts, [("a", "b") if i % 2 else ("a", "c") if i == 4 else ("a",) for i in range(100)])["Rare labels"].rows == (4,)


def test_names_that_are_nearly_the_same(findings: Findings, good_rows: GoodRows) -> None:
    texts, _ = good_rows(80)
    names = ["Card arrival", "card_arrival", "CARD-ARRIVAL", "card arrived"]
    found = findings(texts, [names[i % 4] for i in range(80)])["Labels that are nearly the same"]
    assert found.level == "warning"
    assert "'Card arrival' (20) and 'card_arrival' (20) and 'CARD-ARRIVAL' (20)" in found.message
    assert "arrived" not in found.message
    assert "Labels that are nearly the same" not in findings(texts, ["+" if i % 2 else "-" for i in range(80)])


def test_an_order_by_label(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    assert findings(texts, sorted(labels))["Rows sorted by label"].level == "note"
    assert "Rows sorted by label" not in findings(texts, labels)


def test_labels_that_one_source_has(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(100)
    other, others = good_rows(40, seed=1)
    quiet = findings(texts, labels, against=(other, others))
    assert not {title for title in quiet if title.startswith("Labels that")}
    some = [*labels[:50], *["neutral"] * 50]
    found = findings(texts, some, against=(other, [*others[:38], "mixed", None]))
    assert found["Labels that test.csv lacks"].level == "warning"
    assert "'neutral' 50" in found["Labels that test.csv lacks"].message
    assert found["Labels that only test.csv has"].rows == (38,)
    assert findings(texts, ["neutral", *labels[1:]], against=(other, others))["Labels that test.csv lacks"].level == "note"
    assert not {title for title in findings(texts, labels, against=(other, None)) if title.startswith("Labels that")}


def test_numbers_and_no_labels_are_quiet(findings: Findings, good_rows: GoodRows) -> None:
    texts, _ = good_rows(100)
    assert findings(texts, [i / 7 for i in range(100)]) == {}
    assert findings(texts) == {}
