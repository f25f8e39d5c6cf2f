import datetime
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.files import COMPRESSIONS
from bertworks.data.table import read_table
from bertworks.data.writing import write_table
from bertworks.errors import DataError, SettingsError

ROWS = [{"text": 'a "b", c\td', "n": 1}, {"text": "two\nlines", "n": 2}, {"text": "", "n": 3}, {"text": "naïve 日本 🙂", "n": 4}]


@pytest.mark.parametrize("compression", ["", *COMPRESSIONS])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"])
def test_every_format_in_every_compression(tmp_path: Path, suffix: str, compression: str) -> None:
    path = write_table(pa.Table.from_pylist(ROWS), tmp_path / f"x{suffix}{compression}")
    cells = [{"text": row["text"], "n": str(row["n"])} for row in ROWS] if suffix in (".csv", ".tsv") else ROWS
    read = read_table(path)
    assert read.data.to_pylist() == cells
    assert (read.source, read.rows.tolist(), read.whole) == (str(path), [0, 1, 2, 3], None)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("one\r\n\r\nthree\u2028still three\n".encode())
    assert read_table(tmp_path / "x.txt").data.to_pylist() == [{"text": "one"}, {"text": ""}, {"text": "three\u2028still three"}]
    (tmp_path / "x.txt").write_bytes(b"one\r\rthree\r")
    assert read_table(tmp_path / "x.txt").data["text"].to_pylist() == ["one", "", "three"]
    (tmp_path / "x.txt").write_bytes(b"a longer line\na\x00b\n")
    with pytest.raises(DataError, match="line 2: a NUL byte"):
        read_table(tmp_path / "x.txt")


COLUMNS: dict[str, list[Any]] = {"text": ["a", "b", None], "label": [0, 1, 1]}


@pytest.mark.parametrize(
    "source",
    [
        COLUMNS,
        [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
        pa.table(COLUMNS),
        pa.RecordBatch.from_pydict(COLUMNS),
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS).astype({"text": "category"}),
        pl.DataFrame(COLUMNS),
        datasets.Dataset.from_dict(COLUMNS),
        datasets.Dataset.from_dict({"text": [None, "b", "a"], "label": [1, 1, 0]}).select([2, 1, 0]),
    ],
    ids=["dict", "rows", "arrow", "batch", "pandas", "pandas category", "polars", "datasets", "datasets with indices"],
)
def test_objects_in_memory(source: Any) -> None:
    table = read_table(source, split="[1:]")
    assert table.data.to_pylist() == [{"text": "b", "label": 1}, {"text": None, "label": 1}]
    assert table.rows.tolist() == [1, 2]
    assert read_table(source, shuffle_seed=3).data.num_rows == 3


def test_pandas_with_strange_columns() -> None:
    frame = pd.DataFrame([["a", 1, datetime.date(2024, 1, 2)], ["b", "x", None]], columns=["text", 0, 0])
    assert read_table(frame).data.column_names == ["text", "0", "0"]
    assert read_table(frame).data.column(1).to_pylist() == ["1", "x"]


def test_a_list_of_texts() -> None:
    assert read_table(["a", "b"]).data.to_pylist() == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("seed", [-1, 1.5, "x"])
def test_seeds_that_are_none(seed: Any) -> None:
    with pytest.raises(SettingsError, match=f"shuffle_seed is a whole number, 0 or more, not {seed!r}"):
        read_table(["a"], shuffle_seed=seed)


@pytest.mark.parametrize("source", [[], 3, [1, 2], {}, pa.table({})])
def test_what_is_no_table(source: Any) -> None:
    with pytest.raises(DataError):
        read_table(source)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text\na\n")
    with pytest.raises(DataError, match=r"Did you mean '.*reviews.csv'\?"):
        read_table(tmp_path / "review.csv")
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(DataError, match=r"suffix '\.xlsx'; supported are \.csv \.tsv .* \.zst"):
        read_table(tmp_path / "x.xlsx")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read_table(tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(SettingsError, match="on_bad_rows"):
        read_table(["a"], on_bad_rows="skip")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="limit"):
        read_table(["a"], limit=0)


def test_splits_of_one_table(tmp_path: Path) -> None:
    path = write_table(pa.table({"text": ["a", "b", "c"], "split": ["train", "test", "train"]}), tmp_path / "dev.csv")
    assert read_table(path, split="dev[:2]").data["text"].to_pylist() == ["a", "b"]
    assert read_table(path, split="validation").data.num_rows == 3
    chosen = read_table(path, split="train")
    assert (chosen.data["text"].to_pylist(), chosen.rows.tolist()) == (["a", "c"], [0, 2])
    with pytest.raises(DataError, match="one table without splits, so there is no split 'tst'"):
        read_table(path, split="tst")


def test_splits_of_several() -> None:
    data = datasets.DatasetDict({name: datasets.Dataset.from_dict({"text": [name, "x"]}) for name in ("train", "validation")})
    assert read_table(data, split="dev[:1]+train[:1]").data["text"].to_pylist() == ["validation", "train"]
    with pytest.raises(DataError, match=r'has the splits train, validation: choose one with split="train"'):
        read_table(data)
    with pytest.raises(DataError, match=r"no split 'trian'; it has train, validation. Did you mean 'train'\?"):
        read_table(data, split="trian")
    with pytest.raises(DataError, match="choose one"):
        read_table(data, split="[:1]")


