import sys
from typing import Any

import datasets
import pytest

from bertworks.data.table import read_table
from bertworks.errors import DataError, MissingExtraError

SPLITS = {name: datasets.Dataset.from_dict({"text": [f"{name} {i}" for i in range(10)]}) for name in ("train", "test")}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, str | None]]:
    """Puts a stand-in for the hub in place; what it was asked for is listed."""
    asked: list[tuple[str, str | None, str | None]] = []

    def load_dataset(path: str, name: str | None = None, *, split: str | None = None) -> Any:
        asked.append((path, name, split))
        if path == "absent/set":
            raise ConnectionError("Couldn't reach 'absent/set' on the Hub\nlong advice")
        return datasets.DatasetDict(SPLITS) if split is None else SPLITS[split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_only_the_wanted_splits_are_loaded(calls: list[Any]) -> None:
    table = read_table("user/reviews:plain", split="test[:20%]+train[-1:]+test[9:]")
    assert table.data["text"].to_pylist() == ["test 0", "test 1", "train 9", "test 9"]
    assert calls == [("user/reviews", "plain", "test"), ("user/reviews", "plain", "train")]


def test_without_a_split_the_choice_is_told(calls: list[Any]) -> None:
    with pytest.raises(DataError, match="imdb has the splits train, test"):
        read_table("imdb")
    assert calls == [("imdb", None, None)]


def test_the_reason_of_a_failure_is_told(calls: list[Any]) -> None:
    with pytest.raises(DataError, match=r"neither a file nor a folder here.*'train'.*Couldn't reach 'absent/set' on the Hub$"):
        read_table("absent/set", split="train")


@pytest.mark.parametrize("name", ["reviews.csv", "./reviews", "../a/b", "a/b/c", "two words", "data.jsonl.gz"])
def test_what_can_only_be_a_file_is_not_looked_up(name: str, calls: list[Any]) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_table(name)
    assert not calls


def test_streamed_sets_are_refused() -> None:
    with pytest.raises(DataError, match="without streaming"):
        read_table(type("IterableDataset", (), {"__module__": "datasets.iterable_dataset"})())


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"bertworks\[hub\]"):
        read_table("user/reviews", split="train")
