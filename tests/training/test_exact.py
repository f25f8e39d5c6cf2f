"""A step's gradient does not depend on how its rows were cut into batches, dropout included."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertworks.batch import PackedBatch
from bertworks.data.sampler import Sampler
from bertworks.nn.inputs import model_inputs
from bertworks.nn.model import Model
from bertworks.tasks.text_classification import HEAD, TextClassification
from bertworks.training.optimizer import Optimizer

Gradients = dict[str, Tensor]
BUDGETS = {"1 batch": 10**6, "about 4": None, "about 8": None, "each alone": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "single": {"kind": "single"},
    "windows": {"kind": "single", "longest": 40, "max_tokens": 16, "stride": 4},
    "class weights": {"kind": "single", "class_weights": (0.3, 2.5)},
    "label smoothing": {"kind": "single", "label_smoothing": 0.2},
    "several labels": {"kind": "multi", "longest": 40, "max_tokens": 24, "label_smoothing": 0.1, "class_weights": (0.5, 1.0, 3.0)},
    "number": {"kind": "number", "longest": 40, "max_tokens": 24},
}


class Spy:
    """Takes the place of the optimizer's update: keeps each step's gradients and leaves the weights as they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[Gradients] = []

        def step(optimizer: Optimizer, factor: float) -> None:
            assert factor >= 0
            self.steps.append({name: p.grad.clone() for name, p in optimizer.parameters.items() if p.grad is not None})
            for parameter in optimizer.parameters.values():
                parameter.grad = None

        monkeypatch.setattr(Optimizer, "step", step)


def steps_of(
    problem: Any, monkeypatch: pytest.MonkeyPatch, recorder: Any, budget: int, **settings: Any
) -> tuple[list[Gradients], list[float]]:
    """The gradients and the losses of an epoch's steps, by the training loop itself."""
    spy, seen = Spy(monkeypatch), type(recorder)()
    problem.train(problem.load().model, token_budget=budget, validate=False, progress=seen, log_steps=1, max_gradient_norm=0, **settings)
    return spy.steps, [report.loss for report in seen.reports]


def largest_difference(a: Gradients, b: Gradients) -> float:
    """Relative to the largest gradient of the step."""
    assert a.keys() == b.keys()
    scale = max(float(values.abs().max()) for values in a.values())
    return max(float((a[name] - b[name]).abs().max()) for name in a) / scale


