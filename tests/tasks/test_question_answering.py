"""The text side of question answering: windows, targets, decoding, thresholds and settings, without a model."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.question_examples import GoldAnswer, QuestionExample
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.squad import answer_scores
from bertworks.tasks import task_from_settings
from bertworks.tasks.question_answering import Answer, QuestionAnswering, best_doubt
from bertworks.tasks.question_windows import CHARACTERS, HEAD, TOO_LONG
from bertworks.tasks.span_search import Spans
from bertworks.tokenization import Tokenizer

WORDS = "movie film book soup room hotel train story song game Zebra quartz dog cat hill house, day night - week?".split()  # noqa: SIM905
IGNORED = -100


def make(seed: int, length: int, answers: int = 1) -> QuestionExample:
    """A context of so many words, and answers of some words each that stand in it."""
    draw = np.random.Generator(np.random.PCG64(seed))
    words = [str(word) for word in draw.choice(WORDS, length)]
    context, found = " ".join(words), []
    for _ in range(answers):
        first = int(draw.integers(0, length))
        last = min(length, first + int(draw.integers(1, 4)))
        start = len(" ".join(words[:first])) + (first > 0)
        found.append(GoldAnswer(" ".join(words[first:last]), start))
    return QuestionExample("what is the story?", context, tuple(found), f"id{seed}")


@given(seed=st.integers(0, 2**16), length=st.integers(1, 90), answers=st.integers(0, 3), stride=st.sampled_from([None, 0, 12]))
def test_every_answer_is_found_and_comes_back_from_its_marks(
    tiny_tokenizer: Tokenizer, seed: int, length: int, answers: int, stride: int | None
) -> None:
    example = make(seed, length, answers)
    task = QuestionAnswering(unanswerable=not answers, max_tokens=40, stride=stride, max_answer_tokens=30)
    trained, used = task.encode([example], tiny_tokenizer, targets=True), task.encode([example], tiny_tokenizer)
    marks, batch = trained.batch.token_targets[HEAD], trained.batch
    if answers and not batch.sequences:  # not one answer fits into a window
        assert {lost.reason for lost in trained.lost} == {"an answer is held by no window whole"}
        assert len(trained.lost) == answers
        return
    assert batch.input_ids.tolist() == used.batch.input_ids.tolist()
    assert np.add.reduceat((marks == 1).astype(int), batch.offsets[:-1]).tolist() == [[1, 1]] * batch.sequences
    places = used.batch.token_targets[CHARACTERS]
    first = np.zeros(batch.tokens, dtype=bool)
    first[batch.offsets[:-1]] = True
    assert ((marks[:, 0] != IGNORED) == ((places[:, 0] >= 0) | first)).all()
    assert batch.targets[f"{HEAD}_weights"].sum() == pytest.approx(1)
    (spans,) = task.spans(used.batch, np.where(marks == 1, 9.0, -9.0).astype(np.float32), count=50)
    answer = task.decide(spans, example.context)[0]
    assert example.context[answer.start : answer.end] == answer.text
    assert answer.text in ([gold.text for gold in example.answers or ()] or [""])


def test_context_tokens_lie_where_they_are_read(tiny_tokenizer: Tokenizer) -> None:
    example = make(5, 60)
    batch = QuestionAnswering(max_tokens=36).encode([example], tiny_tokenizer).batch
    assert batch.sequences > 1
    places, ids = batch.token_targets[CHARACTERS], batch.input_ids
    of_context = places[:, 0] >= 0
    assert (batch.segment_ids[of_context] == 1).all()
    for token, (start, end) in zip(ids[of_context].tolist(), places[of_context].tolist(), strict=True):
        piece = (tiny_tokenizer.id_to_token(token) or "").removeprefix("##")
        assert example.context[start:end].lower() == piece
    covered = {int(place) for start, end in places[of_context] for place in range(start, end)}
    assert covered == {place for place, letter in enumerate(example.context) if letter != " "}


def test_lost_answers_are_counted_and_listed_and_their_questions_left_out(tiny_tokenizer: Tokenizer) -> None:
    examples = [
        QuestionExample("what?", "the dog sat.", (GoldAnswer("dog", 4),), "good"),
        QuestionExample("what?", "the dog sat.", (GoldAnswer("cow", 4),), "absent"),
        QuestionExample("what?", "the dog sat.", (GoldAnswer("cow", 4), GoldAnswer("dog", 4)), "half"),
        QuestionExample("what?", "the dog sat.", (GoldAnswer("og", 5),), "within"),
        QuestionExample("what?", "the dog sat.", (GoldAnswer("dog", 6),), "off"),
        QuestionExample("what?", "the dog sat.", (), "none"),
    ]
    encoded = QuestionAnswering(True, max_tokens=40).encode(examples, tiny_tokenizer, targets=True)
    assert encoded.batch.groups.tolist() == [0, 2, 3, 4, 5]
    assert [(lost.row, lost.id, lost.answer) for lost in encoded.lost] == [(1, "absent", "cow"), (2, "half", "cow")]
    assert encoded.accounting.rows == 6
    assert encoded.accounting.dropped == {"an answer does not stand in its context": 1}
    assert encoded.accounting.notes.total() == 3
    assert sum(encoded.accounting.dropped.values()) + encoded.accounting.sequences == 6


def test_a_question_that_is_too_long_is_refused_by_name_or_counted(tiny_tokenizer: Tokenizer) -> None:
    long = QuestionExample("story " * 30, "song " * 60, (GoldAnswer("song", 0),), "q9", "Songs")
    task = QuestionAnswering(max_tokens=40)
    with pytest.raises(DataError, match=r"question q9 \(article 'Songs'\) has 30 tokens; of max_tokens=40"):
        task.encode([make(1, 5), long], tiny_tokenizer)
    encoded = task.encode([make(1, 5), long], tiny_tokenizer, on_bad_rows="drop")
    assert encoded.accounting.dropped == {TOO_LONG: 1}
    assert encoded.batch.groups.tolist() == [0]
    short = QuestionExample("story " * 25, "song song", (GoldAnswer("song", 0),))  # long, but everything fits
    assert task.encode([short], tiny_tokenizer).batch.sequences == 1
    reversed_roles = QuestionExample("story " * 36, "song song", ())  # here the question would be windowed
    with pytest.raises(DataError, match="36 tokens"):
        task.encode([reversed_roles], tiny_tokenizer)


# ---- decoding


def spans(scores: list[float], none: float) -> Spans:
    places = np.array([[2 * i, 2 * i + 1] for i in range(len(scores))]).reshape(-1, 2)
    return Spans(places, np.array(scores), places, none, 0)


def test_probabilities_are_shares_of_the_candidates() -> None:
    answers = QuestionAnswering(True).decide(spans([2.0, 1.0], 0.0), "abcdef")
    weights = np.exp([2.0, 1.0, 0.0])
    assert [answer.text for answer in answers] == ["a", "c", ""]
    assert [answer.score for answer in answers] == pytest.approx((weights / weights.sum()).tolist())
    assert answers[0].answerable == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize(("threshold", "text"), [(1.4, ""), (1.6, "a")])
def test_the_threshold_decides_and_the_decision_comes_first(threshold: float, text: str) -> None:
    answers = QuestionAnswering(True, threshold=threshold).decide(spans([2.0, 1.0], 3.5), "abcdef")
    assert answers[0].text == text
    assert sorted(answer.text for answer in answers) == ["", "a", "c"]


def test_a_model_without_unanswerable_questions_always_answers() -> None:
    answers = QuestionAnswering(False).decide(spans([-5.0], 9.0), "abcdef")
    assert answers == [Answer("a", 0, 1, 1.0, 1.0)]
    assert QuestionAnswering(False).decide(spans([], 9.0), "") == [Answer("", 0, 0, 1.0, 0.0)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.integers(-3, 3)), min_size=1, max_size=10))
def test_no_other_threshold_gives_a_better_f1(rows: list[tuple[bool, float, int]]) -> None:
    has, f1, doubts = (np.array(column) for column in zip(*rows, strict=True))
    f1 = np.where(has, f1, 0.0)

    def mean(threshold: float) -> float:
        return float(np.where(doubts > threshold, ~has, f1).mean())

    best = best_doubt(f1, has, doubts.astype(float))
    assert mean(best) == pytest.approx(max(mean(threshold / 2) for threshold in range(-9, 10)))
    assert best not in doubts  # rounding cannot decide


def test_tuning_reaches_the_best_f1_and_a_probability_that_rises(tiny_tokenizer: Tokenizer) -> None:
    draw = np.random.Generator(np.random.PCG64(3))
    examples = [make(seed, 12, answers=seed % 2) for seed in range(40)]
    task = QuestionAnswering(True, max_tokens=64)
    batch = task.encode(examples, tiny_tokenizer).batch
    marks = task.encode(examples, tiny_tokenizer, targets=True).batch.token_targets[HEAD]
    assert batch.sequences == 40
    scores = (draw.standard_normal((batch.tokens, 2)) * 2 + 3 * (marks == 1)).astype(np.float32)
    tuned = task.tuned(examples, batch, scores)
    found = list(tuned.spans(batch, scores, count=1))

    def f1(threshold: float) -> float:
        texts = ["" if s.doubt > threshold else e.context[slice(*s.characters[0])] for s, e in zip(found, examples, strict=True)]
        return float(np.mean([answer_scores(t, [a.text for a in e.answers or ()], "2.0")[1] for t, e in zip(texts, examples, strict=True)]))

    assert f1(tuned.threshold) == pytest.approx(max(f1(threshold) for s in found for threshold in (s.doubt - 1e-6, s.doubt + 1e-6)))
    assert f1(tuned.threshold) > f1(task.threshold)
    probabilities = tuned.answerable(np.array([s.doubt for s in found]))
    has = np.array([example.answerable for example in examples])
    assert probabilities[has].mean() > probabilities[~has].mean()
    assert (np.diff(tuned.answerable(np.array([-5.0, 0.0, 5.0, np.inf]))) <= 0).all()


def test_questions_of_one_kind_tune_nothing(tiny_tokenizer: Tokenizer) -> None:
    examples = [make(seed, 12) for seed in range(4)]
    task = QuestionAnswering(True, max_tokens=64)
    batch = task.encode(examples, tiny_tokenizer).batch
    assert task.tuned(examples, batch, np.zeros((batch.tokens, 2), dtype=np.float32)) is task


# ---- settings


def test_settings_come_back_and_hold_no_texts() -> None:
    task = QuestionAnswering(True, 128, 20, 15, 1.5, 0.7, -0.2, references=(make(1, 5),))
    stored = task.settings()
    assert "references" not in stored
    assert task_from_settings("question_answering", stored) == task  # references do not count


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is below 1"),
        ({"stride": -1}, "stride is below 0"),
        ({"max_answer_tokens": 0}, "max_answer_tokens is below 1"),
        ({"slope": -1.0}, "slope is below 0"),
        ({"threshold": "x"}, "'threshold' must be a number"),
        ({"references": []}, "no setting 'references'"),
        ({"treshold": 1.0}, "Did you mean 'threshold'"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        task_from_settings("question_answering", settings)


def test_where_no_question_has_a_span_nothing_is_tuned(tiny_tokenizer: Tokenizer) -> None:
    task = QuestionAnswering(unanswerable=True)
    examples = [QuestionExample("what?", "", ()), QuestionExample("what?", "", (GoldAnswer("", 0),))]
    batch = task.encode(examples, tiny_tokenizer).batch
    assert task.tuned(examples, batch, np.zeros((batch.tokens, 2))) == task
