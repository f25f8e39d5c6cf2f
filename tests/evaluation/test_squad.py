"""SQuAD's exact match and F1: hand-computed cases, an independent slow twin, and the thresholds by trying all."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import DataError
from bertworks.evaluation.squad import AnswerMetrics, answer_scores, best_threshold, normalized, squad_v1, squad_v2

WORDS = ["the", "a", "an", "The", "noon", "at", "noon!", "U.S.", "us", "...", "-", "half", "past", "A.", "theory", "THE", "half-past"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


def slow_words(text: str) -> list[str]:
    """The words of an answer, letter by letter: lower case, no punctuation, no articles."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return [word for word in kept.split() if word not in ("a", "an", "the")]


def slow_f1(predicted: list[str], right: list[str], version: str) -> float:
    if version == "2.0" and (not predicted or not right):
        return 1.0 if predicted == right else 0.0
    rest, same = list(right), 0
    for word in predicted:
        if word in rest:
            rest.remove(word)
            same += 1
    return 0.0 if same == 0 else 2 * (same / len(predicted)) * (same / len(right)) / (same / len(predicted) + same / len(right))


def slow_scores(prediction: str, answers: list[str], version: str) -> tuple[float, float]:
    right = [slow_words(answer) for answer in answers]
    if version == "2.0":
        right = [words for words in right if words] or [[]]
    words = slow_words(prediction)
    exact = [1.0 if words == each else 0.0 for each in right]
    return max([0.0, *exact]), max([0.0, *(slow_f1(words, each, version) for each in right)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Eiffel Tower.", "eiffel tower"),
        ("  an   apple, a day ", "apple day"),
        ("U.S.A.", "usa"),
        ("theory", "theory"),
        ("a-the-b", "atheb"),
        ("“quoted”", "“quoted”"),  # only the punctuation of ASCII
        ("the an a", ""),
    ],
)
def test_normalized_by_hand(text: str, expected: str) -> None:
    assert normalized(text) == expected


@pytest.mark.parametrize(
    ("prediction", "answers", "version", "exact", "f1"),
    [
        ("Denver Broncos", ["Denver Broncos", "the Broncos"], "1.1", 1.0, 1.0),
        ("the Denver Broncos team", ["Denver Broncos"], "1.1", 0.0, 0.8),  # 2 of 3, 2 of 2
        ("gold gold", ["gold"], "1.1", 0.0, 2 / 3),  # a word counts as often as in both
        ("", ["noon"], "1.1", 0.0, 0.0),
        ("the", ["The"], "1.1", 1.0, 0.0),  # nothing left: equal, but no F1 in version 1.1
        ("the", ["The"], "2.0", 1.0, 1.0),  # such an answer counts as none in 2.0
        ("", [], "2.0", 1.0, 1.0),
        ("noon", [], "2.0", 0.0, 0.0),
        ("noon", [], "1.1", 0.0, 0.0),
        ("", ["noon"], "2.0", 0.0, 0.0),
    ],
)
def test_scores_by_hand(prediction: str, answers: list[str], version: str, exact: float, f1: float) -> None:
    found = answer_scores(prediction, answers, version)  # type: ignore[arg-type]
    assert found == (exact, pytest.approx(f1))


@given(TEXTS, st.lists(TEXTS, max_size=4), st.sampled_from(["1.1", "2.0"]))
def test_equals_the_slow_twin(prediction: str, answers: list[str], version: str) -> None:
    assert answer_scores(prediction, answers, version) == pytest.approx(slow_scores(prediction, answers, version))  # type: ignore[arg-type]


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str], dict[str, float]]:
    size = draw(st.integers(1, 12))
    answers = {f"q{i}": draw(st.lists(TEXTS.filter(bool), max_size=3)) for i in range(size)}
    predictions = {key: draw(st.one_of(st.just(""), TEXTS, st.sampled_from(right or [""]))) for key, right in answers.items()}
    return answers, predictions, {key: draw(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])) for key in answers}


def slow_thresholds(scores: list[float], has: list[bool], predicted: list[bool], doubts: list[float]) -> float:
    """The best mean score of all cuts of the questions in order of their doubts."""
    order = sorted(range(len(scores)), key=lambda i: doubts[i])
    best = -1.0
    for answered in range(len(order) + 1):
        total = 0.0
        for place, i in enumerate(order):
            # a question that is not answered, or whose answer is empty, is right where there is none
            total += (scores[i] if has[i] else float(not predicted[i])) if place < answered else float(not has[i])
        best = max(best, total / len(order))
    return best


