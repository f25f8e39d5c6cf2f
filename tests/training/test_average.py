"""The mean of the last weights: that of a slow way, what is evaluated and kept, and the same after a resumption."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.batch import Array
from bertworks.checkpoints.checksums import damage
from bertworks.errors import Interrupted
from bertworks.inference import evaluate
from bertworks.nn.model import Model
from bertworks.training.average import Average
from bertworks.training.optimizer import Optimizer
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder
from bertworks.training.state import AVERAGE, BEST, WEIGHTS, read_arrays

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "learning_rate": 0.01, "schedule": "constant", "material": {}}
STEPS = 12


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Array]]:
    """The weights after each step of whatever is trained."""
    kept: list[dict[str, Array]] = []
    real = Optimizer.step

    def step(optimizer: Optimizer, factor: float) -> None:
        real(optimizer, factor)
        kept.append({name: p.detach().numpy().copy() for name, p in optimizer.parameters.items()})

    monkeypatch.setattr(Optimizer, "step", step)
    return kept


@pytest.mark.parametrize(("share", "averaged"), [(0.5, 6), (0.3, 4), (0.001, 1), (0.99, 12)])
@pytest.mark.parametrize("validate", [True, False])
def test_the_model_ends_with_the_mean_of_its_last_weights(
    make_problem: Callable[..., Any], weights: list[dict[str, Array]], share: float, averaged: int, validate: bool
) -> None:
    problem = make_problem(rows=72)
    model = problem.load().model
    result = problem.train(model, average=share, validate=validate, evaluations_per_epoch=0.5, **SETTINGS)
    assert result.steps == len(weights) == STEPS
    for name, values in model.arrays().items():
        mean = np.mean([step[name].astype(np.float64) for step in weights[-averaged:]], axis=0)
        np.testing.assert_allclose(values, mean, atol=1e-6, err_msg=name)


def test_training_itself_does_not_see_the_mean(make_problem: Callable[..., Any], weights: list[dict[str, Array]]) -> None:
    problem = make_problem(rows=72)
    for share in (0.0, 0.8):
        problem.train(problem.load().model, average=share, **SETTINGS)
    for one, other in zip(weights[:STEPS], weights[STEPS:], strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_the_mean_is_what_is_evaluated_and_kept(make_problem: Callable[..., Any], tmp_path: Path) -> None:
    problem = make_problem(rows=72)
    for run in (None, RunFolder.create(tmp_path / "run", {})):
        model = problem.load().model
        result = problem.train(model, average=0.9, run=run, **SETTINGS)
        metrics = evaluate(model, problem.task, problem.validation, device=torch.device("cpu"), token_budget=4096).compute()
        assert metrics["log_loss"] == pytest.approx(result.best_metrics["log_loss"], rel=1e-6)
    newest = tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}"
    assert damage(newest) is None
    assert result.state.best_step is not None
    best, mean, last = (read_arrays(newest, name) for name in (BEST, AVERAGE, WEIGHTS))
    name = "encoder.pooler.dense.weight"
    np.testing.assert_array_equal(model.arrays()[name], best[name])
    assert not np.array_equal(mean[name], last[name])
    assert np.array_equal(best[name], mean[name]) == (result.state.best_step == STEPS)


class StopAt(Progress):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("stop", [2, 7, 9])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_ends_in_the_same_bits(make_problem: Callable[..., Any], tmp_path: Path, stop: int, optimizer: str) -> None:
    """Stopped before the first mean, and amid the means."""
    problem = make_problem(rows=72)
    settings = {**SETTINGS, "average": 0.5, "log_steps": 1, "optimizer": optimizer}
    whole, parted = problem.load().model, problem.load().model
    undisturbed = problem.train(whole, run=RunFolder.create(tmp_path / "whole", {}), **settings)
    with pytest.raises(Interrupted):
        problem.train(parted, run=RunFolder.create(tmp_path / "run", {}), progress=StopAt(stop), **settings)
    assert (tmp_path / "run" / "checkpoints" / f"step-{stop:08d}" / AVERAGE).exists() == (stop > 6)
    again = problem.load(seed=5).model
    resumed = problem.train(again, run=RunFolder(tmp_path / "run"), **settings)
    assert resumed.state.evaluations == undisturbed.state.evaluations
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name], err_msg=name)
    for name in (AVERAGE, WEIGHTS):
        ends = [read_arrays(tmp_path / folder / "checkpoints" / f"step-{STEPS:08d}", name) for folder in ("whole", "run")]
        for key, values in ends[0].items():
            np.testing.assert_array_equal(values, ends[1][key], err_msg=key)


def test_many_steps_are_averaged_well_in_float32(make_problem: Callable[..., Any]) -> None:
    model: Model = make_problem(rows=8).load().model
    average = Average(model, 0.5, 4000)
    name, parameter = next(iter(model.named_parameters()))
    draws, total = np.random.default_rng(0), np.zeros(tuple(parameter.shape))
    before = parameter.detach().numpy().copy()
    for step in range(1, 4001):
        values = (before + 0.1 * draws.standard_normal(before.shape)).astype(np.float32)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values))
        average.add(step)
        total += values if step > 2000 else 0
    np.testing.assert_allclose(average.arrays()[name], total / 2000, atol=2e-6)
    with average.in_place():
        np.testing.assert_array_equal(parameter.detach().numpy(), average.arrays()[name])
    np.testing.assert_array_equal(parameter.detach().numpy(), values)
