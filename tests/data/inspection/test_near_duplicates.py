"""Near duplicates against a comparison of each document with each."""

import re
from collections.abc import Iterable
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.inspection.near_duplicates import NearDuplicates, near_duplicates
from bertworks.errors import SettingsError

WORDS = [a + b for a, b in product("b d f g k l m n p r s t".split(), "a e i o u ay oy er in un".split())]  # noqa: SIM905


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The set of runs of five words; of a shorter text, its one run of all words."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return frozenset(tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4)))


def jaccard(a: str, b: str) -> float:
    return similarity(shingles(a), shingles(b))


def similarity(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def corpus(documents: int, seed: int, most_changes: int = 4) -> list[str]:
    """Random texts; each second one is an earlier text with some words changed."""
    draw = np.random.Generator(np.random.PCG64(seed))
    texts: list[list[str]] = []
    for number in range(documents):
        if number % 2:
            words = list(texts[draw.integers(number)])
            for _ in range(draw.integers(most_changes + 1)):
                words[draw.integers(len(words))] = str(draw.choice(WORDS))
        else:
            words = [str(word) for word in draw.choice(WORDS, draw.integers(5, 120))]
        texts.append(words)
    return [" ".join(words) for words in texts]


def grouped_pairs(found: NearDuplicates) -> set[tuple[int, int]]:
    return {pair for group in found.groups for pair in combinations(group, 2)}


def components(links: Iterable[tuple[int, int]]) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for a, b in links:
        joined = groups.setdefault(a, {a}) | groups.setdefault(b, {b})
        groups.update(dict.fromkeys(joined, joined))
    return {frozenset(group) for group in groups.values()}


@pytest.fixture(scope="module")
def compared() -> tuple[list[str], dict[tuple[int, int], float]]:
    """Texts, and the similarity of each two of them."""
    texts = corpus(400, seed=1)
    sets = [shingles(text) for text in texts]
    return texts, {(i, j): similarity(sets[i], sets[j]) for i, j in combinations(range(len(texts)), 2)}


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_recall_and_precision_against_brute_force(compared: tuple[list[str], dict[tuple[int, int], float]], threshold: float) -> None:
    texts, similarities = compared
    alike = {pair for pair, value in similarities.items() if value >= threshold}
    found = near_duplicates(texts, threshold=threshold)
    assert len(alike) > 50
    assert len(alike & grouped_pairs(found)) / len(alike) >= 0.95
    for link in found.links:
        assert link.similarity == pytest.approx(similarities[link.first, link.second])
        assert link.similarity >= threshold
    assert len(found.links) == sum(len(group) - 1 for group in found.groups)
    assert components(link[:2] for link in found.links) == set(map(frozenset, found.groups))
    assert found.groups == sorted(sorted(group) for group in found.groups)


def test_recall_right_at_the_threshold() -> None:
    """Pairs of similarity 0.8 exactly: 8 shared shingles of 10, which is as hard as it gets."""
    draw = np.random.Generator(np.random.PCG64(0))
    texts: list[str] = []
    for _ in range(1500):
        words = [str(word) for word in draw.choice(WORDS, 13)]
        texts += [" ".join(words), " ".join([*words[:-1], "other"])]
    similar = [i for i in range(0, len(texts), 2) if jaccard(texts[i], texts[i + 1]) == pytest.approx(0.8)]
    assert len(similar) > 1400
    found = grouped_pairs(near_duplicates(texts, threshold=0.8))
    assert sum((i, i + 1) in found for i in similar) / len(similar) >= 0.97


def test_a_large_family_is_one_group() -> None:
    """More texts of one form than any text is compared with: all in one bucket, each a little different from each."""
    form = " ".join(f"{word} and then" for word in WORDS[:60])
    texts = [f"{form} {WORDS[i % 120]} {WORDS[i // 120]}" for i in range(400)]
    assert near_duplicates(["something else altogether, which is alone here", *texts]).groups == [list(range(1, 401))]


def test_case_and_punctuation_do_not_count_but_order_does() -> None:
    texts = ["The soup was cold, the bread was not!", "the soup was COLD the bread was not", "the bread was cold, the soup was not"]
    assert near_duplicates(texts).groups == [[0, 1]]


def test_short_documents_are_the_same_or_not() -> None:
    texts = ["good soup", "Good soup!", "good, good soup", "soup", "", "...", "!!", "...", "  "]
    assert near_duplicates(texts).groups == [[0, 1], [4, 8], [5, 7]]


def test_scripts_without_spaces_have_words_too() -> None:
    text = "这家餐厅的面条很好吃服务也很周到我们下次还会再来"
    found = near_duplicates([text, text[:-1] + "去", "昨天的电影太长了我看到一半就睡着了醒来已经结束"], threshold=0.7)
    assert found.groups == [[0, 1]]
    assert found.links[0].similarity == pytest.approx((len(text) - 5) / (len(text) - 3))


def test_nothing_is_found_in_nothing() -> None:
    assert near_duplicates([]) == NearDuplicates([], [])
    assert near_duplicates(["one text of five words", "another text of some five words"]).groups == []


def test_any_iterable_gives_the_same_every_time() -> None:
    texts = corpus(200, seed=3)
    assert near_duplicates(iter(texts)) == near_duplicates(texts) == near_duplicates(tuple(texts))


def test_order_changes_the_numbers_only() -> None:
    texts = corpus(300, seed=4)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(texts)).tolist()
    found = near_duplicates([texts[i] for i in order], threshold=0.6).groups
    assert {frozenset(order[i] for i in group) for group in found} == set(map(frozenset, near_duplicates(texts, threshold=0.6).groups))


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("a b c d e".split()), max_size=9).map(" ".join), max_size=12), st.floats(0, 1, exclude_min=True))  # noqa: SIM905
def test_links_are_true_for_any_texts(texts: list[str], threshold: float) -> None:
    found = near_duplicates(texts, threshold=threshold)
    for link in found.links:
        assert link.similarity == pytest.approx(jaccard(texts[link.first], texts[link.second]))
        assert link.similarity >= threshold
    linked = {number for link in found.links for number in link[:2]}
    assert linked == {number for group in found.groups for number in group}


@pytest.mark.parametrize("threshold", [5e-324, 1e-200, 1e-17, 1e-4, 0.04])
def test_a_tiny_threshold(threshold: float) -> None:
    """Whatever has most of its words in common is found, and nothing that has no shingle in common."""
    texts = corpus(100, seed=5, most_changes=1)
    found = near_duplicates(texts, threshold=threshold)
    alike = {pair for pair in combinations(range(len(texts)), 2) if jaccard(*(texts[i] for i in pair)) > 0.5}
    assert len(alike) > 10
    assert alike <= grouped_pairs(found)
    assert all(jaccard(texts[link.first], texts[link.second]) > 0 for link in found.links)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_a_threshold_out_of_range(threshold: float) -> None:
    with pytest.raises(SettingsError, match="threshold"):
        near_duplicates(["a"], threshold=threshold)
