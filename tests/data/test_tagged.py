"""Reading labelled words: CoNLL files, JSON lines, tables and lists."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bertworks.data.conll import read_conll, write_conll
from bertworks.data.tag_schemes import Span
from bertworks.data.tagged import is_tagged, read_tagged, tagged_splits
from bertworks.errors import DataError, SettingsError

CONLL = "Ada NNP B-PER\nLovelace NNP I-PER\nwrote VBD O\n\n-DOCSTART- -X- O\n\n# a comment\nParis NNP B-LOC\n. . O\n"
SENTENCES = [["Ada", "Lovelace", "wrote"], ["Paris", "."]]
TAGS = [["B-PER", "I-PER", "O"], ["B-LOC", "O"]]
SPANS = [{"text": "Ada saw Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}, {"start": 8, "end": 12, "label": "LOC"}]}]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separate", [" ", "\t", "   "])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "\r"])
def test_a_conll_file(tmp_path: Path, separate: str, ending: str) -> None:
    path = tmp_path / "train.conll"
    path.write_bytes(CONLL.replace(" ", separate).replace(f"#{separate}a{separate}comment", "# a comment").replace("\n", ending).encode())
    data = read_tagged(path)
    assert data.sentences == SENTENCES
    assert data.labels == TAGS
    assert (data.scheme, data.guessed, data.is_text) == ("IOB2", True, False)
    assert sum(data.accounting.notes.values()) == 2
    assert data.table.rows.tolist() == [0, 1]


def test_lines_of_white_space_end_a_sentence_and_columns_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "x.conll", "Ada\tNNP\tB-PER\n\t\nruns\tVBZ\tO\n")
    assert read_tagged(path).sentences == [["Ada"], ["runs"]]
    assert read_tagged(path, label="1").labels == [["NNP"], ["VBZ"]]
    assert read_tagged(path, label="-1").labels == [["B-PER"], ["O"]]
    with pytest.raises(DataError, match="3 columns, so there is no column 3"):
        read_tagged(path, label="3")
    with pytest.raises(DataError, match="as a number"):
        read_tagged(path, label="tag")


def test_conll_u(tmp_path: Path) -> None:
    rows = ["1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_", "1\tde\tde\tADP\t_\t_\t0\troot\t_\t_", "2\tle\tle\tDET\t_\t_\t1\tdet\t_\t_"]
    path = write(tmp_path / "x.conllu", "# text = du\n" + "\n".join(rows) + "\n\n")
    data = read_tagged(path)
    assert (data.sentences, data.labels, data.scheme) == ([["de", "le"]], [["ADP", "DET"]], "words")


def test_a_word_may_be_a_number_sign(tmp_path: Path) -> None:
    text = "#\tO\n#photo\tB-X\n\n# id = 3\nb\tO\n"
    assert read_tagged(write(tmp_path / "x.conll", text)).sentences == [["#", "#photo"], ["b"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n\nc O\nd O\n", "line 2: 1 columns where the other lines have 2"),
        ("a\tO\nb\tO\n\tO\n", "line 3: the word is empty"),
        ("a O\nb O\nc d O\n", "line 3: 3 columns"),
        ("", "empty"),
        ("a\nb\n", "one column"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "bad.conll", text)
    with pytest.raises(DataError, match=message) as caught:
        read_tagged(path)
    assert "bad.conll" in str(caught.value)


def test_faulty_sentences_are_left_out_on_request(tmp_path: Path) -> None:
    data = read_tagged(write(tmp_path / "bad.conll", "a O\nb\n\nc O\nd B-X\n"), on_bad_rows="drop")
    assert data.sentences == [["c", "d"]]
    assert data.accounting.rows == 2
    assert sum(data.accounting.dropped.values()) == 1
    assert data.table.rows.tolist() == [1]


def test_a_folder_of_splits_and_slices(tmp_path: Path) -> None:
    write(tmp_path / "train.conll", CONLL)
    write(tmp_path / "dev.conll", "b\tO\n")
    assert is_tagged(tmp_path)
    assert tagged_splits(tmp_path) == {"train": "train", "validation": "dev"}
    assert read_tagged(tmp_path, split="dev").sentences == [["b"]]
    assert read_tagged(tmp_path, split="train[1:]").sentences == SENTENCES[1:]
    assert read_tagged(tmp_path / "train.conll", limit=1).sentences == SENTENCES[:1]


def test_columns_can_be_chosen_in_a_folder_too(tmp_path: Path) -> None:
    write(tmp_path / "train.conll", "1\tAda\tNNP\tB-PER\n2\truns\tVBZ\tO\n")
    data = read_tagged(tmp_path, split="train", text="1", label="2")
    assert (data.sentences, data.labels) == ([["Ada", "runs"]], [["NNP", "VBZ"]])
    with pytest.raises(DataError, match=r"has no names of columns: give label as a number, from 0, not 'tag'"):
        read_tagged(tmp_path, split="train", label="tag")
    (tmp_path / "tables").mkdir()
    write(tmp_path / "tables" / "train.jsonl", json.dumps({"tokens": ["Ada"], "tag": ["B-PER"]}))
    assert read_tagged(tmp_path / "tables", split="train", label="tag").labels == [["B-PER"]]


def test_several_files_of_a_split_are_not_chosen_from(tmp_path: Path) -> None:
    for name in ("train.conll", "train_2.conll", "dev.conll"):
        write(tmp_path / name, CONLL)
    assert read_tagged(tmp_path, split="dev").sentences == SENTENCES
    with pytest.raises(DataError, match=r"several files for the split 'train' \(train\.conll, train_2\.conll\); name the one to read"):
        read_tagged(tmp_path, split="train")


def test_compressed(tmp_path: Path) -> None:
    path = tmp_path / "x.conll.gz"
    path.write_bytes(gzip.compress(CONLL.encode()))
    assert is_tagged(path)
    assert read_tagged(path).labels == TAGS


@pytest.mark.parametrize(
    "source",
    [
        [{"words": w, "tags": t} for w, t in zip(SENTENCES, TAGS, strict=True)],
        {"tokens": SENTENCES, "ner_tags": TAGS, "pos_tags": [["a"] * 3, ["b"] * 2]},
        pa.table({"tokens": SENTENCES, "labels": TAGS}),
        pd.DataFrame({"words": SENTENCES, "ner": TAGS}),
    ],
)
def test_tables_of_words(source: Any) -> None:
    assert is_tagged(source)
    data = read_tagged(source)
    assert (data.sentences, data.labels, data.scheme) == (SENTENCES, TAGS, "IOB2")


def test_class_labels_of_datasets_are_read_by_name() -> None:
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    features = datasets.Features(
        {"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names))}
    )
    source = datasets.Dataset.from_dict({"tokens": SENTENCES, "ner_tags": [[1, 2, 0], [3, 0]]}, features=features)
    assert read_tagged(source).labels == TAGS


@pytest.mark.parametrize(
    "entities",
    [
        [{"start": 0, "end": 3, "label": "PER"}, {"start": 8, "end": 12, "label": "LOC"}],
        [[8, 12, "LOC"], [0, 3, "PER"]],
        [{"start_offset": 0, "end_offset": 3, "label": "PER", "text": "Ada"}, {"start_offset": 8, "end_offset": 12, "label": "LOC"}],
        [{"begin": 0, "end": 3, "type": "PER"}, {"begin": 8, "end": 12, "type": "LOC"}],
    ],
)
def test_texts_with_entities(tmp_path: Path, entities: list[Any]) -> None:
    path = write(
        tmp_path / "x.jsonl",
        "\n".join(json.dumps(row) for row in [{"text": "Ada saw Rome.", "entities": entities}, {"text": "No.", "entities": []}]),
    )
    assert is_tagged(path)
    data = read_tagged(path)
    assert data.sentences == ["Ada saw Rome.", "No."]
    assert data.labels == [[Span(0, 3, "PER"), Span(8, 12, "LOC")], []]
    assert data.is_text


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ({"start": 0, "end": 99, "label": "PER"}, "has 13 characters"),
        ({"start": 3, "end": 3, "label": "PER"}, "from 3 to 3"),
        ({"start": 0, "end": 3}, "label None"),
        ({"start": 0, "end": 3, "label": "PER", "text": "Bob"}, "is 'Bob', but its characters 0 to 3 are 'Ada'"),
        ([0, 3], "give start, end and label"),
    ],
)
def test_entities_that_do_not_fit_name_the_row(entity: Any, message: str) -> None:
    source = [{"text": "Fine.", "entities": []}, {"text": "Ada saw Rome.", "entities": [entity]}]
    with pytest.raises(DataError, match=message) as caught:
        read_tagged(source)
    assert "row 1" in str(caught.value)
    assert read_tagged(source, on_bad_rows="drop").sentences == ["Fine."]


def test_words_and_tags_that_do_not_fit_name_the_row() -> None:
    with pytest.raises(DataError, match=r"row 1 .*2 words but 1 tags"):
        read_tagged([{"words": ["a"], "tags": ["O"]}, {"words": ["a", "b"], "tags": ["O"]}])


def test_words_in_one_cell() -> None:
    assert read_tagged([{"text": "Ada runs", "tags": "B-PER O"}]).labels == [["B-PER", "O"]]


def test_sentences_without_words_are_counted() -> None:
    data = read_tagged([{"words": [], "tags": []}, {"words": ["a"], "tags": ["B-X"]}])
    assert data.accounting.dropped == {"no words": 1}
    assert data.table.rows.tolist() == [1]


def test_prediction_reads_texts_and_words_without_labels(tmp_path: Path) -> None:
    assert read_tagged([{"id": 1, "text": "Ada runs."}, {"id": 2, "text": None}], require_labels=False).sentences == ["Ada runs.", ""]
    data = read_tagged(write(tmp_path / "x.conll", CONLL), require_labels=False)
    assert (data.sentences, data.labels) == (SENTENCES, None)


@pytest.mark.parametrize(
    "source",
    [
        [{"text": "good", "label": "pos"}],
        {"text": ["a b"], "labels": [["x", "y"]]},
        ["a text"],
        {"premise": ["a"], "hypothesis": ["b"], "label": ["c"]},
        "no such data set",
    ],
)
def test_other_data_are_not_taken_for_tagged(source: Any) -> None:
    assert not is_tagged(source)


def test_files_are_told_by_their_lines(tmp_path: Path) -> None:
    assert is_tagged(write(tmp_path / "ner.tsv", "Ada\tB-PER\nruns\tO\n\nb\tO\n"))
    (tmp_path / "returns.tsv").write_bytes(b"Ada\tB-PER\rruns\tO\r\rb\tO\r")
    assert is_tagged(tmp_path / "returns.tsv")
    assert not is_tagged(write(tmp_path / "texts.tsv", "text\tlabel\nfine\tpos\n\nbad\tneg\n"))
    assert not is_tagged(write(tmp_path / "plain.txt", "one line\nanother line\n"))
    assert not is_tagged(write(tmp_path / "broken.jsonl", '{"words": ['))


def test_a_parquet_file_without_rows_is_looked_at(tmp_path: Path) -> None:
    words = pa.table({"words": pa.array([], pa.list_(pa.string())), "tags": pa.array([], pa.list_(pa.string()))})
    parquet.write_table(words, tmp_path / "words.parquet")
    parquet.write_table(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), tmp_path / "texts.parquet")
    assert is_tagged(tmp_path / "words.parquet")
    assert not is_tagged(tmp_path / "texts.parquet")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="columns are text, label"):
        read_tagged([{"text": 3, "label": "pos"}])
    with pytest.raises(DataError, match=r"missing.conll' does not exist"):
        read_tagged(tmp_path / "missing.conll")
    with pytest.raises(SettingsError, match="no scheme"):
        read_tagged([{"words": ["a"], "tags": ["O"]}], scheme="XYZ")


def test_conll_is_written_as_it_is_read() -> None:
    text = write_conll([[s, t] for s, t in zip(SENTENCES, TAGS, strict=True)])
    table = read_conll(text, "it").table
    assert table["words"].to_pylist() == SENTENCES
    assert table["tags"].to_pylist() == TAGS
