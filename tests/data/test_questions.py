"""Questions from SQuAD files, tables, JSON lines and lists: the same examples from every form, and errors that name the place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bertworks.data.question_examples import GoldAnswer, QuestionExample
from bertworks.data.questions import read_questions
from bertworks.data.squad import is_questions
from bertworks.errors import DataError, SettingsError

CONTEXT = "The mill by the river was built in 1704. It burnt down in 1810, and again in 1811."
ROWS: list[dict[str, Any]] = [
    {
        "id": "m1",
        "question": "When was the mill built?",
        "context": CONTEXT,
        "answers": {"text": ["1704", "in 1704"], "answer_start": [35, 32]},
    },
    {"id": "m2", "question": "Who built the mill?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
    {"id": "m3", "question": "Where was it?", "context": CONTEXT, "answers": {"text": ["by the river"], "answer_start": [9]}},
]
EXAMPLES = [
    QuestionExample("When was the mill built?", CONTEXT, (GoldAnswer("1704", 35), GoldAnswer("in 1704", 32)), "m1"),
    QuestionExample("Who built the mill?", CONTEXT, (), "m2"),
    QuestionExample("Where was it?", CONTEXT, (GoldAnswer("by the river", 9),), "m3"),
]


def squad(**changes: Any) -> dict[str, Any]:
    """A SQuAD object with the same questions; `changes` are put over the first of them."""
    entries = []
    for row in ROWS:
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
        entries.append({"id": row["id"], "question": row["question"], "answers": answers, "is_impossible": not answers})
    entries[0] |= changes
    return {"version": "v2.0", "data": [{"title": "Mill", "paragraphs": [{"context": CONTEXT, "qas": entries}]}]}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def plain(examples: list[QuestionExample]) -> list[tuple[Any, ...]]:
    return [(e.question, e.context, e.answers, e.id) for e in examples]


# ---- the same from every form


def test_squad_file(tmp_path: Path) -> None:
    path = write(tmp_path / "squad.json", squad())
    data = read_questions(path)
    assert plain(data.examples) == plain(EXAMPLES)
    assert {example.title for example in data.examples} == {"Mill"}
    assert data.unanswerable == 1
    assert data.accounting.rows == 3
    packed = tmp_path / "squad.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_questions(str(packed)).examples == data.examples
    assert read_questions(squad()).examples == data.examples
    assert is_questions(path)
    assert is_questions(packed)


def test_rows_lines_and_parquet_as_on_the_hub(tmp_path: Path) -> None:
    lines = tmp_path / "squad.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    table = tmp_path / "squad.parquet"
    parquet.write_table(pa.Table.from_pylist(ROWS), table)
    for source in (ROWS, lines, table, pa.Table.from_pylist(ROWS), EXAMPLES):
        assert plain(read_questions(source).examples) == plain(EXAMPLES)
    assert is_questions(lines)
    assert is_questions(ROWS)
    assert is_questions(EXAMPLES)


def test_simple_csv(tmp_path: Path) -> None:
    path = tmp_path / "simple.csv"
    path.write_text(
        "question,context,answer,answer_start\n"
        'When?,"It was, they say, 1704.",1704,18\n'
        "Who?,Nobody knows.,,\n"
        "Where?,By the river.,river,\n",
        encoding="utf-8",
    )
    found = read_questions(path).examples
    assert [example.answers for example in found] == [(GoldAnswer("1704", 18),), (), (GoldAnswer("river", None),)]
    assert [example.id for example in found] == ["0", "1", "2"]


def test_csv_with_answers_as_json(tmp_path: Path) -> None:
    path = tmp_path / "nested.csv"
    cell = json.dumps(ROWS[0]["answers"]).replace('"', '""')
    path.write_text(f'q,passage,answers\nWhen?,"{CONTEXT}","{cell}"\n', encoding="utf-8")
    assert read_questions(path, question="q").examples[0].answers == EXAMPLES[0].answers


def test_columns_that_are_called_otherwise() -> None:
    rows = [{"frage": "Wann?", "absatz": "Um zwölf.", "antwort": "zwölf"}]
    data = read_questions(rows, question="frage", context="absatz", answers="antwort")
    assert data.examples[0].answers == (GoldAnswer("zwölf"),)
    with pytest.raises(DataError, match=r"no column named question or query.*--text"):
        read_questions(rows)


def test_slices_of_a_squad_file_are_those_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "squad.json", squad())
    for options in ({"split": "[1:]"}, {"limit": 2}, {"shuffle_seed": 3, "split": "[:2]"}):
        assert [e.id for e in read_questions(path, **options).examples] == [e.id for e in read_questions(ROWS, **options).examples]  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one file without splits"):
        read_questions(path, split="train")
    with pytest.raises(DataError, match="holds no question"):
        read_questions(path, split="[3:]")
    for source in (path, ROWS, EXAMPLES):
        with pytest.raises(SettingsError, match="limit is a number of rows, at least 1, not 0"):
            read_questions(source, limit=0)


def test_questions_know_their_rows(tmp_path: Path) -> None:
    document = squad()
    document["data"][0]["paragraphs"][0]["qas"][0]["question"] = ""
    rows = [{**row, "question": ""} if row["id"] == EXAMPLES[0].id else row for row in ROWS]
    for source in (write(tmp_path / "squad.json", document), rows):
        for options in ({}, {"split": "[1:]"}, {"shuffle_seed": 3, "split": "[:2]"}, {"limit": 2}):
            data = read_questions(source, on_bad_rows="drop", **options)  # type: ignore[arg-type]
            assert [ROWS[row]["id"] for row in data.rows] == [example.id for example in data.examples]
            assert 0 not in data.rows
    assert read_questions(EXAMPLES, split="[1:]").rows.tolist() == [1, 2]
    assert read_questions(EXAMPLES, split="[1:]").accounting.rows == 2


def test_a_question_need_tell_no_answer_to_be_asked(tmp_path: Path) -> None:
    document = squad()
    del document["data"][0]["paragraphs"][0]["qas"][0]["answers"]
    path = write(tmp_path / "asked.json", document)
    assert read_questions(path, require_answers=False).examples[0].answers is None
    with pytest.raises(DataError, match="question m1: no answer to a question that is not marked as impossible"):
        read_questions(path)
    rows = [{"question": "When?", "context": "At noon."}]
    assert read_questions(rows, require_answers=False).examples[0].answers is None
    with pytest.raises(DataError, match="answers or answer or answer_text"):
        read_questions(rows)


# ---- what is wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": [{"text": "1704", "answer_start": "x"}]}, "an answer_start that is no place"),
        ({"answers": [{"text": "1704", "answer_start": -1}]}, "an answer_start that is no place"),
        ({"answers": [{"text": " ", "answer_start": 3}]}, "an answer without a text"),
        ({"answers": 7}, "answers that cannot be understood"),
        ({"question": ""}, "a question that is empty or no text"),
        ({"question": 5}, "a question that is empty or no text"),
        ({"is_impossible": True}, "answers to a question that is marked as impossible"),
        ({"is_impossible": "no"}, "is_impossible is neither true nor false"),
    ],
)
def test_a_bad_question_is_named_or_left_out(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "bad.json", squad(**changes))
    with pytest.raises(DataError) as error:
        read_questions(path)
    for part in (str(path), "article 0 'Mill', paragraph 0, question m1", message, "--on-bad-rows drop"):
        assert part in str(error.value)
    data = read_questions(path, on_bad_rows="drop")
    assert [example.id for example in data.examples] == ["m2", "m3"]
    assert data.accounting.rows == 3
    assert dict(data.accounting.dropped) == {message: 1}


def test_rows_are_named_by_number_and_id() -> None:
    rows = [ROWS[0], {**ROWS[1], "answers": {"text": ["a", "b"], "answer_start": [1]}}]
    with pytest.raises(DataError, match=r"row 1 \(the first is 0\), question m2: answers and their places differ in number"):
        read_questions(rows)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"data": [{"title": "Mill", "paragraphs": [{"context": "x"}]}]},
            "article 0 'Mill', paragraph 0: 'qas' must be a list, but is missing",
        ),
        ({"data": [{"title": "Mill", "paragraphs": 3}]}, "article 0 'Mill': 'paragraphs' must be a list, but is int"),
        ({"data": [{"paragraphs": []}]}, "has no usable question"),
    ],
)
def test_broken_nesting(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_questions(write(tmp_path / "broken.json", document))


def test_a_squad_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps(squad())[:-40], encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        read_questions(path)


def test_other_json_is_no_squad_file(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", ROWS)
    assert not is_questions(path)
    assert plain(read_questions(path).examples) == plain(EXAMPLES)
    assert not is_questions(write(tmp_path / "table.json", [{"text": "a", "paragraphs": "b"}]))
    assert not is_questions(tmp_path / "missing.json")
    assert not is_questions("imdb")
