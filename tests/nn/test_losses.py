"""Losses against PyTorch's, and their (sum, count) over any split."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertworks.nn.heads import IGNORED
from bertworks.nn.losses import LOSSES, LOSSES_OF_GROUPS, LossOptions, build_loss

ROWS, LABELS = 17, 5
OF_ROWS = [name for name in LOSSES if name not in LOSSES_OF_GROUPS]
CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def labels_of(name: str, rows: int = ROWS, seed: int = 1, ignored: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if name == "cross_entropy":
        labels = torch.randint(0, LABELS, (rows,), generator=generator)
        labels[1::4] = IGNORED if ignored else 0
        return labels
    if name == "binary_cross_entropy":
        return torch.randint(0, 2, (rows, LABELS), generator=generator).float()
    if name == "cosine_distance":
        return normal(rows, LABELS, seed=seed)
    if name == "replaced_tokens":
        return torch.arange(rows)  # keys, which say no more than that each row counts
    return normal(rows, seed=seed)


def scores_for(name: str, rows: int = ROWS) -> Tensor:
    return normal(rows, {"mean_squared_error": 1, "replaced_tokens": 2}.get(name, LABELS)).requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS], ids=["unweighted", "weighted"])
def test_cross_entropy(smoothing: float, class_weights: Tensor | None) -> None:
    scores, labels = scores_for("cross_entropy"), labels_of("cross_entropy")
    loss = build_loss("cross_entropy", LossOptions(class_weights, smoothing))
    ours = loss.sum(scores, labels) / loss.count(labels)
    # a row weighs what its label does, smoothed or not: PyTorch's own weights a smoothed loss label by label
    each = F.cross_entropy(scores, labels, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none")
    weights = torch.where(labels == IGNORED, 0.0, (torch.ones(LABELS) if class_weights is None else class_weights)[labels.clamp(min=0)])
    torch.testing.assert_close(ours, (each * weights).sum() / weights.sum())
    if smoothing == 0 or class_weights is None:
        theirs = F.cross_entropy(scores, labels, class_weights, ignore_index=IGNORED, label_smoothing=smoothing)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(*(torch.autograd.grad(x, scores, retain_graph=True)[0] for x in (ours, theirs)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS], ids=["unweighted", "weighted"])
def test_binary_cross_entropy(smoothing: float, class_weights: Tensor | None) -> None:
    scores, labels = scores_for("binary_cross_entropy"), labels_of("binary_cross_entropy")
    loss = build_loss("binary_cross_entropy", LossOptions(class_weights, smoothing))
    smoothed = labels * (1 - smoothing) + (1 - labels) * 0 + smoothing / 2
    theirs = F.binary_cross_entropy_with_logits(scores, smoothed, weight=class_weights)
    torch.testing.assert_close(loss.sum(scores, labels) / loss.count(labels), theirs)
    assert loss.count(labels) == ROWS


def test_squared_error() -> None:
    scores, labels = scores_for("mean_squared_error"), labels_of("mean_squared_error")
    loss = LOSSES["mean_squared_error"]
    torch.testing.assert_close(loss.sum(scores, labels) / loss.count(labels), F.mse_loss(scores[:, 0], labels))


@pytest.mark.parametrize("name", OF_ROWS)
def test_row_weights(name: str) -> None:
    scores, labels = scores_for(name), labels_of(name)
    weights = torch.rand(ROWS, generator=torch.Generator().manual_seed(4))
    loss = LOSSES[name]
    rows = range(ROWS)
    alone = [(loss.sum(scores[i : i + 1], labels[i : i + 1]), loss.count(labels[i : i + 1])) for i in rows]
    total = torch.stack([s * weights[i] for i, (s, _) in zip(rows, alone, strict=True)]).sum()
    torch.testing.assert_close(loss.sum(scores, labels, weights), total)
    assert loss.count(labels, weights) == pytest.approx(float(sum(c * weights[i] for i, (_, c) in zip(rows, alone, strict=True))), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(OF_ROWS),
    cuts=st.sets(st.integers(1, ROWS - 1), max_size=6),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1]),
)
def test_any_split_adds_up_to_the_whole(name: str, cuts: set[int], weighted: bool, smoothing: float) -> None:
    labelled = weighted and name != "mean_squared_error"
    loss = build_loss(name, LossOptions(CLASS_WEIGHTS if labelled else None, 0.0 if name == "mean_squared_error" else smoothing))
    labels, weights = labels_of(name), torch.linspace(0, 2, ROWS) if weighted else None
    edges = [0, *sorted(cuts), ROWS]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    whole = scores_for(name)
    loss.sum(whole, labels, weights).backward()
    split = scores_for(name)
    sums = []
    for part in parts:
        value = loss.sum(split[part], labels[part], None if weights is None else weights[part])
        value.backward()
        sums.append(value.detach())
    torch.testing.assert_close(torch.stack(sums).sum(), loss.sum(whole, labels, weights).detach())
    assert whole.grad is not None
    torch.testing.assert_close(split.grad, whole.grad)
    counts = [loss.count(labels[part], None if weights is None else weights[part]) for part in parts]
    assert sum(counts) == pytest.approx(loss.count(labels, weights), rel=1e-6)


def test_a_batch_of_ignored_labels_counts_nothing() -> None:
    scores, labels = scores_for("cross_entropy", 3), torch.full((3,), IGNORED)
    loss = LOSSES["cross_entropy"]
    assert loss.count(labels) == 0
    value = loss.sum(scores, labels)
    value.backward()
    assert float(value.detach()) == 0
    assert scores.grad is not None
    assert np.array_equal(scores.grad.numpy(), np.zeros((3, LABELS)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_entropy_over_a_vocabulary(dtype: torch.dtype) -> None:
    rows, vocabulary = 97, 5003  # neither a multiple of what is widened at once
    scores = (normal(rows, vocabulary) * 3).to(dtype).requires_grad_()
    labels = torch.randint(0, vocabulary, (rows,), generator=torch.Generator().manual_seed(1))
    labels[5::9] = IGNORED
    weights = torch.rand(rows, generator=torch.Generator().manual_seed(2))
    loss = build_loss("cross_entropy", LossOptions())
    ours = loss.sum(scores, labels, weights)
    theirs = (F.cross_entropy(scores.float(), labels, ignore_index=IGNORED, reduction="none") * weights).sum()
    torch.testing.assert_close(ours, theirs)
    ours_gradient, theirs_gradient = (torch.autograd.grad(x, scores)[0] for x in (ours, theirs))
    torch.testing.assert_close(ours_gradient, theirs_gradient, rtol=0.01 if dtype == torch.bfloat16 else 1e-4, atol=1e-6)
    assert not ours_gradient[5::9].any()


def test_a_loss_may_weigh_more_than_another() -> None:
    scores, labels = scores_for("cross_entropy"), labels_of("cross_entropy")
    plain, double = (build_loss("cross_entropy", LossOptions(weight=weight)) for weight in (1.0, 2.0))
    torch.testing.assert_close(double.sum(scores, labels), 2 * plain.sum(scores, labels))
    assert double.count(labels) == plain.count(labels)


def test_the_distance_of_directions_leaves_out_rows_without_a_target() -> None:
    scores, targets = normal(ROWS, LABELS).requires_grad_(), normal(ROWS, LABELS, seed=1)
    targets[2::5] = 0
    loss = build_loss("cosine_distance", LossOptions())
    told = targets.abs().sum(1) > 0
    expected = F.cosine_embedding_loss(scores[told], targets[told], torch.ones(int(told.sum())), reduction="sum")
    torch.testing.assert_close(loss.sum(scores, targets), expected)
    assert loss.count(targets) == int(told.sum())
    (gradient,) = torch.autograd.grad(loss.sum(scores, targets), scores)
    assert not gradient[~told].any()
    assert gradient[told].abs().sum(1).min() > 0
