"""Every real data set of classification and pairs is read rightly without naming more than is in doubt."""

import csv
import time
from pathlib import Path
from typing import Any

import pytest

from bertworks.data.text_data import read_texts
from bertworks.errors import DataError

pytestmark = pytest.mark.shared

# file, arguments, rows, (text, pair, label), kind, number of distinct labels
FILES = [
    ("classification/imdb/train.parquet", {}, 25_000, ("text", None, "label"), "single", 2),
    ("classification/imdb/test.parquet", {}, 12_500, ("text", None, "label"), "single", 2),
    ("classification/sst2/train.tsv", {}, 67_349, ("sentence", None, "label"), "single", 2),
    ("classification/sst2/dev.tsv", {}, 872, ("sentence", None, "label"), "single", 2),
    ("classification/ag_news/train_10k.csv", {}, 9_991, ("description", None, "label"), "single", 4),
    ("classification/ag_news/test.csv", {}, 3_800, ("description", None, "label"), "single", 4),
    ("classification/trec/train.tsv", {"label": "label"}, 5_452, ("question", None, "label"), "single", 6),
    ("classification/trec/train.tsv", {"label": "fine_label"}, 5_452, ("question", None, "fine_label"), "single", 50),
    ("classification/cola/train.tsv", {}, 8_551, ("sentence", None, "acceptable"), "single", 2),
    ("classification/cola/dev.tsv", {}, 527, ("sentence", None, "acceptable"), "single", 2),
    ("classification/banking77/train.csv", {}, 10_003, ("text", None, "category"), "single", 77),
    ("classification/clinc150/train.jsonl", {}, 15_100, ("text", None, "label"), "single", 151),
    ("classification/clinc150/dev.jsonl", {}, 3_100, ("text", None, "label"), "single", 151),
    ("pairs/stsb/train.csv", {}, 5_749, ("sentence1", "sentence2", "score"), "number", 140),
    ("pairs/stsb/dev.csv", {}, 1_500, ("sentence1", "sentence2", "score"), "number", 78),
    ("pairs/mrpc/train.tsv", {}, 3_668, ("sentence1", "sentence2", "paraphrase"), "single", 2),
    ("pairs/mrpc/dev.tsv", {}, 408, ("sentence1", "sentence2", "paraphrase"), "single", 2),
    ("pairs/rte/train.tsv", {}, 2_490, ("premise", "hypothesis", "label"), "single", 2),
    ("pairs/rte/dev.tsv", {}, 277, ("premise", "hypothesis", "label"), "single", 2),
    ("pairs/sick/train.tsv", {"label": "entailment"}, 4_500, ("sentence_A", "sentence_B", "entailment"), "single", 3),
    ("pairs/sick/dev.tsv", {"label": "relatedness_score"}, 500, ("sentence_A", "sentence_B", "relatedness_score"), "number", None),
]


@pytest.mark.parametrize(("file", "arguments", "rows", "columns", "kind", "distinct"), FILES)
def test_real_files(
    real_data: Path, file: str, arguments: dict[str, Any], rows: int, columns: tuple[str, ...], kind: str, distinct: int | None
) -> None:
    data = read_texts(real_data / file, **arguments)
    assert (len(data), data.accounting.rows, data.accounting.dropped.total()) == (rows, rows, 0)
    assert (data.text_column, data.pair_column, data.label_column) == columns
    assert (data.label_kind, distinct or len(set(data.labels or ()))) == (kind, len(set(data.labels or ())))
    if file.endswith((".csv", ".tsv")):  # all of them were written with quoting
        with open(real_data / file, encoding="utf-8", newline="") as lines:
            expected = list(csv.DictReader(lines, delimiter="," if file.endswith(".csv") else "\t"))
        assert data.texts == [row[data.text_column] for row in expected]
        assert data.pairs is None or data.pairs == [row[data.pair_column or ""] for row in expected]


@pytest.mark.parametrize(
    ("file", "candidates"),
    [("classification/trec/train.tsv", "label or fine_label"), ("pairs/sick/dev.tsv", "relatedness_score or entailment")],
)
def test_two_possible_labels_are_asked_about(real_data: Path, file: str, candidates: str) -> None:
    with pytest.raises(DataError, match=f"the label could be {candidates}"):
        read_texts(real_data / file)


def test_folders_with_a_file_a_split(real_data: Path) -> None:
    assert len(read_texts(real_data / "classification" / "sst2", split="validation")) == 872
    assert len(read_texts(real_data / "classification" / "ag_news", split="train[:10%]", shuffle_seed=0)) == 999


def test_reading_25000_reviews_takes_a_moment(real_data: Path) -> None:
    started = time.perf_counter()
    read_texts(real_data / "classification" / "imdb" / "train.parquet")
    assert time.perf_counter() - started < 2
