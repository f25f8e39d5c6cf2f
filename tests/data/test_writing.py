import os
from pathlib import Path

import pyarrow as pa
import pytest

from bertworks.data.labels import read_labels
from bertworks.data.table import read_table
from bertworks.data.writing import with_columns, write_table
from bertworks.errors import DataError

TABLE = pa.table({"text": ["a", "b"]})


def test_new_columns_do_not_take_the_names_of_old_ones() -> None:
    table = pa.table({"text": ["a"], "score": [1.0], "score_2": [2.0]})
    table, told = with_columns(table, {"label": ["x"], "score": pa.array([0.5])})
    assert table.to_pylist() == [{"text": "a", "score": 1.0, "score_2": 2.0, "label": "x", "score_3": 0.5}]
    assert told == ["the source has a column 'score' already: the new one is called 'score_3'"]
    with pytest.raises(DataError, match="has 2 values for 1 rows"):
        with_columns(table, {"x": [1, 2]})


def test_values_that_csv_has_no_form_for(tmp_path: Path) -> None:
    table = pa.table({"all": [["a", "b"], []], "spans": [[{"start": 1}], None], "p": [float("nan"), 0.25]})
    path = write_table(table, tmp_path / "x.csv")
    assert path.read_text(encoding="utf-8") == 'all,spans,p\na|b,"[{""start"": 1}]",\n,,0.25\n'
    assert read_labels(read_table(path).data["all"], "multi", "x").values == [("a", "b"), ()]
    assert (
        write_table(table, tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()[0]
        == '{"all": ["a", "b"], "spans": [{"start": 1}], "p": null}'
    )


def test_rows_within_a_cell_are_one_cell_when_read_again(tmp_path: Path) -> None:
    table = pa.table({"text": ["a\tb\nc", "d"], "label": ["x", "y"]})
    path = write_table(table, tmp_path / "x.tsv")
    assert path.read_text(encoding="utf-8").startswith('"text"\t"label"\n')
    assert read_table(path).data.to_pylist() == table.to_pylist()
    assert write_table(TABLE, tmp_path / "y.tsv").read_text(encoding="utf-8") == "text\na\nb\n"


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in (".csv.gz", ".csv.xz", ".csv.zst", ".csv.bz2", ".parquet"):
        assert write_table(TABLE, tmp_path / f"a{suffix}").read_bytes() == write_table(TABLE, tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".jsonl.zst"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_table(TABLE, tmp_path / f"x{suffix}")
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        write_table(pa.table({"text": ["new"]}), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"supported are \.csv"):
        write_table(TABLE, tmp_path / "x.txt")
    with pytest.raises(DataError, match=r"cannot be written: the folder '.*absent' does not exist: make it first"):
        write_table(TABLE, tmp_path / "absent" / "x.csv")
    with pytest.raises(DataError, match="two columns of one name"):
        write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "x.jsonl")
    assert not os.listdir(tmp_path)
