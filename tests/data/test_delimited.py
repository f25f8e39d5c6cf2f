import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.delimited import UNQUOTED, _tab_conventions, _through_arrow, _walk, read_delimited
from bertworks.data.faults import OnBadRows
from bertworks.errors import DataError, SettingsError


def rows(text: str, *, tabs: bool = False, on_bad_rows: OnBadRows = "error") -> list[dict[str, str]]:
    read: list[dict[str, str]] = read_delimited(text, "x.csv", tabs=tabs, on_bad_rows=on_bad_rows).table.to_pylist()
    return read


def test_quotes_delimiters_and_line_breaks_inside_fields() -> None:
    text = 'text,label\r\n"one, two",a\r\n"first\nsecond\r\nthird",b\r\n"say ""hi""",c\r\n\r\n5" pipe,d'
    assert [row["text"] for row in rows(text)] == ["one, two", "first\nsecond\r\nthird", 'say "hi"', '5" pipe']


def test_cells_stay_as_written() -> None:
    assert rows("text,label\nnull,007\n NA ,1.50\n,true\n") == [
        {"text": "null", "label": "007"},
        {"text": " NA ", "label": "1.50"},
        {"text": "", "label": "true"},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_header_shows_the_delimiter(delimiter: str) -> None:
    assert rows(f"text{delimiter}label\na. b{delimiter}c\n") == [{"text": "a. b", "label": "c"}]


def test_a_given_delimiter_and_wrong_ones() -> None:
    assert read_delimited("a~b\n1~2\n", "x", tabs=False, delimiter="~").table.to_pylist() == [{"a": "1", "b": "2"}]
    assert read_delimited("a\tb\n1\t2\n", "x", tabs=False, delimiter="\\t").table.to_pylist() == [{"a": "1", "b": "2"}]
    with pytest.raises(SettingsError, match="one ASCII character"):
        read_delimited("a,b\n", "x", tabs=False, delimiter=";;")


def test_ragged_rows_are_named() -> None:
    text = 'text,label\n"two\nlines",a\none, two,a\nalone\nfine,b\n'
    with pytest.raises(
        DataError, match=r"x\.csv, line 4: the header has 2 columns \(text, label\), but 3 fields were found\. Bad rows: 2 \(lines 4, 5\)"
    ):
        rows(text)


def test_ragged_rows_are_left_out_and_counted() -> None:
    loaded = read_delimited("text,label\na,1\nb,2,3\nc,4\n\nd\ne,5\n", "x", tabs=False, on_bad_rows="drop")
    assert loaded.table["text"].to_pylist() == ["a", "c", "e"]
    assert loaded.row_numbers().tolist() == [0, 2, 4]
    assert dict(loaded.dropped) == {"number of fields unlike the header's": 2}


def test_a_quote_that_is_never_closed() -> None:
    text = 'text,label\nfine,a\n"open,b\nnext,c\n'
    with pytest.raises(DataError, match="line 3: a field begins with a double quote that is never closed"):
        rows(text)
    assert [row["text"] for row in rows(text, on_bad_rows="drop")] == ["fine", "next"]


def test_text_after_a_closing_quote() -> None:
    with pytest.raises(DataError, match="line 2: a field in double quotes goes on after its closing quote"):
        rows('text,label\n"he said "hi" again",b\n')


def test_nul_bytes_are_named() -> None:
    with pytest.raises(DataError, match="line 3: a field holds a NUL byte"):
        rows("text,label\nlong enough text,b\nlong \x00 text,b\n")
    assert len(rows("text,label\na,b\nc\x00,d\n", on_bad_rows="drop")) == 1


def test_duplicate_and_absent_column_names() -> None:
    with pytest.raises(DataError, match=r"'text' appears more than once \(columns 1 and 3\)"):
        rows("text,label,text\na,b,c\n")
    assert list(rows(",text,\n0,a,b\n")[0]) == ["column_1", "text", "column_3"]


def test_only_a_header_and_nothing_at_all() -> None:
    assert read_delimited("text,label\n", "x", tabs=False).table.column_names == ["text", "label"]
    for text in ("", "\n \n"):
        with pytest.raises(DataError, match="is empty"):
            rows(text)


def test_tabs_without_quoting_keep_their_quotes() -> None:
    text = 'sentence\tlabel\n"Why not?" she said\t1\nIt was 5" wide\t0\n"one of two\t1\nand "both"\t0\n'
    loaded = read_delimited(text, "x.tsv", tabs=True)
    assert loaded.table["sentence"].to_pylist() == ['"Why not?" she said', 'It was 5" wide', '"one of two', 'and "both"']
    assert dict(loaded.notes) == {UNQUOTED: 4}


def test_tabs_with_quoting() -> None:
    text = 'a\tb\n"say ""hi"""\t1\n"tab\there"\t2\n"two\nlines"\t3\n'
    assert [row["a"] for row in rows(text, tabs=True)] == ['say "hi"', "tab\there", "two\nlines"]


def test_tabs_with_quoting_and_one_fault() -> None:
    text = 'a\tb\n"say ""hi"""\t1\n"say ""ho"""\t2\n"cut off\t3\n'
    with pytest.raises(DataError, match="line 4: a field begins with a double quote"):
        rows(text, tabs=True)


def test_stray_quotes_that_pair_up_across_lines() -> None:
    text = 'a\tb\n"open\t1\nplain\t2\nclosed"\t3\nlast\t4\n'
    # Everything from the first quote to the second reads as one field, leaving rows of two fields: both readings are regular.
    assert _tab_conventions(text) == (False, True)
    loaded = read_delimited(text, "x", tabs=True)
    assert loaded.table.to_pylist() == [{"a": a, "b": b} for a, b in (('"open', "1"), ("plain", "2"), ('closed"', "3"), ("last", "4"))]
    assert dict(loaded.notes) == {UNQUOTED: 2}
    in_quotes = text.replace("a\tb", '"a"\t"b"')
    assert rows(in_quotes, tabs=True) == [{"a": "open\t1\nplain\t2\nclosed", "b": "3"}, {"a": "last", "b": "4"}]
    assert rows(text.replace('closed"\t3', 'closed"\t3\nand "more" \t5'), tabs=True)[0]["a"] == '"open'
    irregular = 'a\tb\n1\t"open\nplain\t2\n"\t3\nlast\t4\n'
    assert [row["a"] for row in rows(irregular, tabs=True)] == ["1", "plain", '"', "last"]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=12)
