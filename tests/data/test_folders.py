from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from bertworks.data.table import read_table
from bertworks.data.writing import write_table
from bertworks.errors import DataError


def make_classes(folder: Path) -> None:
    for label, names in {"pos": ["b.txt", "a.txt"], "neg": ["c.txt"]}.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            (folder / label / name).write_text(f"{label} {name}\nsecond line\n", encoding="utf-8")
    (folder / "empty").mkdir()


def test_one_folder_a_class(tmp_path: Path) -> None:
    make_classes(tmp_path)
    table = read_table(tmp_path, split="[:2]")
    assert table.data.to_pylist() == [
        {"text": "neg c.txt\nsecond line\n", "label": "neg", "path": "neg/c.txt"},
        {"text": "pos a.txt\nsecond line\n", "label": "pos", "path": "pos/a.txt"},
    ]


def test_folders_named_after_splits(tmp_path: Path) -> None:
    make_classes(tmp_path / "train")
    make_classes(tmp_path / "test")
    assert len(read_table(tmp_path, split="test")) == 3
    with pytest.raises(DataError, match="has the splits train, test"):
        read_table(tmp_path)


def test_texts_without_a_class_are_left_out_and_counted(tmp_path: Path) -> None:
    """The folders of the movie reviews (Maas et al. 2011), whose training split has unlabelled texts beside its two classes."""
    for split in ("train", "test"):
        make_classes(tmp_path / split)
    (tmp_path / "train" / "unsup").mkdir()
    for number in range(4):
        (tmp_path / "train" / "unsup" / f"{number}_0.txt").write_text("who knows", encoding="utf-8")
    table = read_table(tmp_path, split="train")
    assert set(table.data["label"].to_pylist()) == {"pos", "neg"}
    assert dict(table.dropped) == {"texts of the folder 'unsup', which is no class": 4}
    assert read_table(tmp_path, split="test").dropped.total() == 0
    assert "unsup" in read_table(tmp_path / "train").data["label"].to_pylist(), "alone it may be a class"


def test_a_broken_text_is_named(tmp_path: Path) -> None:
    make_classes(tmp_path)
    (tmp_path / "pos" / "z.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"pos.z\.txt, line 1: byte 0xe9"):
        read_table(tmp_path)
    assert read_table(tmp_path, encoding="latin-1").data["text"][-1].as_py() == "café"


def test_files_named_after_splits(tmp_path: Path) -> None:
    write_table(pa.table({"text": ["a"]}), tmp_path / "train_10k.csv")
    write_table(pa.table({"text": ["b"]}), tmp_path / "dev.tsv.gz")
    write_table(pa.table({"text": ["c"]}), tmp_path / "notes.csv")
    assert read_table(tmp_path, split="train").data["text"].to_pylist() == ["a"]
    assert read_table(tmp_path, split="validation").data["text"].to_pylist() == ["b"]
    with pytest.raises(DataError, match=r"no split 'test'; it has train, dev"):
        read_table(tmp_path, split="test")
    write_table(pa.table({"text": ["d"]}), tmp_path / "train.csv")
    with pytest.raises(DataError, match=r"several files for the split 'train' \(train\.csv, train_10k\.csv\)"):
        read_table(tmp_path, split="train")


def test_shards_in_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for i, text in enumerate("ab"):
        write_table(pa.table({"text": [text]}), tmp_path / "data" / f"train-0000{i}-of-00002.parquet")
    assert read_table(tmp_path).data["text"].to_pylist() == ["a", "b"]


def test_rows_of_shards_keep_their_numbers_where_some_are_left_out(tmp_path: Path) -> None:
    for number, text in enumerate(("text,label\na,1\nb,2,3\nc,4\n", "text,label\nd,5\n", "text,label\ne\nf,7\n")):
        (tmp_path / f"train-0000{number}-of-00003.csv").write_text(text, encoding="utf-8")
    table = read_table(tmp_path, on_bad_rows="drop")
    assert table.data["text"].to_pylist() == ["a", "c", "d", "f"]
    assert table.rows.tolist() == [0, 2, 3, 5]
    assert table.dropped.total() == 2


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "readme.md").touch()
    with pytest.raises(DataError, match=r"found: readme\.md"):
        read_table(tmp_path)


def test_what_datasets_saved(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(str(tmp_path / "several"))
    for table in (read_table(tmp_path / "one"), read_table(str(tmp_path / "several"), split="test")):
        assert table.data.to_pylist() == [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]
    (tmp_path / "one" / "data-00000-of-00001.arrow").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "one")
