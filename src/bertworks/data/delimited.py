"""Comma- and tab-separated text → a table of strings, exactly as written.

Cells stay text ("007" and "null" are texts), so that a table can be written back unchanged. Well-formed files
go through `pyarrow.csv`; wherever anything is odd, a parser of our own names the line.

Quoting. Comma-separated: as RFC 4180 has it, and a quote inside an unquoted field is an ordinary character.
Tab-separated: two conventions exist. Spreadsheets quote as in CSV; GLUE, SST and others never quote, and their
double quotes are part of the text. The file is taken as quoted if every double quote in it is explained by
quoting (or nearly all: see `_tab_conventions`), otherwise quotes are ordinary characters.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.faults import MOST_FAULTS, BadRow, OnBadRows, settle
from bertworks.data.loaded import Loaded
from bertworks.errors import DataError, SettingsError

_LARGEST_BLOCK = 1 << 26
_QUOTED_FIELD = r'"[^"]*+(?:""[^"]*+)*+"'
_DELIMITERS = ",\t;|"
_LINE_END = re.compile(r"\r\n|\r|\n")
UNQUOTED = "double quotes kept as written (tab-separated without quoting)"


@dataclass
class _Records:
    """Parsed records, the header apart."""

    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def read_delimited(text: str, source: str, *, tabs: bool, delimiter: str | None = None, on_bad_rows: OnBadRows = "error") -> Loaded:
    """The table in `text`, whose first line names the columns.

    Without a `delimiter` it is a tab (`tabs`), or whichever of `, tab ; |` the header uses. Raises `DataError`
    naming line and counts where a row does not fit the header, unless such rows are to be dropped.
    """
    if not text.strip():
        raise DataError(f"{source} is empty: name another file, or write this one again")
    delimiter = _check_delimiter(delimiter) if delimiter else ("\t" if tabs else _sniff(text))
    conventions = _tab_conventions(text) if delimiter == "\t" else (True,)
    for quoted in conventions:
        table = _through_arrow(text, delimiter, quoted)
        if table is not None:
            break
    else:
        quoted = any(conventions)
    notes = Counter[str]() if quoted or '"' not in text else Counter({UNQUOTED: sum('"' in line for line in _LINE_END.split(text))})
    if table is not None:
        return Loaded(_with_names(table, source), notes=notes)
    records = _walk(text, source, delimiter, quoted, MOST_FAULTS if on_bad_rows == "error" else None)
    dropped = settle(records.bad, source, on_bad_rows)
    cells = list(zip(*records.rows, strict=True)) or [()] * len(records.header)
    columns = [pa.array(list(column), pa.string()) for column in cells]
    numbers: Int[Array, "rows"] = np.array(records.numbers, dtype=np.int64)
    names = [f"f{i}" for i in range(len(columns))]
    header = pa.table([pa.array([name], pa.string()) for name in records.header], names=names)
    return Loaded(_with_names(pa.concat_tables([header, pa.table(columns, names=names)]), source), numbers, dropped, notes)


def _check_delimiter(delimiter: str) -> str:
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n\x00' or ord(delimiter) > 127:
        raise SettingsError(f"a delimiter is one ASCII character such as ',' ';' or '\\t', not {delimiter!r}")
    return delimiter


def _sniff(text: str) -> str:
    """The delimiter of the first line; a comma goes before all others."""
    line = re.compile(r"[\r\n]*([^\r\n]*)").match(text)
    first = re.sub(_QUOTED_FIELD, "", line[1] if line else "")
    return "," if "," in first else max(_DELIMITERS, key=first.count)


@lru_cache
def _field(delimiter: str, quoted: bool) -> re.Pattern[str]:
    """One field and what ends it: groups 1 (between quotes), 2 (unquoted) and 3 (delimiter, line end or nothing)."""
    plain = rf"([^{re.escape(delimiter)}\r\n]*+)"
    body = rf'(?:"([^"]*+(?:""[^"]*+)*+)"|(?!"){plain})' if quoted else rf"(?:(?!)()|{plain})"
    return re.compile(rf"{body}({re.escape(delimiter)}|\r\n|\r|\n|\Z)")


@lru_cache
def _consistent(delimiter: str, quotes_in_plain: bool) -> re.Pattern[str]:
    """Text whose quoted fields are all closed right before a delimiter, the others having no quote at their start (or none at all)."""
    plain = rf'(?!")[^{re.escape(delimiter)}\r\n]*+' if quotes_in_plain else rf'[^"{re.escape(delimiter)}\r\n]*+'
    body = f"(?:{_QUOTED_FIELD}|{plain})"
    return re.compile(rf"{body}(?:[{re.escape(delimiter)}\r\n]{body})*+\Z")


def _tab_conventions(text: str) -> tuple[bool, ...]:
    """Whether a tab-separated text uses quoting: one answer, or both, to be tried in this order, where every quote is explained
    by quoting and yet may be plain text.

    A field in quotes with doubled quotes inside comes from quoting and next to never from plain text; where
    there are more of those than of fields with unexplained quotes, the latter are faults to be reported.

    Sentences in a row, of which one begins a quotation and another ends it, look like one field of several lines. A table
    with such fields, each line of which has as many fields as the header, is next to never anything but plain text, unless
    its header is quoted too.
    """
    if '"' not in text:
        return (False,)
    if _consistent("\t", False).fullmatch(text):
        fields = re.findall(_QUOTED_FIELD, text)
        header = _LINE_END.split(text.lstrip("\r\n"), maxsplit=1)[0]
        plain = any(_LINE_END.search(field) for field in fields) and not any('""' in field[1:-1] for field in fields)
        return (False, True) if plain and "\t" in header and '"' not in header else (True, False)
    escaped = unexplained = 0
    for line in re.split(r"[\r\n]+", text):
        for cell in line.split("\t") if '"' in line else ():
            if re.fullmatch(_QUOTED_FIELD, cell):
                escaped += '""' in cell[1:-1]
            else:
                unexplained += '"' in cell
    return (escaped > unexplained,)


def _through_arrow(text: str, delimiter: str, quoted: bool) -> pa.Table | None:
    """The table with its header as first row and columns f0, f1 …, or None where the text is not wholly regular."""
    if "\x00" in text or (quoted and '"' in text and not _consistent(delimiter, True).fullmatch(text)):
        return None
    data = text.encode("utf-8")
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(autogenerate_column_names=True, block_size=min(len(data) + 1, _LARGEST_BLOCK)),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted),
            convert_options=arrow_csv.ConvertOptions(
                column_types={f"f{i}": pa.string() for i in range(_width(text, delimiter, quoted))}, check_utf8=False
            ),
        )
    except pa.ArrowException:
        return None


def _width(text: str, delimiter: str, quoted: bool) -> int:
    """Number of columns in the header."""
    return next((len(fields) for _, fields in _records(text, delimiter, quoted) if isinstance(fields, list)), 0)


def _records(text: str, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Each record with the line it begins in; blank lines are no records."""
    pattern = _field(delimiter, quoted)
    position, line = 0, 1
    while position < len(text):
        start, fields, blank, end = position, [], True, delimiter
        while end == delimiter:
            match = pattern.match(text, position)
            if match is None:
                break
            inside, plain, end = match.groups()
            fields.append(plain if plain is not None else inside.replace('""', '"'))
            blank = blank and plain == ""
            position = match.end()
        if match is None:
            yield line, _fault(text, position, line)
            # Reading goes on after the line in which the faulty record begins, so that one stray quote costs one row.
            ended = _LINE_END.search(text, start)
            position = len(text) if ended is None else ended.end()
        elif not (blank and len(fields) == 1):
            yield line, fields
        line += _line_ends(text, start, position)