@settings(deadline=None)
@given(rows=st.integers(2, 50), cut=st.integers(1, 49), seed=st.integers(0, 5))
def test_shuffled_slices_of_one_split_are_disjoint_and_complete(rows: int, cut: int, seed: int) -> None:
    source, cut = {"text": [str(i) for i in range(rows)]}, min(cut, rows - 1)
    first, second = (read_table(source, split=split, shuffle_seed=seed) for split in (f"[:{cut}]", f"[{cut}:]"))
    assert [*first.rows, *second.rows] == read_table(source, shuffle_seed=seed).rows.tolist()
    assert sorted([*first.rows, *second.rows]) == list(range(rows))
    assert first.data["text"].to_pylist() == [str(row) for row in first.rows]


def test_class_names_take_the_place_of_their_numbers(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["negative", "positive"])
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": names, "all": datasets.Sequence(names), "n": datasets.Value("int64")}
    )
    data = datasets.Dataset.from_dict(
        {"text": ["a", "b", "c"], "label": [1, 0, -1], "all": [[0, 1], [], [1]], "n": [1, 0, 1]}, features=features
    )
    data.to_parquet(str(tmp_path / "x.parquet"))
    for source in (data, tmp_path / "x.parquet"):
        table = read_table(source).data
        assert table["label"].to_pylist() == ["positive", "negative", None]
        assert table["all"].to_pylist() == [["negative", "positive"], [], ["positive"]]
        assert table["n"].to_pylist() == [1, 0, 1]
    assert read_table(data, split="[1:]").data["label"].to_pylist() == ["negative", None]


def test_limit_and_what_remains_known_of_the_rest() -> None:
    table = read_table({"text": ["a", "b", "c"]}, limit=2)
    assert (len(table), table.whole.num_rows if table.whole is not None else 0) == (2, 3)
    assert read_table({"text": ["a", "b"]}, limit=2).whole is None


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)
scalars = {".csv": words, ".tsv": words, ".jsonl": words | st.none() | st.integers(-5, 5), ".parquet": words | st.none()}


@settings(deadline=None, max_examples=60)
@given(data=st.data(), suffix=st.sampled_from(sorted(scalars)), compression=st.sampled_from(["", *COMPRESSIONS]))
def test_random_tables_come_back_equal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, suffix: str, compression: str
) -> None:
    names = data.draw(st.lists(st.from_regex(r"[A-Za-z][A-Za-z ,\"_]{0,5}[a-z]", fullmatch=True), min_size=1, max_size=3, unique=True))
    kinds = [
        st.lists(scalars[suffix], min_size=2, max_size=2)
        if suffix != ".jsonl"
        else st.one_of(
            st.lists(words | st.none(), min_size=2, max_size=2), st.lists(st.integers(-9, 9) | st.none(), min_size=2, max_size=2)
        )
        for _ in names
    ]
    table = pa.table({name: pa.array(data.draw(kind)) for name, kind in zip(names, kinds, strict=True)})
    path = write_table(table, tmp_path_factory.mktemp("tables") / f"x{suffix}{compression}")
    delimiter = "," if suffix == ".csv" else None
    assert read_table(path, delimiter=delimiter).data.to_pylist() == table.to_pylist()


@settings(deadline=None, max_examples=300)
@given(
    content=st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,ab1\t\n\r\ufeff\x00|;'), max_size=40).map(str.encode), data=st.data()
)
def test_random_bytes_are_a_table_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject) -> None:
    suffix = data.draw(
        st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".txt", ".parquet", ".csv.gz", ".txt.zst", ".json.xz", ".tsv.bz2"])
    )
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(content)
    try:
        table = read_table(
            path,
            on_bad_rows=data.draw(st.sampled_from(["error", "drop"])),
            encoding=data.draw(st.sampled_from(["utf-8", "utf-16", "utf-7"])),
        )
    except DataError:
        return
    assert len(table) == len(table.rows)


def test_columns_of_views_are_read_as_plain_ones() -> None:
    import pyarrow as pa

    views = {
        "text": pa.array(["a", None, "c"], pa.string_view()),
        "lists": pa.array([["x"], [], None], pa.list_(pa.string_view())),
        "fixed": pa.array([["x", "y"]] * 3, pa.list_(pa.string_view(), 2)),
        "parts": pa.array([{"z": b"\0"}] * 3, pa.struct([("z", pa.binary_view())])),
        "map": pa.array([[("k", "v")]] * 3, pa.map_(pa.string_view(), pa.string_view())),
        "number": pa.array([1, 2, 3]),
    }
    source = pa.table(views).replace_schema_metadata({"kept": "yes"})
    table = read_table(source, shuffle_seed=0)
    assert "view" not in str(table.data.schema)
    assert sorted(table.data.to_pylist(), key=str) == sorted(source.to_pylist(), key=str)
