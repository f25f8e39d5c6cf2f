"""`QuestionAnswerer` as a user has it: it learns, answers with spans of the original text, and is saved and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks as bw
from bertworks import QuestionAnswerer
from bertworks.data.question_examples import GoldAnswer, QuestionExample
from bertworks.errors import DataError, NotFittedError, SettingsError
from bertworks.evaluation.squad import squad_v1, squad_v2

Examples = Callable[..., list[QuestionExample]]
Fitted = Callable[..., QuestionAnswerer]


@pytest.mark.parametrize("unanswerable", [True, False])
def test_it_learns_and_is_judged_as_squad_judges(fitted_answerer: Fitted, examples: Examples, unanswerable: bool) -> None:
    answerer, test = fitted_answerer(unanswerable), examples(64, seed=2, unanswerable=0.3 * unanswerable)
    found = answerer.predict(test)
    for answer, example in zip(found, test, strict=True):
        assert example.context[answer.start : answer.end] == answer.text
        assert 0 < answer.score <= 1
        assert 0 <= answer.answerable <= 1
    metrics = answerer.evaluate(test)
    assert metrics["f1"] > 0.8
    assert answerer.score(test) == metrics["f1"]
    answers = {example.id: [each.text for each in example.answers or ()] for example in test}
    predictions = {example.id: answer.text for example, answer in zip(test, found, strict=True)}
    if unanswerable:
        official = squad_v2(answers, predictions)
        assert [100 * metrics["exact_match"], 100 * metrics["f1"]] == pytest.approx([official["exact"], official["f1"]])
        has = np.array([example.answerable for example in test])
        chances = np.array([answer.answerable for answer in found])
        assert chances[has].mean() > 0.7 > 0.5 > chances[~has].mean()
    else:
        assert {"exact_match": 100 * metrics["exact_match"], "f1": 100 * metrics["f1"]} == pytest.approx(squad_v1(answers, predictions))
        assert all(answer.text and answer.answerable == 1 for answer in found)
    low, high = metrics["intervals"]["f1"]
    assert low <= metrics["f1"] <= high


def test_a_long_context_is_read_whole_and_batches_change_nothing(fitted_answerer: Fitted, examples: Examples) -> None:
    answerer = fitted_answerer()
    before = " ".join(["the table and the window"] * 40)
    context = f"{before} Lovely {before}"
    alone = answerer.answer("what is good?", context)
    assert (alone.text, alone.start) == ("Lovely", len(before) + 1)
    others = examples(5, seed=3)
    together = answerer.predict([*(e.question for e in others), "what is good?"], [*(e.context for e in others), context])
    assert together[-1].text == alone.text
    assert together[-1].score == pytest.approx(alone.score, abs=1e-5)
    candidates = answerer.candidates("what is good?", context, 4)
    assert candidates[0] == alone
    assert len(candidates) == 4
    assert [each.score for each in candidates[1:]] == sorted((each.score for each in candidates[1:]), reverse=True)
    _, seen = answerer.predict_with_accounting(["what is good?"], [context])
    assert (seen.rows, seen.windowed_rows, seen.truncated_tokens) == (1, 1, 0)


def test_columns_of_answers_train_as_examples_do(make_answerer: Fitted, examples: Examples) -> None:
    rows = examples(24)
    columns = [e.question for e in rows], [e.context for e in rows], [[(a.text, a.start) for a in e.answers or ()] for e in rows]
    one, other = make_answerer(epochs=1).fit(rows), make_answerer(epochs=1).fit(*columns)
    assert [a.score for a in one.predict(rows)] == [a.score for a in other.predict(rows)]
    assert one.lost_answers_ == []


def test_lost_answers_are_told_of_and_not_trained_on(make_answerer: Fitted, examples: Examples) -> None:
    wrong = QuestionExample("what is good?", "the cow sat.", (GoldAnswer("lovely", 3),), "wrong")
    answerer = make_answerer(epochs=1).fit([*examples(12), wrong])
    assert [(lost.row, lost.id, lost.answer) for lost in answerer.lost_answers_] == [(12, "wrong", "lovely")]
    assert answerer.accounting_.dropped == {"an answer does not stand in its context": 1}
    with pytest.raises(DataError, match="none of 1 questions can be learnt from: 1 × an answer does not stand"):
        make_answerer().fit([wrong])


@pytest.mark.parametrize("unanswerable", [True, False])
def test_a_saved_model_is_the_same_model(fitted_answerer: Fitted, examples: Examples, tmp_path: Path, unanswerable: bool) -> None:
    answerer, test = fitted_answerer(unanswerable), examples(16, seed=4)
    folder = answerer.save(tmp_path / "model")
    again = bw.load(folder, precision="float32", verify=True)
    assert isinstance(again, QuestionAnswerer)
    assert again.task_ == answerer.task_
    assert again.task_.references == ()
    assert again.predict(test) == answerer.predict(test)
    if unanswerable:
        assert again.task_.threshold != 0


def test_thresholds_are_tuned_on_validation_data(make_answerer: Fitted, examples: Examples) -> None:
    train, held = examples(96), examples(48, seed=1)
    plain, tuned = make_answerer(epochs=3).fit(train), make_answerer(epochs=3).fit(train, validation=held)
    assert (plain.task_.threshold, plain.task_.slope) == (0, 1)
    assert tuned.about_["threshold"] == tuned.task_.threshold != 0
    best = tuned.evaluate(held, intervals=False)
    assert best["f1"] == pytest.approx(best["best_f1"])
    by_hand = plain.tune(held)
    assert by_hand.task_.threshold != 0
    assert by_hand.evaluate(held, intervals=False)["f1"] == pytest.approx(by_hand.evaluate(held, intervals=False)["best_f1"])
    with pytest.raises(DataError, match="some must have none"):
        plain.tune([example for example in held if example.answers])


# ---- wrong use


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: a.predict("what?", ["x"]), DataError, "got one string"),
        (lambda a: a.predict(["what?"], ["x", "y"]), DataError, "1 questions, 2 contexts"),
        (lambda a: a.predict(["what?"]), DataError, "no contexts"),
        (lambda a: a.predict(["what?"], [None]), DataError, "row 0: the context is None"),
        (lambda a: a.evaluate(["what?"], ["x"]), DataError, "evaluation: there are no answers"),
        (lambda a: a.evaluate([]), DataError, "there are no questions"),
        (lambda a: a.explain("what?", "the cow.", target="horse"), SettingsError, "the context has no 'horse'"),
        (lambda a: a.explain("what?", "the cow.", window=3), SettingsError, "window 3 does not exist"),
        (lambda a: a.explain("what?", " "), DataError, "no word"),
    ],
)
def test_wrong_questions(fitted_answerer: Fitted, call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(fitted_answerer())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unanswerable": "perhaps"}, "unanswerable is True, False or 'auto'"),
        ({"max_answer_tokens": 0}, "max_answer_tokens is below 1"),
        ({"max_tokens": 9999}, "max_tokens is 9999, but the model reads from 1 to 64"),
        ({"max_answer_token": 3}, "Did you mean 'max_answer_tokens'"),
        ({"unanswerable": False}, "questions have no answer in their context"),
    ],
)
def test_wrong_settings(make_answerer: Fitted, examples: Examples, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((SettingsError, DataError), match=message):
        make_answerer(**settings).fit(examples(12))


def test_an_unfitted_answerer_says_so(make_answerer: Fitted) -> None:
    with pytest.raises(NotFittedError):
        make_answerer().answer("what?", "this")


def test_nothing_to_ask_is_no_answer(fitted_answerer: Fitted) -> None:
    assert fitted_answerer().predict([], []) == []
    empty = fitted_answerer(False).answer("what is good?", "")
    assert (empty.text, empty.start, empty.end, empty.answerable) == ("", 0, 0, 0.0)


def test_scikit_learn_clones_it(make_answerer: Fitted) -> None:
    from sklearn.base import clone

    copy = clone(make_answerer(max_answer_tokens=7))
    assert copy.max_answer_tokens == 7
    assert not hasattr(copy, "task_")


def test_questions_keep_their_numbers_in_parts(fitted_answerer: Fitted, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertworks.estimators.answers.answerer.QUESTIONS_AT_ONCE", 3)
    wrong = [*examples(7), QuestionExample("what is good?", None)]  # type: ignore[arg-type]
    with pytest.raises(DataError, match="row 7"):
        list(fitted_answerer().spans(wrong))
