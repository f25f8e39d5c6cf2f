from pathlib import Path

import pyarrow as pa
import pytest

from bertworks.data.examples import TextExample
from bertworks.data.text_data import read_texts
from bertworks.data.writing import write_table
from bertworks.errors import DataError

SORTED = {"text": [f"text {i}" for i in range(20)], "label": ["neg"] * 12 + ["pos"] * 8}


def test_rows_are_examples() -> None:
    data = read_texts([{"premise": "a", "hypothesis": "b", "label": 1, "id": 7}, {"premise": "c", "hypothesis": "d", "label": 0, "id": 8}])
    assert list(data) == [TextExample("a", "b", 1, 0), TextExample("c", "d", 0, 1)]
    assert data[-1:] == [data[1]]
    assert (data.text_column, data.pair_column, data.label_column, data.unused_columns) == ("premise", "hypothesis", "label", ["id"])
    assert (data.label_kind, len(data), data.accounting.rows) == ("single", 2, 2)


def test_empty_texts_are_left_out_and_counted() -> None:
    rows = {"sentence1": ["a", " \u3000", "b", None, ""], "sentence2": ["c", "d", "", "e", ""], "label": [0, 1, 1, 0, 1]}
    data = read_texts(rows)
    assert (data.texts, data.pairs, data.labels, data.table.rows.tolist()) == (["a"], ["c"], [0], [0])
    assert dict(data.accounting.dropped) == {"empty text": 3, "empty second text": 1}
    assert data.accounting.rows == len(data) + data.accounting.dropped.total()


def test_all_rows_stay_where_labels_are_not_required() -> None:
    data = read_texts({"text": ["a", None, ""], "label": ["x", None, "y"]}, require_labels=False)
    assert (data.texts, data.labels, data.label_kind) == (["a", "", ""], None, None)
    assert (len(data.table), dict(data.accounting.notes), dict(data.accounting.dropped)) == (3, {"empty text": 2}, {})
    assert read_texts({"text": ["a", ""], "label": ["x", "y"]}, require_labels=False).labels == ["x", "y"]
    assert read_texts({"text": ["a"], "text_pair": [""]}, require_labels=False)[0].pair == ""
    assert read_texts({"text": ["a", ""], "label": ["x", "y"]}, label=False).texts == ["a"]
    assert read_texts({"text": ["a"]}, require_labels=False)[0] == TextExample("a", None, None, 0)
    assert read_texts({"text": ["a"], "label": [{"odd": 1}]}, require_labels=False).labels is None


def test_missing_labels_are_an_error_or_counted() -> None:
    rows = {"text": ["a", "b", "c", ""], "label": ["x", None, "y", None]}
    with pytest.raises(DataError, match=r"1 of 4 rows have no label in the column 'label' \(rows 1; .*on_bad_rows=\"drop\""):
        read_texts(rows)
    data = read_texts(rows, on_bad_rows="drop")
    assert (data.texts, data.labels, dict(data.accounting.dropped)) == (["a", "c"], ["x", "y"], {"empty text": 1, "missing label": 1})


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\n")
    with pytest.raises(DataError, match=r"has columns \(text, label\) but no rows"):
        read_texts(tmp_path / "x.csv")
    with pytest.raises(DataError, match="no usable row: 1 × empty text"):
        read_texts({"text": [""], "label": ["x"]})


def test_bad_rows_of_the_file_are_in_the_accounting(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,x\nb,y,z\n,x\nc,y\n")
    data = read_texts(tmp_path / "x.csv", on_bad_rows="drop")
    assert [(example.text, example.row) for example in data] == [("a", 0), ("c", 3)]
    assert (data.accounting.rows, data.accounting.dropped.total()) == (4, 2)


@pytest.mark.parametrize("part", [{"split": "[:5]"}, {"limit": 5}, {"split": "[:50%]", "limit": 9}])
def test_a_slice_of_a_sorted_source_with_one_class(part: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"have the label 'neg', but the source has 2 classes \(neg 12, pos 8\).*shuffle_seed=0"):
        read_texts(SORTED, **part)  # type: ignore[arg-type]
    data = read_texts(SORTED, shuffle_seed=0, **part)  # type: ignore[arg-type]
    assert set(data.labels or ()) == {"neg", "pos"}
    assert data.texts == [f"text {row}" for row in data.table.rows]
    assert len(read_texts(SORTED, require_labels=False, **part)) > 1  # type: ignore[arg-type]


def test_a_slice_of_a_source_with_one_class_only() -> None:
    assert read_texts({"text": list("abc"), "label": ["x"] * 3}, split="[:2]").labels == ["x", "x"]
    assert read_texts({"text": list("abc"), "label": [0.1, 0.1, 0.2]}, split="[:2]").labels == [0.1, 0.1]


def test_several_labels_a_row(tmp_path: Path) -> None:
    lists = read_texts(write_table(pa.table({"text": ["a", "b"], "labels": [["x", "y"], []]}), tmp_path / "x.jsonl"))
    assert (lists.label_kind, lists.labels) == ("multi", [("x", "y"), ()])
    cells = read_texts(write_table(pa.table({"text": ["a", "b"], "labels": ["x|y", ""]}), tmp_path / "x.csv"), kind="multi")
    assert cells.labels == lists.labels


def test_a_column_that_is_no_text() -> None:
    with pytest.raises(DataError, match="column 'n' is of the type int64, not text"):
        read_texts({"n": [1, 2], "label": ["a", "b"]}, text="n")


def test_repeated_columns_matter_only_where_used() -> None:
    table = pa.table([["a"], ["x"], [1], [2]], names=["text", "label", "n", "n"])
    assert read_texts(table).labels == ["x"]
    with pytest.raises(DataError, match="has 2 columns named 'n'"):
        read_texts(table, label="n")
