"""Queries, a corpus, and which texts are relevant to which query: three tables, as BEIR and TREC have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bertworks.data.columns import listed
from bertworks.data.table import Table, read_table
from bertworks.data.text_data import read_texts
from bertworks.errors import DataError

_ID_NAMES = ("_id", "id", "qid", "pid", "docid", "query_id", "corpus_id", "query-id", "corpus-id")
_QUERY_NAMES = ("query-id", "query_id", "qid", "query")
_DOCUMENT_NAMES = ("corpus-id", "corpus_id", "docid", "pid", "document", "doc_id", "passage_id")
_GAIN_NAMES = ("score", "relevance", "label", "gain", "rel")


@dataclass(frozen=True)
class RetrievalData:
    """What a search is judged by."""

    queries: list[str]
    corpus: list[str]
    relevance: list[dict[int, float]]
    """For each query the gain of each relevant text, by its number in the corpus."""
    facts: list[str]


def read_retrieval(
    queries: Any, corpus: Any, relevance: Any, *, text: str | None = None, slices: Mapping[str, Any] | None = None, **reading: Any
) -> RetrievalData:
    """Reads the three tables. Queries and corpus have a column of ids (`_id`, `id` …) and one of texts; without ids, the number of
    a row, from 0, is its id. `relevance` has a column of queries' ids, one of texts' ids, and one of gains, 1 where it lacks that.

    `slices` are what `read_texts` takes to choose some of the queries: what is relevant to others is left out then, and counted.
    `reading` are the options by which all three tables are read; with `on_bad_rows="drop"` unknown ids are left out, too.

    Raises `DataError` where a table cannot be read, or names an id that is not there.
    """
    asked, ids, facts = _texts(queries, text, **{**(slices or {}), **reading})
    stored, places, more = _texts(corpus, text, **reading)
    some, lenient, left_out = any(value is not None for value in (slices or {}).values()), reading.get("on_bad_rows") == "drop", 0
    table = read_table(relevance, **reading)
    columns = [_column(table, names) for names in (_QUERY_NAMES, _DOCUMENT_NAMES, _GAIN_NAMES)]
    if columns[0] is None or columns[1] is None:
        names = f"({', '.join(_QUERY_NAMES[:3])}) and of texts ({', '.join(_DOCUMENT_NAMES[:3])})"
        raise DataError(f"{table.name} needs columns for ids of queries {names}; it has {listed(table)}")
    values = [1.0] * len(table) if columns[2] is None else table.data[columns[2]].to_pylist()
    gains = [_gain(value, table, row) for row, value in zip(table.rows.tolist(), values, strict=True)]
    wanted: list[dict[int, float]] = [{} for _ in asked]
    pairs = zip(table.data[columns[0]].to_pylist(), table.data[columns[1]].to_pylist(), gains, strict=True)
    for row, (query, document, gain) in zip(table.rows.tolist(), pairs, strict=True):
        sought = ((query, ids, queries, some), (document, places, corpus, False))
        unknown = next(((name, of, chosen) for name, known, of, chosen in sought if str(name) not in known), None)
        if unknown is not None:
            name, of, is_of_others = unknown
            if not (is_of_others or lenient):
                raise DataError(f"{table.name}, row {row} (the first is 0): there is no id '{name!s:.60}' in {of!s:.100}")
            left_out += 1
        elif gain > 0:
            wanted[ids[str(query)]][places[str(document)]] = gain
    told = f"{table.name}: {sum(map(len, wanted)):,} relevant texts" + (f"; {left_out:,} rows of others left out" if left_out else "")
    return RetrievalData(asked, stored, wanted, [*facts, *more, told])


def _texts(source: Any, text: str | None, **reading: Any) -> tuple[list[str], Mapping[str, int], list[str]]:
    data = read_texts(source, text=text, label=False, require_labels=False, **reading)
    column = _column(data.table, _ID_NAMES)
    names = [str(row) for row in data.table.rows] if column is None else [str(value) for value in data.table.data[column].to_pylist()]
    places = {name: place for place, name in enumerate(names)}
    if len(places) < len(names):
        raise DataError(f"{data.table.name}: an id stands twice in the column '{column}'")
    ids = "row numbers" if column is None else f"'{column}'"
    return data.texts, places, [f"{data.table.name}: {len(names):,} texts; text '{data.text_column}', ids {ids}"]


def _column(table: Table, names: Sequence[str]) -> str | None:
    by_name = {name.lower(): name for name in table.data.column_names}
    return next((by_name[name] for name in names if name in by_name), None)


def _gain(value: Any, table: Table, row: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{table.name}, row {row} (the first is 0): the gain {value!r:.60} is no number") from None
