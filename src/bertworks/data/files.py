"""Files as bytes and as text: compression, encodings, and what to say where a file cannot be read."""

import bz2
import codecs
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from bertworks.errors import DataError, SettingsError, nearest

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt")
"""Suffixes of tables; each may be followed by one of `COMPRESSIONS`."""
COMPRESSIONS = (".gz", ".xz", ".bz2", ".zst")

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that one's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def split_suffixes(path: Path) -> tuple[str, str, str]:
    """Name without suffixes, suffix of the format and suffix of the compression, in lower case (empty: none).

    >>> split_suffixes(Path("runs/Reviews.csv.GZ"))
    ('Reviews', '.csv', '.gz')
    """
    compression = path.suffix.lower() if path.suffix.lower() in COMPRESSIONS else ""
    inner = Path(path.stem) if compression else Path(path.name)
    suffix = inner.suffix.lower()
    return (inner.stem, suffix, compression) if suffix in FORMATS else (inner.name, "", compression)


def supported() -> str:
    """The supported file names, in words."""
    return f"{' '.join(FORMATS)}, each also with {' '.join(COMPRESSIONS)}"


def missing_file(path: Path) -> DataError:
    """The error about a path that does not exist, with the nearest name that does."""
    folder = path.parent
    if not folder.is_dir():
        return DataError(f"'{path}' does not exist, nor does the folder '{folder}'")
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    hint = nearest(path.name, names)
    if not hint and names:
        hint = " The folder holds: " + ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    return DataError(f"'{path}' does not exist.{hint}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, decompressed by its suffix. Raises `DataError` where that fails."""
    compression = split_suffixes(path)[2]
    try:
        if compression == ".zst":
            with pa.CompressedInputStream(str(path), "zstd") as stream:
                return cast(bytes, stream.read())
        opener: Any = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, "": open}[compression]
        with opener(path, "rb") as file:
            return cast(bytes, file.read())
    except FileNotFoundError:
        raise missing_file(path) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        if compression and not isinstance(error, PermissionError | IsADirectoryError):
            raise DataError(f"'{path}' is not a whole {compression} file (cut off, damaged, or named wrongly): {error}") from error
        raise DataError(f"'{path}' cannot be read: {error.strerror if isinstance(error, OSError) else error}") from error


@contextmanager
def compressed(file: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    """A stream that compresses into `file`; the same bytes are written for the same content."""
    if compression == ".zst":
        # This stream closes what it writes to, so it gets a descriptor of its own.
        with open(os.dup(file.fileno()), "wb") as twin, pa.CompressedOutputStream(pa.PythonFile(twin, "w"), "zstd") as stream:
            yield cast(IO[bytes], stream)
    elif compression == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            yield cast(IO[bytes], packed)
    elif compression:
        module: Any = lzma if compression == ".xz" else bz2
        with module.open(file, "wb") as packed:
            yield packed
    else:
        yield file


def check_encoding(encoding: str) -> str:
    """Python's own name of an encoding; raises `SettingsError` with the nearest name where there is none."""
    try:
        info = codecs.lookup(encoding)
        b"  ".decode(encoding, errors="replace")  # some codecs are no encodings of text
    except (LookupError, ValueError, UnicodeError):
        hint = nearest(encoding, ["utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "gb18030", "big5", "shift_jis", "euc-kr", "koi8-r"])
        raise SettingsError(f"'{encoding}' is not a text encoding.{hint}") from None
    return info.name


def decode_text(data: bytes, encoding: str, source: str) -> str:
    """The text of `data`. A byte order mark is obeyed where `encoding` is UTF-8, and never part of the text.

    Raises `DataError` with line and byte offset (both of the decompressed file) at the first wrong byte.
    """
    name = check_encoding(encoding)
    if name in ("utf-8", "utf-8-sig"):
        name = next((marked for mark, marked in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(name)
        if name != "utf-8":
            text.encode("utf-8")  # some codecs let halves of surrogate pairs through, which are no characters
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(name, errors="replace").count("\n") + 1
        remedy = 'encoding="latin-1" or "cp1252" (--encoding …)' if name == "utf-8" else 'encoding="…" (--encoding …)'
        wrong = data[error.start : error.start + 1].hex()
        raise DataError(
            f"{source}, line {line}: byte 0x{wrong} at offset {error.start:,} is not valid {name.upper()}. "
            f"Save the file as UTF-8, or name the encoding it has, such as {remedy}."
        ) from None
    except UnicodeError as error:
        raise DataError(f"{source} is not valid {name.upper()}: {error}") from None
    text = text.removeprefix("\ufeff")
    if text[:1000].count("\x00") * 4 > len(text[:1000]):
        remedy = 'If it is text, name its encoding, such as encoding="utf-16-le" (--encoding utf-16-le).'
        raise DataError(f"{source} is full of NUL bytes: it is not {name.upper()} text. {remedy}")
    return text
