"""Explanations of answers: attributions of that very span, which add up, and a quantity that is its probability."""

from collections.abc import Callable

import numpy as np
import pytest

from bertworks import QuestionAnswerer
from bertworks.data.question_examples import QuestionExample
from bertworks.tasks.question_windows import CHARACTERS, HEAD

Fitted = Callable[..., QuestionAnswerer]
BEFORE = " ".join(["the table and the window"] * 30)


@pytest.mark.parametrize("context", ["the film was Lovely and the soup was cold.", f"{BEFORE} Lovely {BEFORE}"])
def test_attributions_are_those_of_the_answer(fitted_answerer: Fitted, context: str) -> None:
    answerer = fitted_answerer()
    answer = answerer.answer("what is good?", context)
    explanation = answerer.explain("what is good?", context)
    assert answer.text == explanation.target == "Lovely"
    found = explanation.attributions
    assert found.warning is None
    batch = answerer.task_.encode([QuestionExample("what is good?", context)], answerer.tokenizer_).batch
    scores = answerer._scores(batch)[HEAD]
    places = batch.token_targets[CHARACTERS]
    first = np.flatnonzero(places[:, 0] == answer.start)
    assert found.tokens.score == pytest.approx(max(scores[i, 0] + scores[i, 1] for i in first), abs=1e-4)
    assert found.words.sum() == pytest.approx(found.tokens.score - found.tokens.baseline_score, rel=1e-2, abs=1e-3)
    strongest = explanation.words[int(np.argmax(found.words))]
    assert (strongest.text, strongest.part) == ("Lovely", 1)
    assert explanation.attention().sum(axis=1) == pytest.approx(np.ones(len(explanation.tokens)), abs=1e-4)


def test_the_deletion_curve_follows_the_probability_of_the_span(fitted_answerer: Fitted) -> None:
    answerer, context = fitted_answerer(), "the film was Lovely and the soup was cold."
    explanation = answerer.explain("what is good?", context)
    nothing, words = np.zeros(0, dtype=int), explanation.words
    answer = next(number for number, word in enumerate(words) if word.text == "Lovely")
    whole, without = explanation._without([nothing, np.array([answer])])
    batch = answerer.task_.encode([QuestionExample("what is good?", context)], answerer.tokenizer_).batch
    scores, places = answerer._scores(batch)[HEAD].astype(np.float64), batch.token_targets[CHARACTERS]
    allowed = places[:, 0] >= 0
    allowed[0] = True
    token = np.flatnonzero(places[:, 0] == context.index("Lovely"))[0]
    shares = np.exp(scores[token]) / np.exp(scores[allowed]).sum(axis=0)
    assert whole == pytest.approx(shares.prod(), abs=1e-4)
    assert without == 0
    assert "P('Lovely')" in explanation.faithfulness.sentence


def test_another_target_and_no_answer(fitted_answerer: Fitted) -> None:
    answerer, context = fitted_answerer(), "the film was Lovely and the soup was cold."
    other = answerer.explain("what is good?", context, target="soup")
    assert other.target == "soup"
    assert other.answer is not None
    assert other.answer.prediction == "Lovely"
    none = answerer.explain("what is good?", context, target="")
    assert none.target == "no answer"
    batch = answerer.task_.encode([QuestionExample("what is good?", context)], answerer.tokenizer_).batch
    assert none.attributions.tokens.score == pytest.approx(answerer._scores(batch)[HEAD][0].sum(), abs=1e-4)
    unanswerable = answerer.explain("what is good?", "the door and the house were there.")
    assert unanswerable.target == "no answer"
    assert unanswerable.answer is not None
    assert unanswerable.answer.prediction == "no answer"
