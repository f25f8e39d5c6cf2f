"""Files with a word a line and its tags beside it, sentences divided by blank lines: CoNLL's and those like them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from bertworks.data.faults import MOST_FAULTS, BadRow, OnBadRows, settle
from bertworks.data.files import COMPRESSIONS, decode_text, opened, read_bytes, split_suffixes
from bertworks.data.folders import several_files, split_name
from bertworks.data.loaded import Loaded, ReadOptions, Source
from bertworks.data.tag_schemes import scheme_of_tags
from bertworks.errors import BertworksError, DataError

SUFFIXES = (".conll", ".conllu", ".bio", ".iob", ".iob1", ".iob2", ".bioes")
WORDS, TAGS = "words", "tags"
"""The columns of the table that such a file gives."""

_DOCUMENT = "-DOCSTART-"
_SPACE = re.compile(r"[ \t]+")
_LOOKED_AT = 400
"""Lines by which the number of columns is told, and whether a .tsv or .txt file is such a file at all."""
_SNIFFED = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are divided."""

    tabs: bool
    columns: int
    word: int
    tag: int
    universal: bool
    """CoNLL-U: ten columns, of which the first counts the words."""
    tags: frozenset[str] = frozenset()
    """Tags of the first lines, by which a word "#" is told from a comment."""

    def cells(self, line: str) -> list[str]:
        return line.split("\t") if self.tabs else _SPACE.split(line.strip(" \t"))


