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

from bertworks.checkpoints.available_memory import available_memory
from bertworks.checkpoints.opening import kind_of_file
from bertworks.checkpoints.space import readable
from bertworks.data.encodings import candidates
from bertworks.errors import DataError, SettingsError, nearest, nearest_beside

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt")
"""Suffixes of tables; each may be followed by one of `COMPRESSIONS`."""
COMPRESSIONS = (".gz", ".xz", ".bz2", ".zst")

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that one's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a file may begin with, and the encoding that it says the file has."""

_BLOCK = 1 << 24
_TIMES = 3
"""Memory that a table takes in reading, as a multiple of its file: bytes, text and columns stand side by side."""


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
    if path.is_symlink():
        return DataError(f"'{path}' is a link to '{os.readlink(path)}', which does not exist: mend the link or name another file")
    if not folder.is_dir():
        return DataError(f"'{path}' does not exist, nor does the folder '{folder}'")
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        return DataError(f"'{path}' cannot be found: the folder '{folder}' cannot be read ({error.strerror}); name another")
    hint = nearest_beside(path, names)
    if not hint and names:
        hint = " The folder holds: " + ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    return DataError(f"'{path}' does not exist.{hint}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, decompressed by its suffix.

    Raises `DataError` where that fails, and where so many bytes come out that memory does not hold what is made of them.
    """
    available = available_memory()
    most = None if available is None else available // _TIMES
    blocks, total = [], 0
    with opened(path) as (stream, raw):
        _check_room(path, os.fstat(raw.fileno()).st_size, most, available)
        while block := stream.read(_BLOCK):
            blocks.append(block)
            total += len(block)
            _check_room(path, total, most, available)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _check_room(path: Path, size: int, most: int | None, available: int | None) -> None:
    if most is not None and size > most:
        content = f"holds more than {readable(size)}" + (" when decompressed" if split_suffixes(path)[2] else "")
        raise DataError(
            f"'{path}' {content}, and reading it takes {_TIMES} times as much memory, of which {readable(available or 0)} are available: "
            "split the file, or close other programs"
        )


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The content of a file as a stream, decompressed by its suffix, and the file itself, whose place tells how far one is.

    Raises `DataError` where the file cannot be opened, or where reading fails before the block ends.
    """
    compression = split_suffixes(path)[2]
    try:
        kind = kind_of_file(path)
        if kind is not None:
            raise DataError(f"'{path}' is {kind}, not a file: name a file (what a pipe gives must be written into one first)")
        with open(path, "rb") as raw, _decompressed(raw, compression) as stream:
            yield stream, raw
    except FileNotFoundError:
        raise missing_file(path) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        if compression and not isinstance(error, PermissionError):
            reason = f"it is cut off, damaged or named wrongly ({str(error) or type(error).__name__})"
            raise DataError(f"'{path}' is not a whole {compression} file: {reason}; copy it again") from error
        remedy = ": change its permissions or name another file" if isinstance(error, PermissionError) else ""
        raise DataError(f"'{path}' cannot be read: {error.strerror if isinstance(error, OSError) else error}{remedy}") from error


@contextmanager
def _decompressed(raw: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    if compression == ".zst":
        with pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd") as stream:
            yield cast(IO[bytes], stream)
    elif compression:
        opener: Any = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}[compression]
        with opener(raw, "rb") as stream:
            yield stream
    else:
        yield raw


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
        name = next((marked for mark, marked in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(name)
        if name != "utf-8":
            text.encode("utf-8")  # some codecs let halves of surrogate pairs through, which are no characters
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(name, errors="replace").count("\n") + 1
        around = data[max(0, error.start - 1000) :]
        raise undecodable(source, line, data[error.start : error.start + 1], error.start, name, around) from None
    except UnicodeError as error:
        remedy = 'name the encoding it has, such as encoding="utf-8" (--encoding …)'
        raise DataError(f"{source} is not valid {name.upper()} ({error}): {remedy}") from None
    text = text.removeprefix("\ufeff")
    check_for_text(text[:1000], name, source)
    return text


def with_line_feeds(text: str) -> str:
    """The text with a line feed wherever a line ends: with that, with a carriage return, or with both.

    >>> with_line_feeds("one\\r\\ntwo\\rthree\\n")
    'one\\ntwo\\nthree\\n'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_for_text(beginning: str, encoding: str, source: str) -> None:
    """Raises `DataError` where the beginning of a file is full of NUL characters: decoded wrongly, or not text at all."""
    if beginning.count("\x00") * 4 > len(beginning):
        likely = "utf-16-be" if beginning[::2].count("\x00") > beginning[1::2].count("\x00") else "utf-16-le"
        remedy = f'If it is text, name its encoding, such as encoding="{likely}" (--encoding {likely}).'
        raise DataError(f"{source} is full of NUL bytes: it is not {encoding.upper()} text. {remedy}")


def undecodable(source: str, line: int, byte: bytes, offset: int, encoding: str, around: bytes = b"") -> DataError:
    """The error about a byte that is no text in its encoding; `offset` counts in the decompressed file. Candidates for the
    right encoding are told by the bytes around it, where they are at hand."""
    likely = candidates(around) if around else ["latin-1", "cp1252"]
    names = " or ".join(f'"{name}"' for name in likely)
    remedy = f"such as encoding={names} (--encoding …)" if encoding == "utf-8" else 'with encoding="…" (--encoding …)'
    return DataError(
        f"{source}, line {line}: byte 0x{byte.hex()} at offset {offset:,} is not valid {encoding.upper()}. "
        f"Save the file as UTF-8, or name the encoding it has, {remedy}."
    )