def _line_ends(text: str, start: int, stop: int) -> int:
    """How often a line ends between two places, by a line feed, a carriage return or both."""
    feeds, returns, both = (text.count(end, start, stop) for end in ("\n", "\r", "\r\n"))
    return feeds + returns - both


def _fault(text: str, position: int, line: int) -> BadRow:
    closed = re.compile(_QUOTED_FIELD).match(text, position)
    if closed is None:
        return BadRow(line, "quoted field without an end", "a field begins with a double quote that is never closed")
    after = text[closed.end() : closed.end() + 20].splitlines()[0]
    detail = f'a field in double quotes goes on after its closing quote (with {after!r}); a quote inside such a field is written ""'
    return BadRow(line, "text after the closing quote of a field", detail)


def _walk(text: str, source: str, delimiter: str, quoted: bool, most_faults: int | None) -> _Records:
    out, number = _Records(), 0
    for line, record in _records(text, delimiter, quoted):
        if isinstance(record, BadRow):
            out.bad.append(record)
        elif any("\x00" in cell for cell in record):
            out.bad.append(BadRow(line, "NUL byte", "a field holds a NUL byte; the file is damaged or not text"))
        elif not out.header:
            out.header = record
            continue
        elif len(record) != len(out.header):
            names = ", ".join(name[:30] for name in out.header[:8]) + (" …" if len(out.header) > 8 else "")
            detail = f"the header has {len(out.header)} columns ({names}), but {len(record)} fields were found"
            out.bad.append(BadRow(line, "number of fields unlike the header's", detail))
        else:
            out.rows.append(record)
            out.numbers.append(number)
        number += bool(out.header)
        if most_faults is not None and len(out.bad) >= most_faults:
            break
    if not out.header:
        settle(out.bad or [BadRow(1, "", "no header was found")], source, "error")
    return out


def _with_names(table: pa.Table, source: str) -> pa.Table:
    """Takes the first row for the column names. Raises `DataError` where a name appears twice."""
    names = [(table.column(i)[0].as_py() or "").strip() or f"column_{i + 1}" for i in range(table.num_columns)]
    for name, count in Counter(names).items():
        if count > 1:
            where = " and ".join(str(i + 1) for i, other in enumerate(names) if other == name)
            raise DataError(f"{source}: the column name '{name}' appears more than once (columns {where}); rename one in the first line")
    return table.slice(1).rename_columns(names)
