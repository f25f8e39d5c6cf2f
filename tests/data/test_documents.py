"""Texts out of files of any size: units, tables, compression, damage, and what is counted."""

import bz2
import gzip
import io
import json
import lzma
import random
import re
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bertworks.data import documents, text_stream
from bertworks.data.documents import read_documents
from bertworks.data.files import COMPRESSIONS, decode_text
from bertworks.data.text_files import find_files
from bertworks.data.text_stream import TextCounts, parts_of, text_lines
from bertworks.errors import BertworksError, DataError, SettingsError

PLAIN = "\n\nOne.\r\nTwo, naïve 博.\n \n\nThree.\nFour.\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "": bytes,
}


def texts_of(files: Any, **options: Any) -> list[str]:
    return [document.text for document in read_documents(files, **options)]


def test_units(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(PLAIN.encode())
    assert [(d.text, d.source, d.number, d.line) for d in read_documents(path)] == [
        ("One.", str(path), 0, 3),
        ("Two, naïve 博.", str(path), 1, 4),
        ("Three.", str(path), 2, 7),
        ("Four.", str(path), 3, 8),
    ]
    assert [(d.text, d.line) for d in read_documents(path, unit="paragraph")] == [("One.\nTwo, naïve 博.", 3), ("Three.\nFour.", 7)]
    assert [(d.text, d.line) for d in read_documents(path, unit="file")] == [("One.\nTwo, naïve 博.\n \n\nThree.\nFour.", 3)]


@pytest.mark.parametrize("packing", ["", *COMPRESSIONS])
@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".parquet", ".md"])
def test_every_format_and_compression(tmp_path: Path, suffix: str, packing: str) -> None:
    texts = ["One.", "Two, naïve 博."]
    if suffix == ".parquet":
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.table({"id": [1, 2], "text": texts}), sink, row_group_size=1)
        data = sink.getvalue().to_pybytes()
    elif suffix == ".jsonl":
        data = "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts).encode()
    elif suffix == ".csv":
        data = ("id,text\n" + "".join(f'1,"{text}"\n' for text in texts)).encode()
    else:
        data = "\n".join(texts).encode()
    path = tmp_path / f"a{suffix}{packing}"
    path.write_bytes(PACKERS[packing](data))
    counts, seen = TextCounts(), []
    found = list(read_documents(path, counts=counts, progress=lambda done, total: seen.append((done, total))))
    assert [d.text for d in found] == texts
    assert (counts.files, counts.documents, counts.characters) == (1, 2, sum(map(len, texts)))
    assert [d.line for d in found] == [1, 2]
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert sorted(seen) == seen


@given(text=st.text("ab \r\n", max_size=60), borders=st.lists(st.integers(0, 60)), longest=st.integers(1, 20))
def test_lines_do_not_depend_on_blocks(text: str, borders: list[int], longest: int) -> None:
    places = sorted({0, *(min(border, len(text)) for border in borders), len(text)})
    lines = list(text_lines([text[a:b] for a, b in pairwise(places)], longest))
    whole: dict[int, str] = {}
    for line in lines:
        whole[line.number] = whole.get(line.number, "") + line.text
        assert len(line.text) <= longest
    expected = [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]
    assert list(whole.values()) == expected if text else not lines
    assert [line.number for line in lines if line.ends] == list(range(1, len(whole) + 1))


