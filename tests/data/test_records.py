import math

import pytest

from bertworks.data.records import columns_to_table, read_json, read_json_lines, rows_to_table
from bertworks.errors import DataError


@pytest.mark.parametrize("endings", ["\r\n\n", "\n\n", "\r", "\r\r\n"])
def test_lines_may_lack_keys_and_be_blank(endings: str) -> None:
    loaded = read_json_lines(f'{{"text": "a"}}{endings}{{"label": 1, "text": "b\\nc\u2028d"}}', "x.jsonl")
    assert loaded.table.to_pylist() == [{"text": "a", "label": None}, {"text": "b\nc\u2028d", "label": 1}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', r"line 2: not valid JSON \(Expecting"),
        ('["a"]', "line 2: a row is an object .* but this is a list"),
        ("3", "line 2: .* this is a number"),
        ("null", "line 2: .* this is null"),
        (r'{"text": "\ud800"}', "line 2: .*escape stands alone"),
        ("[" * 100_000, "line 2: nested too deeply"),
        ('{"text": ' + "9" * 5000 + "}", "line 2: not valid JSON"),
    ],
)
def test_broken_lines_are_named_or_left_out(line: str, message: str) -> None:
    text = f'{{"text": "a"}}\n{line}\n{{"text": "c"}}\n'
    with pytest.raises(DataError, match=message):
        read_json_lines(text, "x.jsonl")
    loaded = read_json_lines(text, "x.jsonl", "drop")
    assert loaded.table["text"].to_pylist() == ["a", "c"]
    assert loaded.row_numbers().tolist() == [0, 2]
    assert loaded.dropped.total() == 1


def test_documents() -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2}]
    for text in (
        '[{"text": "a", "label": 1}, {"text": "b", "label": 2}]',
        '{"text": ["a", "b"], "label": [1, 2]}',
        '{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n',
    ):
        assert read_json(text, "x.json").table.to_pylist() == rows
    assert read_json('{"text": "a"}', "x.json").table.to_pylist() == [{"text": "a"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("[1,", "not valid JSON"),
        ("3", "array of objects"),
        ('{\n"version": "1.1"}', "array of objects"),
        ('[{"text": "a"}, 4]', "entry 2 of the array is a number"),
        ('{"text": ["a"], "label": [1, 2]}', r"differ in length \(text 1, label 2\): give as many"),
    ],
)
def test_documents_that_are_no_tables(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_json(text, "x.json")


def test_entries_that_are_no_rows_are_left_out() -> None:
    loaded = read_json('[{"text": "a"}, 4, {"text": "b"}]', "x.json", "drop")
    assert (loaded.row_numbers().tolist(), dict(loaded.dropped)) == ([0, 2], {"not a JSON object": 1})


def test_columns_of_mixed_types_become_text() -> None:
    table = rows_to_table([{"x": 1}, {"x": "one"}, {"x": [1, "é"]}, {"x": None}, {"x": True}, {"x": math.nan}], "x")
    assert table["x"].to_pylist() == ["1", "one", '[1, "é"]', None, "true", None]
    assert columns_to_table({"n": [2**70, 1]}, "x")["n"].to_pylist() == [str(2**70), "1"]
    with pytest.raises(DataError, match="no character"):
        columns_to_table({"text": ["\ud800"]}, "x")
