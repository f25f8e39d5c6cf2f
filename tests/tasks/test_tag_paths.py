"""Best paths and probabilities, held against all paths written out."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.batch import Array
from bertworks.data.tag_schemes import SCHEMES, Scheme, Span, all_tags, faults, spans_of
from bertworks.tasks.tag_paths import Steps, best_paths, lattices, log_probabilities

seeds = st.integers(0, 10_000)


def case(scheme: Scheme, words: int, seed: int, learnt: bool = False) -> tuple[Steps, Array]:
    draw = np.random.default_rng(seed)
    labels = tuple(all_tags(["PER", "LOC"], scheme))
    scores = log_probabilities(draw.normal(size=(words, len(labels))) * 2)
    return Steps(labels, scheme, draw.normal(size=(len(labels) + 2, len(labels))) * 3 if learnt else None), scores


def allowed(steps: Steps, scores: Array) -> dict[tuple[str, ...], float]:
    """Every path that keeps the rules, with its probability before it is shared out."""
    found, beginning, end = {}, len(steps.labels), len(steps.labels) + 1
    for path in product(range(len(steps.labels)), repeat=len(scores)):
        tags = [steps.labels[i] for i in path]
        if not faults(tags, steps.scheme):
            value = sum(scores[i, t] for i, t in enumerate(path))
            if steps.learnt is not None:
                value += steps.learnt[beginning, path[0]] + steps.learnt[end, path[-1]] + sum(steps.learnt[step] for step in pairwise(path))
            found[tuple(tags)] = float(np.exp(value))
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=40)
@given(words=st.integers(1, 3), seed=seeds, learnt=st.booleans())
def test_the_best_path_is_the_best_of_all(scheme: Scheme, words: int, seed: int, learnt: bool) -> None:
    steps, scores = case(scheme, words, seed, learnt)
    every = allowed(steps, scores)
    (path,) = best_paths([scores], steps)
    tags = tuple(steps.labels[i] for i in path)
    assert every[tags] == pytest.approx(max(every.values()))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=40)
@given(words=st.integers(1, 3), seed=seeds, learnt=st.booleans())
def test_probabilities_are_shares_of_all_paths(scheme: Scheme, words: int, seed: int, learnt: bool) -> None:
    steps, scores = case(scheme, words, seed, learnt)
    every = allowed(steps, scores)
    total = sum(every.values())
    (lattice,) = lattices([scores], steps)
    assert lattice.total == pytest.approx(np.log(total))
    marginals = np.zeros_like(scores)
    for tags, value in every.items():
        for i, tag in enumerate(tags):
            marginals[i, steps.labels.index(tag)] += value / total
    np.testing.assert_allclose(lattice.marginals(), marginals, atol=1e-9)
    for start in range(words):
        for end in range(start + 1, words + 1):
            if scheme == "words" and end > start + 1:
                continue
            for label in ("PER", "LOC"):
                share = sum(value for tags, value in every.items() if Span(start, end, label) in spans_of(tags, scheme)) / total
                assert lattice.span_probability(Span(start, end, label)) == pytest.approx(share, abs=1e-9)


def test_sentences_do_not_change_each_other() -> None:
    draw = np.random.default_rng(0)
    steps = Steps(tuple(all_tags(["A", "B"], "BIOES")), "BIOES")
    scores = [log_probabilities(draw.normal(size=(words, 9))) for words in (5, 1, 0, 40, 7, 1)]
    together, alone = best_paths(scores, steps), [best_paths([one], steps)[0] for one in scores]
    assert [path.tolist() for path in together] == [path.tolist() for path in alone]
    assert all(not faults([steps.labels[i] for i in path], "BIOES") for path in together)
    for one, other in zip(lattices(scores, steps), [lattices([one], steps)[0] for one in scores], strict=True):
        np.testing.assert_allclose(one.ahead, other.ahead)
        np.testing.assert_allclose(one.behind, other.behind)


def test_the_rules_hold_whatever_was_learnt() -> None:
    labels = tuple(all_tags(["A", "B"], "BIOES"))
    draw = np.random.default_rng(1)
    forbidden = Steps(labels, "BIOES").rules < 0
    steps = Steps(labels, "BIOES", np.where(forbidden, 50.0, -50.0))
    scores = [log_probabilities(draw.normal(size=(words, 9))) for words in (1, 5, 30)]
    assert not any(faults([labels[i] for i in path], "BIOES") for path in best_paths(scores, steps))


def test_tags_without_an_allowed_path_still_get_one() -> None:
    """A folder from elsewhere may lack the tags that its scheme needs."""
    steps = Steps(("I-PER", "I-LOC"), "IOB2")
    (path,) = best_paths([np.log([[0.9, 0.1], [0.8, 0.2]])], steps)
    assert path.tolist() == [0, 0]
    assert np.isfinite(lattices([np.log([[0.9, 0.1]])], steps)[0].marginals()).all()
