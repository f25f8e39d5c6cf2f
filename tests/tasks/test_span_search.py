"""The search of spans against the slow way: every pair of every window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.span_search import NOWHERE, best_spans


def slow(
    scores: np.ndarray, places: np.ndarray, offsets: np.ndarray, groups: np.ndarray, longest: int
) -> list[tuple[dict[tuple[int, int], float], float]]:
    """Of each group: the score of each span that may be an answer, the best of all windows; and of no answer."""
    out = []
    for group in np.unique(groups):
        spans: dict[tuple[int, int], float] = {}
        none = []
        for window in np.flatnonzero(groups == group):
            first, last = int(offsets[window]), int(offsets[window + 1])
            none.append(scores[first, 0] + scores[first, 1])
            for begin in range(first, last):
                for end in range(begin, min(begin + longest, last)):
                    if places[begin, 0] == places[begin, 1] or places[end, 0] == places[end, 1]:  # no character of the context
                        continue
                    span = int(places[begin, 0]), int(places[end, 1])
                    spans[span] = max(spans.get(span, -np.inf), scores[begin, 0] + scores[end, 1])
        out.append((spans, min(none)))
    return out


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Questions of some windows each: special tokens and a question first, then a run of the context, of which some have no width."""
    places, lengths, groups = [], [], []
    for group in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 3))):
            before, read = draw(st.integers(1, 3)), draw(st.integers(0, 6))
            begin = draw(st.integers(0, 4))
            widths = draw(st.lists(st.sampled_from([4, 4, 4, 0]), min_size=read, max_size=read))
            inside = [[5 * i, 5 * i + width] for i, width in enumerate(widths, begin)]
            places += [[NOWHERE, NOWHERE]] * before + inside + [[NOWHERE, NOWHERE]]
            lengths.append(before + read + 1)
            groups.append(group)
    seed = draw(st.integers(0, 2**16))
    scores = np.round(np.random.Generator(np.random.PCG64(seed)).standard_normal((len(places), 2)), draw(st.sampled_from([0, 6])))
    return scores.astype(np.float32), np.array(places), np.concatenate([[0], np.cumsum(lengths)]), np.array(groups)


@given(batches(), st.integers(1, 5), st.integers(1, 8))
def test_equals_the_slow_search(batch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], longest: int, count: int) -> None:
    scores, places, offsets, groups = batch
    found = list(best_spans(scores, places, offsets, groups, longest=longest, count=count))
    expected = slow(scores.astype(np.float64), places, offsets, groups, longest)
    assert len(found) == len(expected)
    for spans, (every, none) in zip(found, expected, strict=True):
        assert len(spans.scores) == min(count, len(every))
        assert spans.scores.tolist() == pytest.approx(sorted(every.values(), reverse=True)[: len(spans.scores)])
        named = [tuple(span) for span in spans.characters.tolist()]
        assert len(set(named)) == len(named)
        assert [every[span] for span in named] == pytest.approx(spans.scores.tolist())
        for (begin, end), (first, last) in zip(spans.characters, spans.tokens, strict=True):
            assert (places[first, 0], places[last, 1]) == (begin, end)
        assert spans.no_answer == pytest.approx(none)
        assert scores[spans.no_answer_token].sum() == pytest.approx(none)
        assert spans.no_answer_token in offsets


def test_no_context_has_no_spans() -> None:
    places = np.full((3, 2), NOWHERE)
    (found,) = best_spans(np.ones((3, 2)), places, np.array([0, 3]), np.array([0]), longest=4, count=2)
    assert len(found.scores) == 0
    assert found.doubt == np.inf
    assert list(best_spans(np.zeros((0, 2)), np.zeros((0, 2), dtype=int), np.array([0]), np.zeros(0, dtype=int), longest=4, count=2)) == []


def test_tokens_without_a_character_take_no_place_among_the_best() -> None:
    places = np.array([[NOWHERE, NOWHERE], [0, 0], [1, 1], [2, 5]])
    scores = np.array([[0.0, 0.0], [9.0, 9.0], [8.0, 8.0], [1.0, 1.0]])
    (found,) = best_spans(scores, places, np.array([0, 4]), np.array([0]), longest=1, count=1)
    assert found.characters.tolist() == [[2, 5]]
    assert found.scores.tolist() == [2.0]