@given(evaluations(), st.sampled_from([0.0, 0.25, 0.6, 1.0]))
def test_version_2_equals_the_slow_twin(case: tuple[dict[str, list[str]], dict[str, str], dict[str, float]], threshold: float) -> None:
    answers, predictions, doubts = case
    found = squad_v2(answers, predictions, doubts, threshold)
    raw = {key: slow_scores(predictions[key], right, "2.0") for key, right in answers.items()}
    kept = {key: (float(not answers[key]),) * 2 if doubts[key] > threshold else raw[key] for key in answers}
    for prefix, keys in (
        ("", list(answers)),
        ("HasAns_", [k for k in answers if answers[k]]),
        ("NoAns_", [k for k in answers if not answers[k]]),
    ):
        assert (f"{prefix}total" in found) == bool(keys)
        for name, place in (("exact", 0), ("f1", 1)) if keys else ():
            assert found[f"{prefix}{name}"] == pytest.approx(100 * sum(kept[key][place] for key in keys) / len(keys))
    for name, place in (("exact", 0), ("f1", 1)):
        columns = [raw[k][place] for k in answers], [bool(answers[k]) for k in answers], [bool(predictions[k]) for k in answers]
        assert found[f"best_{name}"] == pytest.approx(100 * slow_thresholds(*columns, [doubts[k] for k in answers]))


@given(evaluations())
def test_version_1_equals_the_slow_twin(case: tuple[dict[str, list[str]], dict[str, str], dict[str, float]]) -> None:
    answers, predictions, _ = case
    found = squad_v1(answers, predictions)
    raw = [slow_scores(predictions[key], right, "1.1") for key, right in answers.items()]
    assert [found["exact_match"], found["f1"]] == pytest.approx([100 * sum(column) / len(raw) for column in zip(*raw, strict=True)])


@given(evaluations())
def test_metrics_are_the_same_numbers_as_shares(case: tuple[dict[str, list[str]], dict[str, str], dict[str, float]]) -> None:
    answers, predictions, doubts = case
    keys = list(answers)
    parts = [AnswerMetrics("2.0"), AnswerMetrics("2.0")]
    for part, some in zip(parts, (keys[: len(keys) // 2], keys[len(keys) // 2 :]), strict=True):
        texts = [predictions[key] for key in some]
        part.update([answers[key] for key in some], texts, texts, np.array([doubts[key] for key in some]))
    parts[0].merge(parts[1])
    found, official = parts[0].compute(), squad_v2(answers, predictions, doubts)
    assert [100 * found["exact_match"], 100 * found["f1"]] == pytest.approx([official["exact"], official["f1"]])
    if "best_f1" in found:
        assert 100 * found["best_f1"] == pytest.approx(official["best_f1"])
        assert 100 * found["has_answer_f1"] == pytest.approx(official["HasAns_f1"])
        assert 100 * found["no_answer_accuracy"] == pytest.approx(official["NoAns_exact"])


def test_the_best_threshold_is_a_doubt_and_zero_where_nothing_should_be_answered() -> None:
    has, all_given = np.array([True, True, False, False]), np.ones(4, dtype=bool)
    best, at = best_threshold(np.array([1.0, 1.0, 0.0, 0.0]), has, all_given, np.array([-3.0, -1.0, 2.0, -2.0]))
    assert (best, at) == (0.75, -3.0)  # after the first; as good after the second, but that comes later
    nothing = best_threshold(np.zeros(4), has, all_given, np.arange(4.0))
    assert nothing == (0.5, 0.0)
    assert best_threshold(np.zeros(4), has, all_given, np.arange(4.0), of_nothing=-1.0) == (0.5, -1.0)


def test_intervals_hold_the_values_and_narrow_with_more_questions() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    widths = []
    for size in (60, 960):
        metrics = AnswerMetrics("2.0", replicates=200)
        answers = [["noon"] if draw.random() < 0.7 else [] for _ in range(size)]
        predictions = [("noon" if draw.random() < 0.6 else "at noon") if draw.random() < 0.8 else "" for _ in range(size)]
        metrics.update(answers, predictions, predictions, draw.standard_normal(size))
        found = metrics.compute()
        for name, (low, high) in found["intervals"].items():
            assert low <= found[name] <= high, name
        widths.append(found["intervals"]["f1"][1] - found["intervals"]["f1"][0])
    assert 0 < widths[1] < widths[0] / 2


def test_what_is_missing_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match="1 of 2 questions have no prediction: q2"):
        squad_v2({"q1": [], "q2": ["noon"]}, {"q1": ""})
    with pytest.raises(DataError, match="no-answer score"):
        squad_v2({"q1": []}, {"q1": ""}, {})
    assert squad_v1({"q1": ["noon"], "q2": ["noon"]}, {"q1": "noon"}) == {"exact_match": 50.0, "f1": 50.0}
    with pytest.raises(DataError, match="no rows"):
        AnswerMetrics("1.1").compute()
    with pytest.raises(DataError, match="cannot be merged"):
        AnswerMetrics("1.1").merge(AnswerMetrics("2.0"))
