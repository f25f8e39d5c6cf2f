"""Data files that are odd rather than wrong: what can be read is read rightly, and what cannot is named."""

import codecs
import decimal
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bertworks.data.text_data import read_texts
from bertworks.errors import DataError

ROWS = [("a fine film", "good"), ("naïve, 日本 😁", "bad"), ('he said "no"', "good")]
CSV = "text,label\n" + "".join('"' + text.replace('"', '""') + f'",{label}\n' for text, label in ROWS)


def pairs_of(path: Path, **options: object) -> list[tuple[str, object]]:
    return [(row.text, row.label) for row in read_texts(path, **options)]  # type: ignore[arg-type]


def refused(path: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read_texts(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE])
def test_byte_order_marks(tmp_path: Path, mark: bytes) -> None:
    encodings = {3: "utf-8", 2: "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be", 4: "utf-32-le"}
    encoding = "utf-32-be" if mark == codecs.BOM_UTF32_BE else encodings[len(mark)]
    (tmp_path / "a.csv").write_bytes(mark + CSV.encode(encoding))
    assert pairs_of(tmp_path / "a.csv") == ROWS


@pytest.mark.parametrize("newline", ["\r\n", "\r", "mixed"])
def test_newlines(tmp_path: Path, newline: str) -> None:
    lines = CSV.splitlines()
    text = lines[0] + "\r\n" + lines[1] + "\n" + lines[2] + "\r" + lines[3] if newline == "mixed" else newline.join(lines) + newline
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert pairs_of(tmp_path / "a.csv") == ROWS


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
def test_the_delimiter_is_that_of_the_header_whatever_the_rows_hold(tmp_path: Path, newline: str) -> None:
    (tmp_path / "a.csv").write_text(newline.join(["text;label", "one, two, three;x", "four, five;y"]), newline="")
    assert pairs_of(tmp_path / "a.csv") == [("one, two, three", "x"), ("four, five", "y")]


@pytest.mark.slow
def test_a_field_longer_than_a_block(tmp_path: Path) -> None:
    long = "word " * 16_000_000
    (tmp_path / "a.csv").write_text(f'text,label\n"{long}",x\nshort,y\n')
    data = read_texts(tmp_path / "a.csv")
    assert (len(data.texts[0]), data.texts[1], data.labels) == (len(long), "short", ["x", "y"])


def test_thousands_of_columns(tmp_path: Path) -> None:
    names = [f"column {i}" for i in range(6000)]
    (tmp_path / "a.csv").write_text(",".join([*names, "text", "label"]) + "\n" + ",".join(["v"] * 6000 + ["a text", "x"]) + "\n")
    data = read_texts(tmp_path / "a.csv")
    assert (data.texts, data.labels, len(data.unused_columns)) == (["a text"], ["x"], 6000)
    told = refused(tmp_path / "a.csv", text="tetx")
    assert "and 5982 more" in told
    assert "Did you mean 'text'?" in told
    (tmp_path / "b.csv").write_text(",".join([*names, *names]) + "\n")
    assert "'column 0' appears more than once (columns 1 and 6001)" in refused(tmp_path / "b.csv")


def test_names_of_columns_cannot_steer_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\x1b[2Ja,\x07b,c\u202e\n1,2,3\n")
    assert refused(tmp_path / "a.csv").isprintable()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permissions(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "a.csv").chmod(0)
    assert "Permission denied: change its permissions" in refused(tmp_path / "a.csv")


def test_a_folder_under_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").mkdir()
    assert "a.csv.gz' holds neither files" in refused(tmp_path / "a.csv.gz")
    (tmp_path / "train.csv").mkdir()
    assert "holds neither files" in refused(tmp_path)


def test_pipes_are_named_in_every_format(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".json", ".parquet", ".parquet.gz", ".txt.zst"):
        path = tmp_path / f"pipe{suffix}"
        os.mkfifo(path)
        assert "is a pipe, not a file" in refused(path)


def test_json_lines_of_many_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": NaN}\n{"text": "b", "label": 1.5}\n{"text": 7, "label": 2}\n{"text": ["x"], "label": 0.5}\n')
    data = read_texts(path, on_bad_rows="drop")
    assert data.texts == ["b", "7", '["x"]']
    assert data.labels == [1.5, 2.0, 0.5]
    assert dict(data.accounting.dropped) == {"missing label": 1}


def test_names_twice_in_json(tmp_path: Path) -> None:
    lines = ['{"text": "a: b, \\"c\\": d", "label": "x"}', '{"text": "e", "more": {"text": 1}, "label": "y"}', '{"text" :"f", "text": "g"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert "a.jsonl, line 3: an object has the name 'text' twice" in refused(tmp_path / "a.jsonl")
    data = read_texts(tmp_path / "a.jsonl", on_bad_rows="drop")
    assert (data.texts, dict(data.accounting.dropped)) == (['a: b, "c": d', "e"], {"a name twice in one object": 1})
    (tmp_path / "a.json").write_text(f"[{', '.join(lines)}]")
    assert "an object has the name 'text' twice" in refused(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(f"[{', '.join(lines[:2])}]")
    assert read_texts(tmp_path / "b.json").texts == data.texts


def test_deep_nesting_stays_an_error_of_ours(tmp_path: Path) -> None:
    for depth in (100, 900, 990, 100_000):
        text = '{"text": ' + "[" * depth + "]" * depth + "}\n" + '{"text": "a"}\n'
        (tmp_path / "a.jsonl").write_text(text)
        try:
            assert len(read_texts(tmp_path / "a.jsonl", text="text", label=False, require_labels=False)) == 2
        except DataError as error:
            assert "nested too deeply" in str(error) or "maximum recursion depth" in str(error)  # noqa: PT017


def test_parquet_of_unusual_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = {
        "text": pa.array(["a", "b", "a"]).dictionary_encode(),
        "label": [decimal.Decimal("0.5"), None, decimal.Decimal("2.25")],
        "nested": [{"x": [1], "y": {"z": "w"}}] * 3,
        "nothing": pa.nulls(3),
        "raw": [b"\xff"] * 3,
    }
    parquet.write_table(pa.table(table), path)
    data = read_texts(path, on_bad_rows="drop")
    assert list(zip(data.texts, data.labels or [], strict=True)) == [("a", 0.5), ("a", 2.25)]
    assert "the column 'raw' is of the type binary, not text" in refused(path, text="raw", label="label")
    assert "no usable row" in refused(path, text="nothing", label="label")
    assert "the type struct" in refused(path, text="text", label="nested")


def test_parquet_whose_texts_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    wrong = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xff\xfe"))
    parquet.write_table(pa.table({"text": wrong, "label": ["x", "y"]}), path)
    assert "is not a whole Parquet file" in refused(path)


def test_parquet_with_lies_about_its_class_names(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    lies = [b"[" * 100_000, b"7", b'{"info": 7}', b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 7}}}}']
    deep = b'{"info": {"features": {"label": ' + b'{"_type": "List", "feature": ' * 900 + b"1" + b"}" * 903
    for lie in (*lies, deep, json.dumps({"info": {"features": [["label"]]}}).encode()):
        parquet.write_table(pa.table({"text": ["a", "b"], "label": [0, 7]}).replace_schema_metadata({"huggingface": lie}), path)
        assert read_texts(path).labels == [0, 7]
