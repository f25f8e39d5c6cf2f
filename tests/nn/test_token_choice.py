"""The loss that chooses a token of each sequence: PyTorch's cross-entropy, one sequence at a time, is the reference."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertworks.nn.heads import IGNORED
from bertworks.nn.layout import Layout
from bertworks.nn.losses import LossOptions, build_loss

LENGTHS = [5, 1, 7, 3]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int]]]:
    """Scores, marks, and the places of the marks in each sequence; some tokens are not allowed."""
    draw = np.random.Generator(np.random.PCG64(seed))
    scores = torch.from_numpy(draw.standard_normal((sum(LENGTHS), 2)).astype(np.float32) * 3)
    marks = np.zeros((sum(LENGTHS), 2), dtype=np.int8)
    places = []
    for start, length in zip(OFFSETS, LENGTHS, strict=False):
        forbidden = draw.random(length) < 0.4
        forbidden[0] = False
        marks[start : start + length][forbidden] = IGNORED
        ends = [int(draw.choice(np.flatnonzero(~forbidden))) for _ in range(2)]
        for output, place in enumerate(ends):
            marks[start + place, output] = 1
        places.append((ends[0], ends[1]))
    return scores.requires_grad_(), torch.from_numpy(marks), places


def by_sequence(scores: torch.Tensor, marks: torch.Tensor, places: list[tuple[int, int]]) -> torch.Tensor:
    """The loss of each sequence, by `F.cross_entropy` over the tokens that are allowed."""
    losses = []
    for number, (start, end) in enumerate(pairwise(OFFSETS)):
        of_outputs = []
        for output in range(2):
            allowed = (marks[start:end, output] != IGNORED).nonzero()[:, 0]
            target = int((allowed == places[number][output]).nonzero()[0, 0])
            of_outputs.append(F.cross_entropy(scores[start:end, output][allowed][None], torch.tensor([target])))
        losses.append(torch.stack(of_outputs).mean())
    return torch.stack(losses)


def test_equals_cross_entropy_over_each_sequence() -> None:
    scores, marks, places = example()
    weights = torch.tensor([1.0, 0.5, 0.25, 2.0])
    loss = build_loss("token_choice", LossOptions())
    theirs = by_sequence(scores, marks, places)
    ours = loss.sum(scores, marks, weights, Layout(OFFSETS))
    torch.testing.assert_close(ours, (theirs * weights).sum())
    torch.testing.assert_close(loss.sum(scores, marks, None, Layout(OFFSETS)), theirs.sum())
    assert loss.count(marks, weights, Layout(OFFSETS)) == pytest.approx(3.75)
    assert loss.count(marks, None, Layout(OFFSETS)) == 4
    (gradient,), (expected,) = (torch.autograd.grad(value, scores) for value in (ours, (theirs * weights).sum()))
    torch.testing.assert_close(gradient, expected)
    assert (gradient[marks == IGNORED] == 0).all()


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_any_split_into_batches_gives_the_same_gradient(cut: int) -> None:
    scores, marks, _ = example(seed=1)
    weights, loss = torch.tensor([1.0, 0.5, 0.5, 1.0]), build_loss("token_choice", LossOptions())
    (whole,) = torch.autograd.grad(loss.sum(scores, marks, weights, Layout(OFFSETS)), scores)
    total, count = torch.zeros(()), 0.0
    for first, last in ((0, cut), (cut, len(LENGTHS))):
        tokens, layout = slice(OFFSETS[first], OFFSETS[last]), Layout(OFFSETS[first : last + 1] - OFFSETS[first])
        total = total + loss.sum(scores[tokens], marks[tokens], weights[first:last], layout)
        count += loss.count(marks[tokens], weights[first:last], layout)
    (parts,) = torch.autograd.grad(total, scores)
    torch.testing.assert_close(parts, whole)
    assert count == loss.count(marks, weights, Layout(OFFSETS))


def test_a_sequence_without_a_mark_neither_loses_nor_counts() -> None:
    scores, marks, places = example(seed=2)
    marks[OFFSETS[2] : OFFSETS[3]] = marks[OFFSETS[2] : OFFSETS[3]].clamp(max=0)
    loss = build_loss("token_choice", LossOptions())
    value = loss.sum(scores, marks, None, Layout(OFFSETS))
    theirs = by_sequence(*example(seed=2))
    torch.testing.assert_close(value, theirs.sum() - theirs[2])
    assert loss.count(marks, None, Layout(OFFSETS)) == 3
    assert len(places) == 4


def test_shares_of_several_marks_are_a_mean_of_their_losses() -> None:
    layout, loss = Layout(np.array([0, 4])), build_loss("token_choice", LossOptions())
    scores = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    one, other = (torch.tensor([[float(i == place)] for i in range(4)]) for place in (1, 3))
    both = loss.sum(scores, (one + other) / 2, None, layout)
    torch.testing.assert_close(both, (loss.sum(scores, one, None, layout) + loss.sum(scores, other, None, layout)) / 2)


def test_the_factor_of_the_loss_is_a_factor() -> None:
    scores, marks, _ = example()
    plain, double = (build_loss("token_choice", LossOptions(weight=weight)) for weight in (1.0, 2.0))
    layout = Layout(OFFSETS)
    torch.testing.assert_close(double.sum(scores, marks, None, layout), 2 * plain.sum(scores, marks, None, layout))
