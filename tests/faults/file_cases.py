"""Data files that are missing, damaged, misnamed, or not what they seem."""

import bz2
import gzip
import lzma
import os
from pathlib import Path

import zstandard

from bertworks.errors import DataError
from tests.faults.case import Case, bytes_of, done, file

TABLE = b"text,label\n" + b"a fine film,good\na dull film,bad\n" * 40
OPTIONS = "--text text --label label --model encoder"


def train(name: str, *options: str) -> str:
    return " ".join(["bertworks train", name, OPTIONS, *options])


def _parquet() -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"text": ["a", "b"], "label": [{"x": 1}, {"x": 2}], "when": [1, 2]}), "data.parquet")


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 8]) + data[middle + 8 :]


FILES = [
    Case(
        "a file with a slip in its name",
        "bertworks train revews.csv",
        DataError,
        "'revews.csv' does not exist",
        "Did you mean 'reviews.csv'?",
    ),
    Case(
        "a file in a folder that does not exist", train("data/reviews.csv"), DataError, "'data/reviews.csv'", "nor does the folder 'data'"
    ),
    Case(
        "a link to a file that is gone",
        train("link.csv"),
        DataError,
        "'link.csv' is a link to 'gone.csv', which does not exist",
        "name another file",
        (done(lambda: Path("link.csv").symlink_to("gone.csv")),),
    ),
    Case("a home that nobody has", train("~nobody-here/data.csv"), DataError, "~nobody-here/data.csv", "name another file"),
    Case("a name too long for the system", train("a" * 300 + ".csv"), DataError, "name too long", "name another file"),
    Case(
        "a pipe instead of a file",
        train("pipe.csv"),
        DataError,
        "'pipe.csv' is a pipe",
        "written into one first",
        (done(lambda: os.mkfifo("pipe.csv")),),
    ),
    Case("a device instead of a file", "read_texts('/dev/zero')", DataError, "/dev/zero", "supported are .csv"),
    Case("a format that is not read", train("data.xlsx"), DataError, "'.xlsx'", "supported are .csv", (file("data.xlsx", b"PK"),)),
    Case(
        "a folder without data", train("nothing"), DataError, "the folder 'nothing'", "found: notes.md", (file("nothing/notes.md", "none"),)
    ),
    Case(
        "two files for one split",
        train("double"),
        DataError,
        "several files for the split 'train' (train.csv, train.tsv)",
        "name the one to read",
        (file("double/train.csv", TABLE), file("double/train.tsv", "text\tlabel\n")),
    ),
    Case(
        "two CoNLL files for one split",
        "bertworks train tagged --model encoder",
        DataError,
        "several files for the split 'train' (train.conll, train_2.conll)",
        "name the one to read",
        (file("tagged/train.conll", "Ada B-PER\nruns O\n"), file("tagged/train_2.conll", "Ada B-PER\nruns O\n")),
    ),
    Case(
        "a name for a column of CoNLL files",
        "bertworks train tagged --model encoder --label tag",
        DataError,
        "tagged has no names of columns",
        "give label as a number, from 0, not 'tag'",
        (file("tagged/train.conll", "Ada B-PER\nruns O\n"),),
    ),
    Case("an empty file", train("empty.csv"), DataError, "empty.csv is empty", "empty", (file("empty.csv", ""),)),
    Case(
        "a header and nothing else",
        train("header.csv"),
        DataError,
        "header.csv has columns (text, label)",
        "no rows",
        (file("header.csv", "text,label\n"),),
    ),
    Case(
        "another encoding than UTF-8",
        train("latin.csv"),
        DataError,
        "latin.csv, line 3: byte 0xe9 at offset 29",
        'encoding="latin-1"',
        (file("latin.csv", "text,label\ngood film,a\nun café noir,b\n".encode("latin-1")),),
    ),
    Case(
        "an East Asian encoding",
        train("tokyo.csv"),
        DataError,
        "tokyo.csv, line 2: byte 0x89",
        'encoding="shift_jis"',
        (file("tokyo.csv", "text,label\n映画はとても良かったです,良い\n".encode("shift_jis")),),
    ),
    Case(
        "UTF-16 without a mark",
        train("wide.csv"),
        DataError,
        "wide.csv is full of NUL bytes",
        'encoding="utf-16-be"',
        (file("wide.csv", TABLE.decode().encode("utf-16-be")),),
    ),
    Case(
        "UTF-16 cut in the middle of a character",
        train("cut.csv"),
        DataError,
        "cut.csv, line 81",
        "encoding=",
        (file("cut.csv", TABLE.decode().encode("utf-16")[:-1]),),
    ),
    Case(
        "a NUL byte in a field",
        train("nul.csv"),
        DataError,
        "nul.csv, line 3: a field holds a NUL byte",
        "--on-bad-rows drop",
        (file("nul.csv", b"text,label\na,x\nb\0,y\nc,x\n"),),
    ),
    Case(
        "a quote that never ends",
        train("quote.csv"),
        DataError,
        "quote.csv, line 3: a field begins with a double quote that is never closed",
        "--on-bad-rows drop",
        (file("quote.csv", 'text,label\na,x\n"b,y\nc,x\n'),),
    ),
    Case(
        "text after a closing quote",
        train("after.csv"),
        DataError,
        "after.csv, line 2",
        'is written ""',
        (file("after.csv", 'text,label\n"a "good" film",x\nb,y\n'),),
    ),
    Case(
        "a row with too many fields",
        train("ragged.csv"),
        DataError,
        "ragged.csv, line 3: the header has 2 columns (text, label), but 3 fields were found",
        "--on-bad-rows drop",
        (file("ragged.csv", "text,label\na,x\nb, and more,y\nc,x\n"),),
    ),
    Case(
        "the wrong delimiter",
        train("semicolon.csv", "--delimiter ,"),
        DataError,
        "no column 'text'",
        "it has text;label",
        (file("semicolon.csv", "text;label\na;x\nb;y\n"),),
    ),
    Case(
        "a .gz file cut short",
        train("data.csv.gz"),
        DataError,
        "'data.csv.gz' is not a whole .gz file",
        "cut off",
        (file("data.csv.gz", gzip.compress(TABLE)[:-20]),),
    ),
    Case(
        "a .xz file cut short",
        train("data.csv.xz"),
        DataError,
        "'data.csv.xz' is not a whole .xz file",
        "cut off",
        (file("data.csv.xz", lzma.compress(TABLE)[:-20]),),
    ),
    Case(
        "a .bz2 file with flipped bits",
        train("data.csv.bz2"),
        DataError,
        "'data.csv.bz2' is not a whole .bz2 file",
        "damaged",
        (file("data.csv.bz2", _flip(bz2.compress(TABLE))),),
        vague=r"(?<=\): ).*",
    ),
    Case(
        "a .zst file cut short",
        train("data.csv.zst"),
        DataError,
        "'data.csv.zst' is not a whole .zst file",
        "cut off",
        (file("data.csv.zst", zstandard.compress(TABLE)[:-20]),),
        vague=r"(?<=\): ).*",
    ),
    Case(
        "a text named .gz",
        train("data.csv.gz"),
        DataError,
        "'data.csv.gz' is not a whole .gz file",
        "named wrongly",
        (file("data.csv.gz", TABLE),),
    ),
    Case(
        "JSON lines with a broken line",
        train("data.jsonl"),
        DataError,
        "data.jsonl, line 2: not valid JSON",
        "--on-bad-rows drop",
        (file("data.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"\n'),),
    ),
    Case(
        "JSON lines that are no objects",
        train("data.jsonl"),
        DataError,
        "data.jsonl, line 1: a row is an object",
        "--on-bad-rows drop",
        (file("data.jsonl", '["a", "x"]\n'),),
    ),
    Case(
        "JSON lines with a name twice",
        train("data.jsonl"),
        DataError,
        "data.jsonl, line 1: an object has the name 'text' twice",
        "--on-bad-rows drop",
        (file("data.jsonl", '{"text": "a", "text": "b", "label": "x"}\n'),),
    ),
    Case(
        "JSON nested without end",
        train("data.jsonl"),
        DataError,
        "data.jsonl, line 1: nested too deeply",
        "--on-bad-rows drop",
        (file("data.jsonl", "[" * 100_000 + "\n"),),
    ),
    Case(
        "half a character in JSON",
        train("data.jsonl"),
        DataError,
        "data.jsonl, line 1",
        "--on-bad-rows drop",
        (file("data.jsonl", '{"text": "\\ud83d", "label": "x"}\n'),),
    ),
    Case(
        "a JSON document that is no table",
        train("data.json"),
        DataError,
        "data.json",
        "array of objects",
        (file("data.json", '{\n"version": 1,\n"data": {}\n}'),),
    ),
    Case(
        "a damaged Parquet file",
        train("data.parquet"),
        DataError,
        "'data.parquet' is not a whole Parquet file",
        "write or copy it again",
        (done(_parquet), bytes_of("data.parquet", lambda data: data[:-30])),
        vague=r"(?<=\().*(?=\))",
    ),
    Case(
        "a CSV file named .parquet",
        train("data.parquet"),
        DataError,
        "'data.parquet' is not a whole Parquet file",
        "write or copy it again",
        (file("data.parquet", TABLE),),
        vague=r"(?<=\().*(?=\))",
    ),
    Case(
        "tables in a label column",
        train("data.parquet"),
        DataError,
        "data.parquet, column 'label' is of the type struct",
        "labels are text",
        (done(_parquet),),
    ),
]
