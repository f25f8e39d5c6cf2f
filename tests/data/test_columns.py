from typing import Any

import pytest

from bertworks.data.columns import choose_columns
from bertworks.data.table import read_table
from bertworks.errors import DataError


def choose(*names: str, rows: int = 2, values: dict[str, list[Any]] | None = None, **arguments: Any) -> tuple[str, str | None, str | None]:
    columns: dict[str, list[Any]] = {name: [f"{name} {i}" for i in range(rows)] for name in names}
    table = read_table({**columns, **(values or {})})
    chosen = choose_columns(table, **{"text": None, "pair": None, "label": None, "require_labels": True, **arguments})
    return chosen.text, chosen.pair, chosen.label


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "label"], ("text", None, "label")),
        (["idx", "Sentence", "Label"], ("Sentence", None, "Label")),
        (["title", "description", "label"], ("description", None, "label")),
        (["title", "class"], ("title", None, "class")),
        (["question", "fine_label"], ("question", None, "fine_label")),
        (["sentence_A", "sentence_B", "relatedness_score"], ("sentence_A", "sentence_B", "relatedness_score")),
        (["question", "sentence", "label"], ("question", "sentence", "label")),
        (["text", "text_pair", "labels"], ("text", "text_pair", "labels")),
        (["premise", "hypothesis", "label", "guid"], ("premise", "hypothesis", "label")),
        (["utterances", "label"], ("utterances", None, "label")),
    ],
)
def test_well_known_names(names: list[str], expected: tuple[str, str | None, str | None]) -> None:
    assert choose(*names) == expected


def test_two_columns_that_differ_clearly() -> None:
    values = {"a": [f"number {i} of many long and different sentences" for i in range(8)], "b": ["x", "y"] * 4}
    assert choose(values=values) == ("a", None, "b")
    assert choose(values=values, label=False) == ("a", None, None)
    assert choose(values={"b": values["b"], "text": values["a"]}) == ("text", None, "b")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["review", "comment", "label"],
            'the text could be review or comment; the columns are review, comment, label. Pass text="…" (--text …)',
        ),
        (["question", "label", "fine_label"], 'the label could be label or fine_label; .* for example label="label"'),
        (["sentence1", "sentence2", "text", "label"], 'the text could be sentence1 or sentence2 or text.*for pairs, pair="…" (--pair …)'),
        (["foo", "bar"], "the text cannot be told by name; the columns are foo, bar"),
        (["text", "foo", "bar"], 'the label cannot be told by name; .* Pass label="…" (--label …)'),
        (["1", "a b"], "If the file has no header"),
    ],
)
def test_doubt_is_told(names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(").replace(")", r"\)")):
        choose(*names)


def test_given_columns_go_before_guesses() -> None:
    names = ["premise", "hypothesis", "label", "other_label"]
    assert choose(*names, label="other_label") == ("premise", "hypothesis", "other_label")
    assert choose(*names, text="premise", label="label") == ("premise", None, "label")
    assert choose(*names, pair="hypothesis", label="label") == ("premise", "hypothesis", "label")
    assert choose("a", "b", "label", text="b", pair="a") == ("b", "a", "label")


def test_given_columns_that_are_not_there() -> None:
    with pytest.raises(DataError, match=r"no column 'txt' \(text=\"txt\"\); it has text, label. Did you mean 'text'\?"):
        choose("text", "label", text="txt")
    with pytest.raises(DataError, match="different columns, not text, text"):
        choose("text", "label", text="text", label="text")


def test_labels_that_are_not_required() -> None:
    assert choose("text", "label", "fine_label", require_labels=False) == ("text", None, None)
    assert choose("foo", require_labels=False) == ("foo", None, None)
    assert choose("text", "label", require_labels=False) == ("text", None, "label")
    assert choose("text", "label", require_labels=False, label=False) == ("text", None, None)


def test_numbers_are_no_text() -> None:
    assert choose("text", values={"review": [1, 2], "label": [0, 1]}) == ("text", None, "label")
