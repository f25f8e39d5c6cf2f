"""Questions with choices, in every form that is read, and what is wrong with some."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bertworks.data.choice_examples import ChoiceQuestion
from bertworks.data.choices import is_choices, read_choices
from bertworks.errors import DataError, SettingsError

ROWS = [
    {"question": "What is hot?", "choices": ["ice", "tea", "snow"], "answer": 1},
    {"question": "What is wet?", "choices": ["rain", "sand"], "answer": 0},
    {"question": "What is sweet?", "choices": ["salt", "rice", "lime", "honey"], "answer": 3},
]
QUESTIONS = [ChoiceQuestion(row["question"], tuple(row["choices"])) for row in ROWS]  # type: ignore[arg-type]
RIGHT = [1, 0, 3]


def with_answers(answers: list[Any]) -> list[dict[str, Any]]:
    return [{**row, "answer": answer} for row, answer in zip(ROWS, answers, strict=True)]


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([1, 0, 3], "counted from 0"),
        ([2, 1, 4], "counted from 1"),
        (["1", "0", "3"], "counted from 0"),
        ([2.0, 1.0, 4.0], "counted from 1"),
        (["B", "A", "D"], "letters"),
        (["b", "a", "d"], "letters"),
        (["tea", "rain", " honey "], "texts"),
    ],
)
def test_answers_in_every_form_mean_the_same(answers: list[Any], line: str) -> None:
    read = read_choices(with_answers(answers))
    assert (read.questions, read.answers) == (QUESTIONS, RIGHT)
    assert line in read.notes[-1]


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "choices": json.dumps(row["choices"])}


def test_every_layout_and_file_reads_the_same(tmp_path: Path) -> None:
    letters = ["B", "A", "D"]
    names = [{"text": row["choices"], "label": list("ABCD")[: len(row["choices"])]} for row in ROWS]  # type: ignore[arg-type]
    in_columns = [
        {"question": row["question"], **{f"ending{i}": text for i, text in enumerate(row["choices"])}, "label": answer}  # type: ignore[arg-type]
        for row, answer in zip(ROWS, RIGHT, strict=True)
    ]
    frames = {
        "lists": pd.DataFrame(ROWS),
        "names": pd.DataFrame({"question": [row["question"] for row in ROWS], "choices": names, "answerKey": letters}),
        "columns": pd.DataFrame(in_columns),
    }
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        frame.to_json(tmp_path / f"{name}.jsonl", orient="records", lines=True)
    frames["columns"].to_csv(tmp_path / "columns.csv", index=False)
    frames["columns"].to_csv(tmp_path / "columns.tsv", index=False, sep="\t")
    pd.DataFrame([as_text(row) for row in ROWS]).to_csv(tmp_path / "lists.csv", index=False)
    for path in sorted(tmp_path.iterdir()):
        read = read_choices(path)
        assert (read.questions, read.answers) == (QUESTIONS, RIGHT), path.name


@pytest.mark.parametrize(
    "names",
    [
        ("ending0", "ending1"),
        ("choice_a", "choice_b"),
        ("option1", "option2"),
        ("Option 1", "Option 2"),
        ("A", "B"),
        ("answerA", "answerB"),
    ],
)
def test_columns_of_choices_are_guessed_in_their_order(names: tuple[str, str]) -> None:
    row = {names[1]: "second", "label": "0", "question": "which?", names[0]: "first"}
    read = read_choices([row])
    assert read.questions == [ChoiceQuestion("which?", ("first", "second"))]
    assert read.columns.choices == names


def test_numbered_columns_tell_from_where_numbers_count() -> None:
    rows = [{"sentence": f"the _ {i}", "option1": "cup", "option2": "pot", "option3": "pan", "answer": "2"} for i in range(3)]
    assert read_choices(rows).answers == [1, 1, 1]
    from_0 = [{name.replace("3", "0"): value for name, value in row.items()} for row in rows]
    assert read_choices(from_0).answers == [2, 2, 2]
    named = [{"q": "which?", "x": "cup", "y": "pot", "z": "pan", "right": "2"}]
    assert read_choices(named, question="q", choices=["x", "y", "z"], answers="right", first=1).answers == [1]
    with pytest.raises(DataError, match=r"from 0 or from 1: say it with first_choice=0"):
        read_choices(named, question="q", choices=["x", "y", "z"], answers="right")


def test_a_slice_reads_answers_as_the_whole_does() -> None:
    rows = with_answers([2, 1, 4])
    assert read_choices(rows, split="[:1]").answers == [1]
    assert read_choices(rows, limit=1).answers == [1]


def test_columns_are_named_or_begun() -> None:
    rows = [{"asked": "which?", "opt_a": "cup", "opt_b": "pot", "choice1": "x", "choice2": "y", "right": "B"}]
    with pytest.raises(DataError, match=r"could be opt_a \+ opt_b or choice1 \+ choice2.*--choices"):
        read_choices(rows, question="asked", answers="right")
    for choices in ("opt", ["opt_a", "opt_b"]):
        assert read_choices(rows, question="asked", choices=choices, answers="right").questions[0].choices == ("cup", "pot")


def test_a_context_is_read_before_its_question_and_keeps_its_questions_together() -> None:
    rows = [{"article": "It rained.", "question": text, "options": ["rain", "sun"], "answer": "A"} for text in ("What fell?", "Why?")]
    read = read_choices(rows)
    assert [question.text for question in read.questions] == ["It rained. What fell?", "It rained. Why?"]
    assert read.groups == ["It rained.", "It rained."]
    assert "read before the question" in read.notes[0]
    assert [q.text for q in read_choices(rows, question="question").questions] == ["What fell?", "Why?"]
    assert read_choices([{k: v for k, v in row.items() if k != "question"} for row in rows]).questions[0].text == "It rained."


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_a_context_may_be_empty(empty: str | None) -> None:
    usual = {"question": "Who came?", "choices": ["the dog", "the cat"], "answer": "A"}
    read = read_choices([{**usual, "context": "It was late."}, {**usual, "context": empty}])
    assert [question.text for question in read.questions] == ["It was late. Who came?", "Who came?"]
    assert read.groups[1] == read.questions[1]


def test_choices_that_are_numbers() -> None:
    sums = [{"question": "1 + 1", "choices": [1, 2], "answer": "2"}, {"question": "1 + 2", "choices": [3, 4], "answer": "3"}]
    assert read_choices(sums).answers == [1, 0]
    assert read_choices(sums).questions[0].choices == ("1", "2")
    doubtful = [{"question": "1 + 1", "choices": ["2", "0"], "answer": "0"}]
    with pytest.raises(DataError, match="may be numbers of choices, or the choices themselves"):
        read_choices(doubtful)
    assert read_choices(doubtful, first=0).answers == [0]


def test_without_answers_none_are_looked_for() -> None:
    read = read_choices([{"question": "which?", "choices": ["cup", "pot"]}], with_answers=False)
    assert (read.answers, read.form) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "C"}, r"row 1 \(the first is 0\): an answer that is none of the choices: 'C' of 2 choices; a letter from A to B"),
        ({"answer": None}, "row 1 .*: no answer"),
        ({"answer": "-1"}, "row 1 .*: no answer"),
        ({"choices": ["rain"]}, "row 1 .*: fewer than two choices: 1 is there"),
        ({"choices": []}, "row 1 .*: fewer than two choices: 0 are there"),
        ({"choices": ["rain", " "]}, "row 1 .*: a choice that is empty or no text: choice 2 is ' '"),
        ({"question": "  "}, "row 1 .*: a question that is empty or no text: its 'question' is '  '"),
        ({"question": None}, "row 1 .*: a question that is empty"),
    ],
)
def test_a_bad_row_is_named_or_dropped(change: dict[str, Any], message: str) -> None:
    rows = with_answers(["B", "A", "D"])
    rows[1] |= change
    with pytest.raises(DataError, match=message) as caught:
        read_choices(rows)
    assert str(caught.value).endswith("(--on-bad-rows drop)")
    read = read_choices(rows, on_bad_rows="drop")
    assert (read.answers, read.table.rows.tolist()) == ([1, 3], [0, 2])
    assert (read.accounting.rows, read.accounting.dropped.total()) == (3, 1)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["B", "A", "E"], "'E' of 4 choices; a letter from A to D"),
        ([1, 0, 4], r"row 2 .*'4' of 4 choices; a number from 0 to 3 is wanted \(answers are numbers of choices, counted from 0\)"),
        ([0, 2, 4], r"row 1 .*'2' of 2 choices; a number from 0 to 1"),
        ([2, 3, 4], r"row 1 .*'3' of 2 choices; a number from 1 to 2"),
        (["tea", "rain", "hony"], "'hony' of 4 choices; a choice word by word"),
    ],
)
def test_a_bad_answer_among_good_ones(answers: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_choices(with_answers(answers))


def test_an_empty_cell_before_another_choice_is_no_choice() -> None:
    rows = [{"question": "which?", "choice1": "cup", "choice2": "", "choice3": "pan", "label": "1"}]
    with pytest.raises(DataError, match="choice 2 is ''"):
        read_choices(rows)


def test_an_answer_that_stands_there_twice() -> None:
    with pytest.raises(DataError, match="'cup' stands there 2 times"):
        read_choices([{"question": "which?", "choices": ["cup", "cup", "pan"], "answer": "cup"}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"asked": "which?", "choices": ["a b", "c d"], "answer": "A"}, "the question cannot be told by name.*--text"),
        ({"question": "which?", "premise": "so", "choices": ["a b", "c d"], "answer": "A"}, "the question could be question or premise"),
        ({"question": "which?", "answer": "A"}, "the choices cannot be told by name.*--choices.*once for each"),
        ({"question": "which?", "choices": ["a b", "c d"]}, "the answer cannot be told by name.*--label"),
        ({"question": "which?", "choices": ["a b", "c d"], "answer": "A", "label": 0}, "the answer could be answer or label"),
        ({"question": "which?", "choices": "cup, pot", "answer": "A"}, "'cup, pot' is no list"),
    ],
)
def test_columns_that_are_not_safe_to_guess(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_choices([row])


def test_wrong_arguments() -> None:
    with pytest.raises(DataError, match=r"no column 'chioces'.*Did you mean 'choices'"):
        read_choices(ROWS, choices="chioces")
    with pytest.raises(SettingsError, match="0 or 1, not 2"):
        read_choices(ROWS, first=2)
    with pytest.raises(DataError, match="must be different columns"):
        read_choices(ROWS, question="answer", answers="answer")


def test_what_is_unmistakable(tmp_path: Path) -> None:
    assert is_choices(ROWS)
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n")
    assert is_choices(path)
    path.write_text(json.dumps({"text": "a", "label": "b"}) + "\n")
    assert not is_choices(path)
    assert not is_choices(tmp_path / "none.jsonl")
    assert not is_choices([{"question": "who?", "context": "he", "answers": ["he"]}])