quirky = st.text(st.sampled_from('a"\t,\n\r '), max_size=8)


@settings(deadline=None)
@given(table=st.lists(st.tuples(cells | quirky, cells | quirky), max_size=6), delimiter=st.sampled_from([",", "\t", ";"]))
def test_reads_what_a_csv_writer_wrote(table: list[tuple[str, str]], delimiter: str) -> None:
    buffer = io.StringIO(newline="")
    # rows within a cell are one only where the header is quoted
    like_rows = any("\t" in cell and ("\n" in cell or "\r" in cell) for row in table for cell in row)
    quoting = csv.QUOTE_ALL if like_rows and delimiter == "\t" else csv.QUOTE_MINIMAL
    csv.writer(buffer, delimiter=delimiter, quoting=quoting).writerows([("first", "second"), *table])
    read = read_delimited(buffer.getvalue(), "x", tabs=delimiter == "\t", delimiter=delimiter).table
    assert list(zip(read["first"].to_pylist(), read["second"].to_pylist(), strict=True)) == table


def test_rows_that_end_with_carriage_returns_beside_a_line_feed_in_a_cell() -> None:
    text = 'text,label\r"one\ntwo",a\r"stray" quote,b\rc,d\re\rf,g\r'
    loaded = read_delimited(text, "x", tabs=False, on_bad_rows="drop")
    assert loaded.table["text"].to_pylist() == ["one\ntwo", "c", "f"]
    assert loaded.row_numbers().tolist() == [0, 2, 4]
    assert loaded.dropped.total() == 2
    with pytest.raises(DataError, match="line 4: a field in double quotes goes on"):
        read_delimited(text, "x", tabs=False)


@settings(deadline=None)
@given(text=st.text(st.sampled_from('ab",\n\r'), max_size=30), quoted=st.booleans())
def test_the_two_parsers_agree(text: str, quoted: bool) -> None:
    table = _through_arrow(text, ",", quoted)
    if table is None or not table.num_rows:
        return
    records = _walk(text, "x", ",", quoted, None)
    assert not records.bad
    assert [list(row.values()) for row in table.to_pylist()] == [records.header, *records.rows]
