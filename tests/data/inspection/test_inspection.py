"""An inspection as a whole: quiet on good rows, plain values, errors that stop."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.accounting import Accounting
from bertworks.data.inspection import Finding, Inspection, TextRows, inspect_rows
from bertworks.data.text_data import TextData, read_texts
from bertworks.errors import DataError

from .conftest import GoodRows


def test_good_rows_are_quiet(good_rows: GoodRows) -> None:
    found = inspect_rows(TextRows.of(*good_rows()), TextRows.of(*good_rows(50, seed=1)))
    assert found.findings == ()
    found.raise_if_wrong()


def test_plain_values(good_rows: GoodRows) -> None:
    texts, labels = good_rows(40)
    texts[3] = texts[4] = "The same <b>text</b> in two rows."
    columns = {"text": "review", "pair": None, "label": "stars", "unused": ["id"]}
    rows = TextRows.of(texts, [int(label == "praise") for label in labels], numbers=range(7, 47))
    found = inspect_rows(rows, columns=columns, accounting=Accounting(rows=41)).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["rows", "columns", "findings", "labels", "lengths", "accounting"]
    assert (found["rows"], found["columns"], found["accounting"]["rows"]) == (40, columns, 41)
    assert found["labels"] == {str(int(name == "praise")): labels.count(name) for name in sorted(set(labels), key=labels.count)[::-1]}
    assert set(found["lengths"]) == {"edges", "counts", "mean", "median", "p95", "longest", "limit", "over_limit", "unit"}
    by_title = {finding["title"]: finding for finding in found["findings"]}
    assert {"level", "title", "message", "rows", "count"} <= set(by_title["Duplicates"])
    assert (by_title["HTML in the texts"]["rows"], by_title["Duplicates"]["rows"]) == ([10, 11], [11])


def test_without_labels_and_with_numbers(good_rows: GoodRows) -> None:
    texts, _ = good_rows(40)
    assert inspect_rows(TextRows.of(texts)).to_dict()["labels"] is None
    assert inspect_rows(TextRows.of(texts, [i / 3 for i in range(40)])).to_dict()["labels"] is None
    several = [["a", "b"] if i % 2 else ["a"] for i in range(40)]
    assert inspect_rows(TextRows.of(texts, several)).to_dict()["labels"] == {"a": 40, "b": 20}


def test_errors_stop_and_the_rest_does_not(good_rows: GoodRows) -> None:
    texts, labels = good_rows(30)
    warned = inspect_rows(TextRows.of([*texts, *texts[:20]], [*labels, *labels[:20]]))
    assert warned.of_level("warning")
    warned.raise_if_wrong()
    wrong = inspect_rows(TextRows.of(["a text"] * 30, ["a"] * 30))
    assert [finding.level for finding in wrong.findings][:2] == ["error", "error"]
    with pytest.raises(DataError, match=r"^One label for all rows: Every row .*label=.* \(1 more: One text for all rows\)$"):
        wrong.raise_if_wrong()
    Inspection(1, (Finding("warning", "a", "b"),)).raise_if_wrong()


def test_errors_come_first(good_rows: GoodRows) -> None:
    texts, _ = good_rows(30)
    levels = [finding.level for finding in inspect_rows(TextRows.of(["<b>fine and warm</b>", "nan", *texts[2:]], ["a"] * 30)).findings]
    assert levels == ["error", "warning", "note", "note"]


def test_rows_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        TextRows.of(["a", "b"], ["x"])
    with pytest.raises(DataError, match="no rows"):
        TextRows.of([], [])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text(max_size=20), st.sampled_from(["a", "b", 1, None, 2.5, ("a", "b"), ()])), min_size=1, max_size=8),
    st.booleans(),
)
def test_nothing_breaks_it(rows: list[tuple[str, object]], pairs: bool) -> None:
    """Any texts and labels, mixed kinds and missing labels too: findings, no exception."""
    texts = [(text, text[::-1]) for text, _ in rows] if pairs else [text for text, _ in rows]
    labels = [label for _, label in rows]
    some = TextRows.of(texts, labels)  # type: ignore[arg-type]
    found = inspect_rows(some, TextRows.of(texts[:1], labels[:1], kind=some.kind or "auto"))  # type: ignore[arg-type]
    json.dumps(found.to_dict())


REAL = {
    "classification/sst2": ("train.tsv", "dev.tsv", {}),
    "classification/ag_news": ("train_10k.csv", "test.csv", {"text": "description"}),
    "classification/trec": ("train.tsv", None, {"label": "fine_label"}),
    "classification/cola": ("train.tsv", "dev.tsv", {}),
    "classification/banking77": ("train.csv", None, {}),
    "classification/clinc150": ("train.jsonl", "dev.jsonl", {}),
    "pairs/stsb": ("train.csv", "dev.csv", {}),
    "pairs/mrpc": ("train.tsv", "dev.tsv", {}),
    "pairs/rte": ("train.tsv", "dev.tsv", {}),
    "pairs/sick": ("train.tsv", "dev.tsv", {"label": "entailment"}),
}
"""Training set, test set and columns of data sets that many have trained on."""
KNOWN_WARNINGS = {
    "classification/sst2": {"Near duplicates"},  # phrases and the sentences they are taken from
    "classification/trec": {"Rare labels"},
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if "sst2" in name else ()) for name in REAL])
def test_well_known_data_sets_raise_no_alarm(real_data: Path, name: str) -> None:
    train, test, columns = REAL[name]

    def rows(file: str) -> TextRows:
        data: TextData = read_texts(real_data / name / file, **columns)
        texts = data.texts if data.pairs is None else list(zip(data.texts, data.pairs, strict=True))
        return TextRows.of(texts, data.labels, kind=data.label_kind or "auto", numbers=data.table.rows)

    found = inspect_rows(rows(train), None if test is None else rows(test))
    assert not found.of_level("error")
    assert {finding.title for finding in found.of_level("warning")} == KNOWN_WARNINGS.get(name, set())
