import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bertworks.data.files import decode_text, missing_file, read_bytes, split_suffixes
from bertworks.errors import DataError, SettingsError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_reads_what_others_compressed_even_in_several_parts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.csv{suffix}"
    path.write_bytes(PACKERS[suffix](b"one ") + PACKERS[suffix](b"two"))
    assert read_bytes(path) == b"one two"


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("damage", ["cut off", "not compressed"])
def test_damaged_files(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"x.csv{suffix}"
    path.write_bytes(PACKERS[suffix](bytes(range(256)) * 8)[:-9] if damage == "cut off" else b"text,label\n")
    with pytest.raises(DataError, match=f"is not a whole {suffix} file"):
        read_bytes(path)


def test_names() -> None:
    assert split_suffixes(Path("a/b.c.jsonl.zst")) == ("b.c", ".jsonl", ".zst")
    assert split_suffixes(Path("a/notes")) == ("notes", "", "")
    assert split_suffixes(Path("v1.2")) == ("v1.2", "", "")


def test_missing_files_suggest_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    assert f"Did you mean '{tmp_path / 'reviews.csv'}'?" in str(missing_file(tmp_path / "reveiws.csv"))
    assert "The folder holds: reviews.csv" in str(missing_file(tmp_path / "x.parquet"))
    assert "nor does the folder" in str(missing_file(tmp_path / "absent" / "x.csv"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_byte_order_marks_are_obeyed_and_removed(encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    assert decode_text((mark + "naïve, 日本\n").encode(encoding), "utf-8", "x") == "naïve, 日本\n"


def test_a_wrong_byte_is_named_with_line_offset_and_remedy() -> None:
    with pytest.raises(DataError, match=r'x\.csv, line 3: byte 0xe9 at offset 14 is not valid UTF-8.*encoding="latin-1"'):
        decode_text(b"text,label\na\ncaf\xe9,b\n".replace(b"caf", b"f"), "utf-8", "x.csv")
    assert decode_text(b"caf\xe9", "latin-1", "x.csv") == "café"


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(DataError, match="full of NUL bytes"):
        decode_text("text,label\n".encode("utf-16-le"), "utf-8", "x.csv")
    with pytest.raises(DataError, match="not valid UTF-16"):
        decode_text(b"\xff\xfea\x00b", "utf-8", "x.csv")


@pytest.mark.parametrize("name", ["uft-8", "base64", "no\x00name"])
def test_encodings_that_are_none(name: str) -> None:
    with pytest.raises(SettingsError, match="is not a text encoding"):
        decode_text(b"", name, "x")