def read_conll(text: str, source: str, *, word: int | None = None, tag: int | None = None, on_bad_rows: OnBadRows = "error") -> Loaded:
    """A row a sentence, with the columns `words` and `tags`, lists of texts.

    `word` and `tag` are numbers of columns, from 0, or from -1 at the end; by default the first and the last, in CoNLL-U the
    forms and the universal parts of speech. Lines that begin with "#" and are no words are comments; lines that say
    -DOCSTART- divide documents.

    Raises `DataError` that names the line where one has another number of columns, unless such sentences are to be dropped.
    """
    lines = [line.rstrip("\r") for line in text.split("\n" if "\n" in text else "\r")]
    layout = _layout(lines, source, word, tag)
    words: list[list[str]] = []
    tags: list[list[str]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    notes: Counter[str] = Counter()
    for number, sentence in enumerate(_sentences(lines, layout, notes)):
        fault = next((row for row in sentence if isinstance(row, BadRow)), None)
        if fault is not None:
            bad.append(fault)
        else:
            words.append([row[0] for row in sentence if not isinstance(row, BadRow)])
            tags.append([row[1] for row in sentence if not isinstance(row, BadRow)])
            numbers.append(number)
        if on_bad_rows == "error" and len(bad) >= MOST_FAULTS:
            break
    dropped = settle(bad, source, on_bad_rows)
    kind = pa.list_(pa.string())
    return Loaded(pa.table({WORDS: pa.array(words, kind), TAGS: pa.array(tags, kind)}), np.array(numbers, dtype=np.int64), dropped, notes)


def _sentences(lines: Sequence[str], layout: Layout, notes: Counter[str]) -> Iterator[list[tuple[str, str] | BadRow]]:
    sentence: list[tuple[str, str] | BadRow] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            if sentence:
                yield sentence
            sentence = []
            continue
        cells = layout.cells(line)
        if _is_comment(line, cells, layout):
            notes["comments, which are no words"] += 1
        elif cells[0].startswith(_DOCUMENT):
            notes["-DOCSTART- lines, which are no sentences"] += 1
        elif layout.universal and not cells[0].isdigit():
            notes["lines of CoNLL-U for words of several tokens and empty nodes, skipped"] += 1
        else:
            sentence.append(_word(cells, layout, number))
    if sentence:
        yield sentence


def _word(cells: Sequence[str], layout: Layout, line: int) -> tuple[str, str] | BadRow:
    if len(cells) != layout.columns:
        detail = f"{len(cells)} columns where the other lines have {layout.columns} (word first, tag last; a blank line ends a sentence)"
        return BadRow(line, "sentences with a line of another number of columns", detail)
    word, tag = cells[layout.word].strip(), cells[layout.tag].strip()
    if not word or not tag:
        return BadRow(line, "sentences with an empty word or tag", f"the {'tag' if word else 'word'} is empty")
    return word, tag


def _is_comment(line: str, cells: Sequence[str], layout: Layout) -> bool:
    if not line.startswith("#") or len(cells) != layout.columns:
        return line.startswith("#")
    return cells[0] == "#" and cells[layout.tag].strip() not in layout.tags


def _layout(lines: Sequence[str], source: str, word: int | None, tag: int | None) -> Layout:
    """By the first lines: tabs where all have them; the number of columns that most have."""
    some = [line for line in lines if line.strip() and not line.startswith(_DOCUMENT)][:_LOOKED_AT]
    plain = [line for line in some if not line.startswith("#")] or some
    if not plain:
        raise DataError(f"{source} is empty: name another file, or write this one again")
    tabs = sum("\t" in line for line in plain) * 2 > len(plain)
    counts = Counter(len(Layout(tabs, 0, 0, 0, False).cells(line)) for line in plain)
    columns = counts.most_common(1)[0][0]
    if columns < 2:
        raise DataError(f"{source}: its lines have one column, but a word and its tag are wanted in each, with a tab or space between them")
    universal = tabs and columns == 10 and sum(line.split("\t")[0].isdigit() for line in plain) * 2 > len(plain)
    usual = (1, 3) if universal else (0, columns - 1)
    chosen = [usual[i] if given is None else given for i, given in enumerate((word, tag))]
    for name, place in zip(("text", "label"), chosen, strict=True):
        if not -columns <= place < columns:
            raise DataError(
                f"{source} has {columns} columns, so there is no column {place} ({name}): give a number from 0 to {columns - 1}"
            )
    layout = Layout(tabs, columns, chosen[0] % columns, chosen[1] % columns, universal)
    rows = (layout.cells(line) for line in plain)
    return replace(layout, tags=frozenset(cells[layout.tag].strip() for cells in rows if len(cells) == columns))


def is_conll(path: Path) -> bool:
    """Whether a file is one of these: by its suffix, or a .tsv or .txt file by its first lines, the last column of which must
    be tags of entities. A file that cannot be read is none."""
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    if name.endswith(SUFFIXES):
        return True
    if not name.endswith((".tsv", ".txt")) or not path.is_file():
        return False
    try:
        with opened(path) as (stream, _):
            beginning = stream.read(_SNIFFED)
        whole = max(beginning.rfind(b"\n"), beginning.rfind(b"\r")) + 1
        lines = decode_text(beginning[:whole], "utf-8", str(path)).splitlines()[:_LOOKED_AT]
        layout = _layout(lines, str(path), None, None)
    except BertworksError:
        return False
    rows = [layout.cells(line) for line in lines if line.strip() and not line.startswith(("#", _DOCUMENT))]
    tags = {cells[-1].strip() for cells in rows}
    divided = any(not line.strip() for line in lines)
    alike = all(len(cells) == layout.columns for cells in rows)
    return divided and alike and "O" in tags and len(tags) > 1 and scheme_of_tags(tags) not in ("IO", "words")


def conll_source(path: Path, options: ReadOptions, word: str | None, tag: str | None) -> Source | None:
    """The source in such a file, or in a folder with such files named after splits (train.conll, dev.conll …); None elsewhere.

    Raises `DataError` where `word` or `tag` is no number.
    """
    is_folder = path.is_dir()
    named = [(split_name(entry.name), entry) for entry in sorted(path.iterdir()) if entry.is_file()] if is_folder else [(_stem(path), path)]
    files: dict[str, list[Path]] = {}
    for name, entry in named:
        if name is not None and is_conll(entry):
            files.setdefault(name, []).append(entry)
    if not files:
        return None
    columns = _number(word, "text", path), _number(tag, "label", path)
    return Source(str(path), {name: _reader(name, some, options, *columns) for name, some in files.items()}, one_table=not is_folder)


def _number(column: str | None, name: str, path: Path) -> int | None:
    try:
        return None if column is None else int(column)
    except ValueError:
        raise DataError(f"{path} has no names of columns: give {name} as a number, from 0, not {column!r}") from None


def _reader(name: str, files: Sequence[Path], options: ReadOptions, word: int | None, tag: int | None) -> Callable[[], Loaded]:
    def read() -> Loaded:
        if len(files) > 1:
            raise several_files(name, files)
        (path,) = files
        text = decode_text(read_bytes(path), options.encoding, str(path))
        return read_conll(text, str(path), word=word, tag=tag, on_bad_rows=options.on_bad_rows)

    return read


def _stem(path: Path) -> str:
    return split_suffixes(path)[0].partition(".")[0]


def write_conll(sentences: Sequence[Sequence[Sequence[str]]]) -> str:
    """The content of such a file: of each sentence its columns.

    >>> write_conll([[["A", "day"], ["O", "O"]]])
    'A\\tO\\nday\\tO\\n\\n'
    """
    return "".join("".join("\t".join(cells) + "\n" for cells in zip(*columns, strict=True)) + "\n" for columns in sentences)