@given(text=st.text("ab \n", max_size=80), longest=st.integers(1, 20))
def test_parts(text: str, longest: int) -> None:
    parts = parts_of(text, longest)
    assert "".join(parts) == text
    assert all(len(part) <= longest for part in parts)
    for part, after in pairwise(parts):
        assert after[0] in " \n" or not re.search(r"\s", part[longest // 2 + 1 :])


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    line = " ".join(f"word{i}" for i in range(400))
    (tmp_path / "a.txt").write_text(line + "\n\n" + "short line\n" * 60, encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": line}), encoding="utf-8")
    for unit in ("line", "paragraph", "file"):
        counts = TextCounts()
        found = texts_of(tmp_path / "a.txt", unit=unit, longest=300, counts=counts)
        assert max(map(len, found)) <= 300
        words = " ".join(found).split()
        assert words == (line + " short line" * 60).split()
        assert counts.cuts == len(found) - {"line": 61, "paragraph": 2, "file": 1}[unit]
        assert f"{counts.cuts:,} cuts" in "".join(counts.lines())
    counts = TextCounts()
    assert "".join(texts_of(tmp_path / "b.jsonl", longest=300, counts=counts)) == line
    assert counts.cuts == counts.documents - 1 > 5


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six megabytes in one line, and as many in one paragraph."""
    monkeypatch.setattr(text_stream, "BLOCK", 1 << 16)
    (tmp_path / "line.txt.gz").write_bytes(gzip.compress(b"some words " * 600_000, 1))
    (tmp_path / "lines.txt.gz").write_bytes(gzip.compress((b"some words " * 200 + b"\n") * 3_000, 1))
    tracemalloc.start()
    try:
        characters = sum(len(d.text) for d in read_documents(tmp_path, unit="paragraph", longest=100_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert characters > 13e6
    assert peak < 3e6


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "gb18030"])
@given(data=st.binary(max_size=40) | st.text("aé博😁\n", max_size=12).map(str.encode), block=st.integers(1, 5))
def test_bytes_that_are_no_text(encoding: str, data: bytes, block: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As Python decodes the whole, whatever blocks it is read in; the error is that of the readers of tables."""
    assume(not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")))
    assume("\x00" not in (expected := data.decode(encoding, errors="replace")))
    path = tmp_path_factory.mktemp("bytes") / "a.txt"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_stream, "BLOCK", block)
        counts = TextCounts()
        found = "".join(text_stream.text_blocks(path, encoding, "replace", counts))
    if encoding == "utf-8":
        assert re.sub("\ufffd+", "\ufffd", found) == re.sub("\ufffd+", "\ufffd", expected)
        escaped = data.decode("utf-8", errors="surrogateescape")
        assert counts.undecodable_bytes == sum("\udc80" <= character <= "\udcff" for character in escaped)
    else:
        assert found == expected
    if counts.undecodable_bytes:
        assert counts.first_undecodable == f"{path}, line {expected.count(chr(10), 0, expected.index(chr(0xFFFD))) + 1}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_stream, "BLOCK", block)
        try:
            whole = decode_text(data, encoding, str(path))
        except DataError as error:
            same = str(error).partition(" is not valid ")[0]
            with pytest.raises(DataError, match=f"^{re.escape(same)}"):
                list(text_stream.text_blocks(path, encoding, "error", TextCounts()))
        else:
            assert "".join(text_stream.text_blocks(path, encoding, "error", TextCounts())) == whole


def test_a_wrong_byte_far_inside_is_named_with_its_place(tmp_path: Path) -> None:
    data = (b"good " * 200 + b"\n") * 3_000 + b"caf\xe9\n" + b"good line\n"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(data, 1))
    with pytest.raises(DataError, match=r"a\.txt\.gz, line 3001: byte 0xe9 at offset 3,003,003 is not valid UTF-8.*latin-1"):
        texts_of(tmp_path / "a.txt.gz")
    counts = TextCounts()
    assert texts_of(tmp_path / "a.txt.gz", on_bad_bytes="replace", counts=counts)[-2:] == ["caf\ufffd", "good line"]
    assert (counts.undecodable_bytes, counts.first_undecodable) == (1, f"{tmp_path / 'a.txt.gz'}, line 3,001")
    assert texts_of(tmp_path / "a.txt.gz", encoding="latin-1")[-2] == "café"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_obeyed(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("naïve 博\nb".encode(encoding))
    assert texts_of(tmp_path / "a.txt") == ["naïve 博", "b"]


def test_rows_without_a_text(tmp_path: Path) -> None:
    rows = ['{"text": "a"}', "", "no json", '{"text": null}', '{"text": " "}', '{"other": 1}', '{"text": 5}', '{"text": "\\ud800"}', "[1]"]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*rows, '{"text": "b"}']), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl, line 3: not valid JSON.*--on-bad-rows drop"):
        texts_of(path)
    counts = TextCounts()
    found = list(read_documents(path, on_bad_rows="drop", counts=counts))
    assert [(d.text, d.number, d.line) for d in found] == [("a", 0, 1), ("b", 1, 10)]
    assert counts.dropped == {
        "not JSON": 1,
        "empty text": 2,
        "no text": 1,
        "text is not a string": 1,
        "half a surrogate pair": 1,
        "not a JSON object": 1,
    }


def test_a_row_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_LONGEST_ROW", 100)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' + json.dumps({"text": "long " * 100}) + '\n{"text": "b"}\n', encoding="utf-8")
    counts = TextCounts()
    assert texts_of(path, on_bad_rows="drop", counts=counts) == ["a", "b"]
    assert counts.dropped == {"row too long": 1}
    with pytest.raises(DataError, match="line 2: the row has more than 100 characters"):
        texts_of(path)


def test_parquet_columns(tmp_path: Path) -> None:
    values = ["a", None, "b", "", "a"]
    for number, kind in enumerate((pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(pa.table({"n": range(5), "a.b": pa.array(values).cast(kind)}), path, row_group_size=2)
        counts = TextCounts()
        assert [(d.text, d.line) for d in read_documents(path, text="a.b", counts=counts)] == [("a", 1), ("b", 3), ("a", 5)]
        assert counts.dropped == {"empty text": 2}
    with pytest.raises(DataError, match=r"the column 'n' is of the type int64, not text"):
        texts_of(path, text="n")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        texts_of(tmp_path / "cut.parquet", text="a.b")


def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    texts = [random.Random(number).randbytes(800).hex() for number in range(10_000)]
    parquet.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=10_000, use_dictionary=False)
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in read_documents(tmp_path))
    assert (tmp_path / "a.parquet").stat().st_size > 8e6
    assert most < 5e6


def test_the_column_is_guessed_only_where_that_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for row, column in (({"id": 1, "Review": "a"}, "Review"), ({"title": "x", "text": "a"}, "text"), ({"x": "a"}, "x")):
        path.write_text(json.dumps(row), encoding="utf-8")
        assert texts_of(path) == [row[column]]
    path.write_text(json.dumps({"premise": "a", "hypothesis": "b"}), encoding="utf-8")
    with pytest.raises(DataError, match="two texts a row, premise and hypothesis"):
        texts_of(path)
    assert texts_of(path, text="hypothesis") == ["b"]
    path.write_text(json.dumps({"left": "a", "right": "b"}), encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be told by name; the columns are left, right"):
        texts_of(path)


def test_which_files_are_meant(tmp_path: Path) -> None:
    for name in ("b.txt", "a/2.jsonl.gz", "a/10.parquet", "a/.hidden.txt", ".git/x.txt", "notes.docx", "Z.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")

    def names(*sources: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path / source for source in sources])]

    counts = TextCounts()
    assert [p.name for p in find_files(tmp_path, counts.notes)] == ["Z.txt", "10.parquet", "2.jsonl.gz", "b.txt"]
    assert "left out" in "".join(counts.lines())
    assert ".docx" in "".join(counts.lines())
    assert names("*.txt") == ["Z.txt", "b.txt"]
    assert names("**/*.gz", "b.txt", "*.txt") == ["a/2.jsonl.gz", "b.txt", "Z.txt"]
    assert names("notes.docx", "b.txt") == ["notes.docx", "b.txt"]
    for source, told in (
        ("c.txt", r"Did you mean '.*b.txt'"),
        ("*.tsv", "no file matches"),
        ("a*", "matches folders only"),
        ("nowhere/x", "nor"),
    ):
        with pytest.raises(DataError, match=told):
            names(source)
    with pytest.raises(DataError, match="no file is named"):
        find_files([])
    (tmp_path / "a" / "around").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "a", target_is_directory=True)
    assert {path.name for path in find_files(tmp_path)} == {"Z.txt", "10.parquet", "2.jsonl.gz", "b.txt"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no text; it holds nothing"):
        names("empty")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x", encoding="utf-8")
    assert texts_of(tmp_path / "a[1].txt") == ["x"]


def test_files_are_read_when_it_is_their_turn(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"three\n" * 1000)[:-12])
    counts = TextCounts()
    reading = read_documents(tmp_path, counts=counts)
    assert [next(reading).text, next(reading).text] == ["one", "two"]
    assert counts.files == 0
    with pytest.raises(DataError, match=r"b\.txt\.gz' is not a whole \.gz file"):
        list(reading)
    assert counts.files == 1