def budget_for(data: PackedBatch, batch_size: int, name: str) -> int:
    tokens_a_step = data.tokens * batch_size / len(np.unique(data.groups))
    given = BUDGETS[name]
    return given if given is not None else round(tokens_a_step / int(name.split()[-1]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_does_not_depend_on_the_batches(
    make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, recorder: Any, variant: str
) -> None:
    options = dict(VARIANTS[variant])
    weights = options.pop("class_weights", None)
    problem = make_problem(rows=43, **options)  # 32 + 11: the last step is uneven
    problem.task = replace(problem.task, class_weights=weights)
    results = {}
    for name in BUDGETS:
        budget = budget_for(problem.data, 32, name)
        sampler = Sampler(problem.data.groups, problem.data.lengths, batch_size=32, seed=0)
        batches = len(sampler.step(0, budget))
        expected = {"1 batch": (1, 1), "about 4": (4, 6), "about 8": (8, 12), "each alone": (32, 200)}[name]
        assert expected[0] <= batches <= expected[1]
        results[name] = steps_of(problem, monkeypatch, recorder, budget, batch_size=32)
    first_gradients, first_losses = results["1 batch"]
    assert len(first_gradients) == 2
    for gradients, losses in results.values():
        assert losses == pytest.approx(first_losses, rel=1e-6)
        for one, other in zip(first_gradients, gradients, strict=True):
            assert largest_difference(one, other) < 1e-6


def test_dropout_is_on_in_these_comparisons(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, recorder: Any) -> None:
    problem = make_problem(rows=32)
    one = steps_of(problem, monkeypatch, recorder, 10**6, batch_size=32, seed=0)[0][0]
    other = steps_of(problem, monkeypatch, recorder, 10**6, batch_size=32, seed=1)[0][0]
    assert largest_difference(one, other) > 1e-2


def row_loss(task: TextClassification, scores: Tensor, target: Any) -> tuple[Tensor, float]:
    """What a sequence loses and what it weighs, written down from the definitions."""
    weights = task.class_weights or (1.0,) * max(1, len(task.labels))
    smoothing, outputs = task.label_smoothing, scores.shape[0]
    if task.kind == "number":
        return (scores[0] - float(target)) ** 2, 1.0
    if task.kind == "single":
        wanted = torch.full((outputs,), smoothing / outputs)
        wanted[int(target)] += 1 - smoothing
        return -(wanted * F.log_softmax(scores, 0)).sum(), weights[int(target)]
    parts = []
    for score, mark, weight in zip(scores, target, weights, strict=True):
        wanted = float(mark) * (1 - smoothing) + smoothing / 2
        parts.append(-weight * (wanted * F.logsigmoid(score) + (1 - wanted) * F.logsigmoid(-score)))
    return torch.stack(parts).mean(), 1.0


def slow_step(task: TextClassification, model: Model, data: PackedBatch, rows: list[int], seed: int, step: int) -> tuple[float, Gradients]:
    """The weighted mean over rows of what each loses, a sequence at a time; a row loses the mean of its windows."""
    losses, total = [], 0.0
    for row in rows:
        windows = np.flatnonzero(data.groups == row)
        for window in windows:
            one = data.take([window])
            scores = model(model_inputs(one, torch.device("cpu"), dropout=(seed, step)))[HEAD][0]
            loss, weight = row_loss(task, scores, one.targets[HEAD][0])
            losses.append(loss * weight / len(windows))
            total += weight / len(windows)
    loss = torch.stack(losses).sum() / total
    model.zero_grad()
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_step_equals_a_slow_one(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, recorder: Any, variant: str) -> None:
    options = dict(VARIANTS[variant])
    weights = options.pop("class_weights", None)
    problem = make_problem(rows=20, **options)
    problem.task = replace(problem.task, class_weights=weights)
    gradients, losses = steps_of(problem, monkeypatch, recorder, 100, batch_size=12, seed=5)
    sampler = Sampler(problem.data.groups, problem.data.lengths, batch_size=12, seed=5)
    for step in range(2):
        rows = sorted({int(problem.data.groups[i]) for batch in sampler.step(step, 100) for i in batch})
        assert len(rows) == (12, 8)[step]
        loss, expected = slow_step(problem.task, problem.load().model, problem.data, rows, 5, step)
        assert losses[step] == pytest.approx(loss, rel=1e-6)
        assert largest_difference(expected, gradients[step]) < 1e-6


def test_the_order_of_the_rows_does_not_matter(make_problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, recorder: Any) -> None:
    problem = make_problem(rows=30, longest=40, max_tokens=16)
    one = steps_of(problem, monkeypatch, recorder, 200, batch_size=30)[0][0]
    order = np.random.default_rng(0).permutation(problem.data.sequences)
    shuffled = problem.data.take(order)
    renamed = np.random.default_rng(1).permutation(30)[shuffled.groups]
    problem.data = replace(shuffled, groups=renamed)
    other = steps_of(problem, monkeypatch, recorder, 200, batch_size=30)[0][0]
    assert largest_difference(one, other) < 1e-6


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_trained_weights_do_not_depend_on_the_batches(make_problem: Callable[..., Any], kind: str) -> None:
    problem = make_problem(kind, rows=72, longest=30, max_tokens=24)
    trained = []
    for budget in (10**6, 200, 40):
        model = problem.load().model
        problem.train(model, token_budget=budget, epochs=2, batch_size=16, learning_rate=1e-3)
        trained.append(model.arrays())
    before = problem.load().model.arrays()
    for other in trained[1:]:
        for name, values in trained[0].items():
            difference = np.abs(values - other[name])
            if name.endswith("qkv.bias"):
                # Softmax takes no notice of a key's bias: its gradient is rounding noise, which Adam scales up to whole steps.
                difference = np.delete(difference, np.s_[32:64])
            assert difference.max() < 1e-5, name
    assert max(np.abs(trained[0][name] - before[name]).max() for name in before) > 2e-3
