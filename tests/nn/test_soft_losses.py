"""Losses by a teacher's scores, each against a slow and obvious version in NumPy's float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bertworks.batch import Array
from bertworks.nn.layout import Layout
from bertworks.nn.losses import LossOptions
from bertworks.nn.soft_losses import GROUP_SPAN, build_soft_loss
from bertworks.tasks import taught

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 7.5])


def softmax(values: Array) -> Array:
    shares = np.exp(values - values.max())
    return np.asarray(shares / shares.sum())


def divergence(student: Array, teacher: Array, temperature: float) -> float:
    """T² · Σ p log(p / q), one distribution after the other, one outcome after the other."""
    wanted, own = softmax(teacher / temperature), softmax(student / temperature)
    return float(temperature**2 * sum(p * np.log(p / q) for p, q in zip(wanted, own, strict=True)))


def drawn(rows: int, outputs: int, seed: int) -> tuple[Array, Array]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(rows, outputs)) * 2, draw.normal(size=(rows, outputs)) * 3


def tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


@given(st.integers(1, 7), st.integers(2, 5), TEMPERATURES, st.integers(0, 99))
def test_over_the_labels_of_a_row(rows: int, labels: int, temperature: float, seed: int) -> None:
    student, teacher = drawn(rows, labels, seed)
    weights = np.random.default_rng(seed).choice([0.0, 0.5, 1.0], rows)
    loss = build_soft_loss("divergence", LossOptions(weight=0.25, temperature=temperature))
    slow = sum(w * divergence(s, t, temperature) for s, t, w in zip(student, teacher, weights, strict=True))
    assert float(loss.sum(tensor(student), tensor(teacher), tensor(weights))) == pytest.approx(0.25 * slow, rel=1e-4, abs=1e-5)
    assert loss.count(tensor(teacher), tensor(weights)) == weights.sum()


@given(st.integers(1, 7), st.integers(1, 4), TEMPERATURES, st.integers(0, 99))
def test_of_several_labels(rows: int, labels: int, temperature: float, seed: int) -> None:
    student, teacher = drawn(rows, labels, seed)
    slow = 0.0
    for s, t in zip(student.ravel(), teacher.ravel(), strict=True):
        own, wanted = 1 / (1 + np.exp(-s / temperature)), 1 / (1 + np.exp(-t / temperature))
        slow += temperature**2 * (wanted * np.log(wanted / own) + (1 - wanted) * np.log((1 - wanted) / (1 - own))) / labels
    loss = build_soft_loss("binary_divergence", LossOptions(temperature=temperature))
    assert float(loss.sum(tensor(student), tensor(teacher))) == pytest.approx(slow, rel=1e-3, abs=1e-4)
    assert loss.count(tensor(teacher)) == rows


@given(LENGTHS, TEMPERATURES, st.integers(0, 99))
def test_over_the_tokens_of_a_sequence(lengths: list[int], temperature: float, seed: int) -> None:
    student, teacher = drawn(sum(lengths), 2, seed)
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    teacher[draw.random(teacher.shape) < 0.3] = -np.inf
    teacher[offsets[:-1]] = draw.normal(size=(len(lengths), 2))  # the first token always may be the one
    weights = draw.choice([0.25, 1.0], len(lengths))
    slow = 0.0
    for number, (start, stop) in enumerate(pairwise(offsets.tolist())):
        for output in range(2):
            own, wanted = student[start:stop, output], teacher[start:stop, output]
            may = wanted > -np.inf
            slow += weights[number] * divergence(own[may], wanted[may], temperature) / 2
    loss = build_soft_loss("token_divergence", LossOptions(temperature=temperature))
    scores = tensor(student).requires_grad_()
    found = loss.sum(scores, tensor(teacher), tensor(weights), Layout(offsets))
    assert float(found.detach()) == pytest.approx(slow, rel=1e-4, abs=1e-5)
    assert loss.count(tensor(teacher), tensor(weights), Layout(offsets)) == weights.sum()
    (gradient,) = torch.autograd.grad(found, scores)
    assert gradient.isfinite().all()
    assert (gradient[torch.from_numpy(teacher == -np.inf)] == 0).all()


@given(LENGTHS, TEMPERATURES, st.integers(0, 99), st.integers(0, 1 << 40))
def test_over_the_rows_of_a_group(sizes: list[int], temperature: float, seed: int, first: int) -> None:
    student, teacher = drawn(sum(sizes), 1, seed)
    groups = first + np.repeat(np.arange(len(sizes)), sizes)
    slow = sum(divergence(student[groups == group, 0], teacher[groups == group, 0], temperature) for group in np.unique(groups))
    order = np.random.default_rng(seed).permutation(sum(sizes))
    labels = np.column_stack([*np.divmod(groups, GROUP_SPAN), teacher])[order]
    loss = build_soft_loss("choice_divergence", LossOptions(weight=3.0, temperature=temperature))
    assert float(loss.sum(tensor(student[order]), tensor(labels))) == pytest.approx(3 * slow, rel=1e-4, abs=1e-5)
    assert loss.count(tensor(labels)) == len(sizes)


@pytest.mark.parametrize("name", ["divergence", "token_divergence", "choice_divergence"])
def test_who_agrees_loses_nothing(name: str) -> None:
    """Scores that differ by what is added to all of a distribution are the same distribution."""
    values = tensor(drawn(4, 2, 0)[0])[:, : 1 if name == "choice_divergence" else 2]
    labels = torch.cat([torch.zeros(4, 2), values], dim=1) if name == "choice_divergence" else values
    moved = (values + 5).requires_grad_()
    loss = build_soft_loss(name, LossOptions(temperature=3.0)).sum(moved, labels, None, Layout(np.array([0, 4])))
    (gradient,) = torch.autograd.grad(loss, moved)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-5)
    assert gradient.abs().max() < 1e-5


def test_the_temperature_keeps_the_size_of_gradients() -> None:
    """At high temperatures the gradient tends to that of matching centred logits (Hinton et al. 2015, section 2.1)."""
    student, teacher = drawn(5, 4, 1)
    scores = tensor(student).requires_grad_()
    loss = build_soft_loss("divergence", LossOptions(temperature=500.0)).sum(scores, tensor(teacher))
    (gradient,) = torch.autograd.grad(loss, scores)
    centred = (student - student.mean(1, keepdims=True)) - (teacher - teacher.mean(1, keepdims=True))
    np.testing.assert_allclose(gradient.numpy(), centred / 4, rtol=0.05, atol=0.01)


def test_both_sides_take_numbers_of_groups_apart_alike() -> None:
    """What packs the data lies a floor below the losses, and has the constant itself."""
    assert taught._GROUP_SPAN == GROUP_SPAN
