"""The reviews that come with the package: enough of them, balanced, no two alike, and not to be had by counting words."""

import re
from collections import Counter

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from bertworks.data.embedded import reviews

RUN = 6
"""No two reviews share a run of so many words …"""
MOST_ALIKE = 0.5
"""… nor so large a part of their words (Jaccard)."""


@pytest.fixture(scope="module")
def train() -> tuple[list[str], list[str]]:
    data = reviews("train")
    return data.texts, [str(label) for label in data.labels or []]


@pytest.fixture(scope="module")
def test() -> tuple[list[str], list[str]]:
    data = reviews("test")
    return data.texts, [str(label) for label in data.labels or []]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def test_there_are_enough_of_both_kinds(train: tuple[list[str], list[str]], test: tuple[list[str], list[str]]) -> None:
    for texts, labels in (train, test):
        counts = Counter(labels)
        assert set(counts) == {"positive", "negative"}
        assert abs(counts["positive"] - counts["negative"]) <= 0.02 * len(texts)
    assert len(train[0]) + len(test[0]) >= 600


def test_no_two_are_nearly_the_same(train: tuple[list[str], list[str]], test: tuple[list[str], list[str]]) -> None:
    texts = train[0] + test[0]
    seen: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(texts):
        spelled = words(text)
        for start in range(len(spelled) - RUN + 1):
            run = tuple(spelled[start : start + RUN])
            assert seen.setdefault(run, number) == number, f"{' '.join(run)!r} stands in two reviews"
    sets = [frozenset(words(text)) for text in texts]
    for i, one in enumerate(sets):
        for j in range(i):
            assert len(one & sets[j]) <= MOST_ALIKE * len(one | sets[j]), (texts[i], texts[j])


@pytest.mark.parametrize("longest", [1, 2])
def test_counting_words_is_not_enough(longest: int, train: tuple[list[str], list[str]], test: tuple[list[str], list[str]]) -> None:
    baseline = make_pipeline(TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
    accuracy = baseline.fit(*train).score(*test)
    assert 0.5 < accuracy < 0.85