def test_empty_files_are_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "b.jsonl", "c.txt"):
        (tmp_path / name).write_text("\n \n" if name == "c.txt" else "", encoding="utf-8")
    counts = TextCounts()
    assert texts_of(tmp_path, counts=counts) == []
    assert counts.notes == {"without a text": 3}


def test_counts_add_up() -> None:
    first = TextCounts(files=1, undecodable_bytes=2, first_undecodable="a, line 3")
    second = TextCounts(files=2, documents=5)
    second.dropped["empty text"] += 1
    both = TextCounts() + first + second
    assert (both.files, both.documents, both.undecodable_bytes, both.first_undecodable) == (3, 5, 2, "a, line 3")
    assert both.lines()[1:] == ["2 bytes that are no text replaced by \ufffd, the first in a, line 3", "1 rows dropped: empty text"]
    assert both.to_dict()["dropped"] == {"empty text": 1}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unit": "lines"}, "unit is one of line, paragraph, file, not 'lines'. Did you mean 'line'?"),
        ({"on_bad_bytes": "drop"}, "on_bad_bytes is one of error, replace"),
        ({"on_bad_rows": "replace"}, "on_bad_rows is 'error' or 'drop'"),
        ({"encoding": "utf8x"}, "is not a text encoding"),
        ({"longest": 0}, "longest is a number of characters"),
    ],
)
def test_wrong_settings(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    with pytest.raises(BertworksError, match=re.escape(told)) as raised:
        read_documents(tmp_path, **options)
    assert isinstance(raised.value, SettingsError)


@pytest.mark.shared
def test_the_corpus(real_data: Path) -> None:
    counts = TextCounts()
    documents = [d.text for d in read_documents(real_data / "corpus" / "wikitext2_valid.txt", counts=counts)]
    lines = (real_data / "corpus" / "wikitext2_valid.txt").read_text(encoding="utf-8").split("\n")
    assert documents == [line for line in lines if line.strip()]
    assert counts.bytes == (real_data / "corpus" / "wikitext2_valid.txt").stat().st_size
