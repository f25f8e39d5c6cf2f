"""The loss of sequences of tags, held against all sequences written out; its gradient; any split into batches."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertworks.data.tag_schemes import SCHEMES, Scheme, all_tags
from bertworks.nn.heads import IGNORED
from bertworks.nn.tag_sequences import TagSequences
from bertworks.nn.transitions import Transitions
from bertworks.tasks.tag_paths import Steps

EDGE = -1
seeds = st.integers(0, 10_000)


def layer(labels: int, seed: int = 0) -> Transitions:
    made = Transitions(labels).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return made


def no_rules(labels: int) -> Tensor:
    return torch.zeros(labels + 2, labels, dtype=torch.float64)


def pieces(draw: np.random.Generator, labels: int, longest: int = 4) -> list[tuple[int, list[int], int]]:
    """What stands before, the right tags, and what stands after."""
    some = []
    for _ in range(int(draw.integers(1, 5))):
        before, after = (int(near) for near in draw.integers(-1, labels, 2))
        some.append((before, [int(tag) for tag in draw.integers(0, labels, int(draw.integers(1, longest + 1)))], after))
    return some


def labels_of(some: list[tuple[int, list[int], int]], draw: np.random.Generator) -> Tensor:
    """As the loss takes them, with tokens between that are no words."""
    rows = []
    for before, tags, after in some:
        for place, tag in enumerate(tags):
            rows += [[IGNORED] * 3] * int(draw.integers(0, 3))
            rows.append([tag, before if place == 0 else IGNORED, after if place == len(tags) - 1 else IGNORED])
    return torch.tensor([*rows, [IGNORED] * 3])


def written_out(scores: Tensor, some: list[tuple[int, list[int], int]], transitions: Transitions, rules: Tensor) -> Tensor:
    """The loss by all sequences of tags that keep the rules, and the right one."""
    bias, first, last = transitions.bias, transitions.first_bias, transitions.last_bias
    labels, total, begin = scores.shape[1], torch.zeros((), dtype=torch.float64), 0
    for before, right, after in some:
        values, keeps = {}, {}
        for path in product(range(labels), repeat=len(right)):
            value = (first if before == EDGE else bias[before])[path[0]] + (last if after == EDGE else bias[:, after])[path[-1]]
            allowed = rules[labels if before == EDGE else before, path[0]] == 0
            allowed &= (rules[labels + 1, path[-1]] if after == EDGE else rules[path[-1], after]) == 0
            for place, tag in enumerate(path):
                value = value + scores[begin + place, tag]
                if place:
                    value, allowed = value + bias[path[place - 1], tag], allowed & (rules[path[place - 1], tag] == 0)
            values[path], keeps[path] = value, bool(allowed)
        among = torch.stack([value for path, value in values.items() if keeps[path] or path == tuple(right)])
        total = total + among.logsumexp(0) - values[tuple(right)]
        begin += len(right)
    return total


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, of, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if gradient is None else gradient for x, gradient in zip(of, found, strict=True)]


@settings(max_examples=60, deadline=None)
@given(seed=seeds, outputs=st.integers(1, 4))
def test_loss_and_gradient_are_those_of_all_sequences(seed: int, outputs: int) -> None:
    draw = np.random.default_rng(seed)
    some, transitions = pieces(draw, outputs), layer(outputs, seed)
    labels = labels_of(some, draw)
    scores = torch.from_numpy(draw.normal(size=(len(labels), outputs)) * 2).requires_grad_()
    loss = TagSequences(transitions, no_rules(outputs))
    ours, theirs = loss.sum(scores, labels), written_out(scores[labels[:, 0] != IGNORED], some, transitions, no_rules(outputs))
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(gradients(x, scores, *transitions.parameters()) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)
    assert loss.count(labels) == sum(len(tags) for _, tags, _ in some)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_with_the_rules_of_a_scheme_only_what_they_allow_is_compared_with(scheme: Scheme, seed: int) -> None:
    draw = np.random.default_rng(seed)
    names = tuple(all_tags(["X"], scheme))
    rules, transitions = torch.from_numpy(Steps(names, scheme).rules), layer(len(names), seed)
    some = pieces(draw, len(names), longest=3)  # tags that break the rules are among them
    labels = labels_of(some, draw)
    scores = torch.from_numpy(draw.normal(size=(len(labels), len(names))) * 2).requires_grad_()
    ours = TagSequences(transitions, rules).sum(scores, labels)
    theirs = written_out(scores[labels[:, 0] != IGNORED], some, transitions, rules)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-7)  # a forbidden step is 1e9 away, which takes digits
    for one, other in zip(*(gradients(x, scores, *transitions.parameters()) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    assert torch.isfinite(ours)
    assert ours > -1e-6


def test_without_transitions_and_rules_it_is_the_cross_entropy_of_words() -> None:
    draw = np.random.default_rng(3)
    some = [(EDGE, [int(tag) for tag in draw.integers(0, 5, words)], EDGE) for words in (7, 1, 40, 3)]
    labels = labels_of(some, draw)
    scores = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours = TagSequences(Transitions(5), no_rules(5).float()).sum(scores, labels)
    theirs = torch.nn.functional.cross_entropy(scores, labels[:, 0], ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, scores), gradients(theirs, scores))


def test_any_split_adds_up_to_the_whole() -> None:
    draw = np.random.default_rng(5)
    some = [(EDGE, [int(tag) for tag in draw.integers(0, 4, words)], EDGE) for words in (9, 2, 30, 1, 2, 17)]
    parts = [labels_of([one], draw) for one in some]
    transitions = layer(4).float()
    loss = TagSequences(transitions, no_rules(4).float())
    labels = torch.cat(parts)
    scores = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    whole = loss.sum(scores, labels)
    apart = torch.stack([loss.sum(*pair) for pair in zip(scores.split([len(part) for part in parts]), parts, strict=True)]).sum()
    torch.testing.assert_close(whole, apart)
    for one, other in zip(*(gradients(x, scores, *transitions.parameters()) for x in (whole, apart)), strict=True):
        torch.testing.assert_close(one, other)
    assert loss.count(labels) == sum(loss.count(part) for part in parts) == 61


def test_a_batch_without_words_loses_nothing() -> None:
    scores, transitions = torch.randn(3, 4).requires_grad_(), Transitions(4)
    loss = TagSequences(transitions, no_rules(4).float())
    labels = torch.full((3, 3), IGNORED)
    value = loss.sum(scores, labels)
    value.backward()
    assert (float(value.detach()), loss.count(labels)) == (0, 0)
    assert scores.grad is not None
    assert not scores.grad.any()


def test_long_sentences_keep_their_digits() -> None:
    draw = np.random.default_rng(0)
    names = tuple(all_tags(["A", "B", "C"], "BIOES"))
    rules = torch.from_numpy(Steps(names, "BIOES").rules)
    labels = labels_of([(EDGE, [names.index("O")] * 600, EDGE)], draw)
    scores = torch.from_numpy(draw.normal(size=(len(labels), len(names))) * 3)
    precise = TagSequences(layer(len(names)), rules).sum(scores, labels)
    rounded = TagSequences(layer(len(names)).float(), rules.float()).sum(scores.float(), labels)
    torch.testing.assert_close(rounded.double(), precise, rtol=1e-6, atol=0)
