"""Muon: orthogonal updates, each matrix by itself, equal to a slow way and to PyTorch's; all else is AdamW's."""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.batch import Array
from bertworks.errors import CheckpointError
from bertworks.nn.model import Model
from bertworks.training import TrainingConfig
from bertworks.training.muon import Muon, orthogonal
from bertworks.training.optimizer import Optimizer, blocks_of
from tests.training.test_optimizer import give_gradients

FACTORS = [0.5, 1.0, 0.7]
SHAPES = [(3, 5, 5), (2, 8, 20), (2, 20, 8), (1, 1, 6)]


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 0.01, "epochs": 1, "optimizer": "muon", **settings})


def slow(matrix: Array) -> Array:
    """The quintic of Newton and Schulz on one matrix, in float64, by its singular values: it moves these alone."""
    u, s, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    s = s / max(np.sqrt((s**2).sum()), 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    result: Array = (u * s) @ v
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_become_about_orthogonal(shape: tuple[int, int, int]) -> None:
    matrices = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    made = orthogonal(torch.from_numpy(matrices), torch.float32).numpy()
    for one, matrix in zip(made, matrices, strict=True):
        np.testing.assert_allclose(one, slow(matrix), atol=2e-5)
        assert np.linalg.svd(one, compute_uv=False) == pytest.approx(1, abs=0.35)
    np.testing.assert_array_equal(orthogonal(torch.zeros(shape), torch.float32), 0)
    # the size of a matrix does not matter
    np.testing.assert_allclose(orthogonal(torch.from_numpy(1000 * matrices), torch.float32), made, atol=1e-4)


def test_bfloat16_is_near() -> None:
    matrices = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 16, 48)).astype(np.float32))
    exact, near = orthogonal(matrices, torch.float32), orthogonal(matrices, torch.bfloat16)
    assert near.dtype == torch.float32
    assert 1e-4 < float((exact - near).abs().max()) < 0.1


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_equals_muon_of_pytorch(decay: float) -> None:
    """Whose products are in bfloat16."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    draws = np.random.default_rng(2)
    ours, theirs = ([torch.nn.Parameter(torch.from_numpy(a)) for a in values] for values in zip(*_twins(draws), strict=True))
    muon = Muon([{"params": ours, "weight_decay": decay}], 0.01, torch.bfloat16)
    reference = torch.optim.Muon(theirs, lr=0.01, weight_decay=decay, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.from_numpy(draws.standard_normal(one.shape).astype(np.float32))
        muon.step()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)  # of updates of 0.02


def _twins(draws: np.random.Generator) -> list[tuple[Array, Array]]:
    made = [draws.standard_normal(shape).astype(np.float32) for shape in ((16, 16), (48, 16), (16, 48), (16, 16))]
    return [(values.copy(), values.copy()) for values in made]


@pytest.fixture
def model(make_problem: Callable[..., Any]) -> Model:
    return make_problem(rows=8).load().model  # type: ignore[no-any-return]


def test_a_model_is_updated_as_by_a_slow_way(make_problem: Callable[..., Any]) -> None:
    """The layers' matrices, with query, key and value each by itself, by the definition; the others as by AdamW alone."""
    problem = make_problem(rows=8)
    ours, by_adamw = problem.load().model, problem.load().model
    optimizer = Optimizer(ours, config(weight_decay=0.1, layer_decay=0.5))
    other = Optimizer(by_adamw, config(weight_decay=0.1, layer_decay=0.5, optimizer="adamw"))
    expected = {name: values.astype(np.float64) for name, values in ours.arrays().items()}
    momentum = {name: np.zeros_like(values) for name, values in expected.items()}
    matrices = {
        name for name in expected if ".layers." in name and name.endswith(("qkv.weight", "output.weight", "up.weight", "down.weight"))
    }
    assert len(matrices) == 8
    for number, factor in enumerate(FACTORS):
        give_gradients(ours, number)
        give_gradients(by_adamw, number)
        for name, parameter in ours.named_parameters():
            if name in matrices:
                gradient = parameter.grad.numpy().astype(np.float64)  # type: ignore[union-attr]
                momentum[name] = 0.95 * momentum[name] + 0.05 * gradient
                update = 0.05 * gradient + 0.95 * momentum[name]
                rate = 0.01 * factor * (0.5 if ".layers.0." in name else 1.0)
                for rows in np.split(np.arange(len(update)), 3 if "qkv" in name else 1):
                    part = update[rows]
                    expected[name][rows] *= 1 - rate * 0.1
                    expected[name][rows] -= rate * 0.2 * sqrt(max(part.shape)) * slow(part)
        optimizer.step(factor)
        other.step(factor)
    for name, values in ours.arrays().items():
        if name in matrices:
            np.testing.assert_allclose(values, expected[name], atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(values, by_adamw.arrays()[name], err_msg=name)


def test_updates_are_of_the_size_of_adamws(model: Model) -> None:
    """Liu et al. 2025, section 2.2: 0.2 to 0.4 of the learning rate, whatever the shape of the matrix."""
    before = model.arrays()
    optimizer = Optimizer(model, config(weight_decay=0.0))
    give_gradients(model, 0)
    optimizer.step(1.0)
    for name in blocks_of(model):
        update = (model.arrays()[name] - before[name]) / 0.01
        assert float(np.sqrt((update**2).mean())) == pytest.approx(0.2, rel=0.3), name


def test_halves_of_a_gated_network_are_matrices_of_their_own(model: Model) -> None:
    assert set(blocks_of(model).values()) == {1, 3}
    spec = model.spec
    gated = [replace(layer, feed_forward=replace(layer.feed_forward, gated=True)) for layer in spec.layers]
    counts = blocks_of(Model(replace(spec, layers=tuple(gated))))
    assert counts["encoder.layers.0.feed_forward.up.weight"] == 2
    assert counts["encoder.layers.1.feed_forward.down.weight"] == 1
    assert all(name.startswith("encoder.layers.") for name in counts)


def test_its_state_goes_through_arrays_bit_by_bit(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=8)
    whole, parted = problem.load().model, problem.load().model
    optimizers = [Optimizer(model, config()) for model in (whole, parted)]
    for number in range(4):
        for model, optimizer in zip((whole, parted), optimizers, strict=True):
            give_gradients(model, number)
            optimizer.step(1.0)
        state = optimizers[1].arrays()
        assert {name.rsplit(":", 1)[1] for name in state} == {"momentum", "exp_avg", "exp_avg_sq", "step"}
        optimizers[1] = Optimizer(parted, config())
        optimizers[1].set_arrays(dict(sorted(state.items())))  # as a checkpoint orders them
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(values, parted.arrays()[name], err_msg=name)


def test_the_state_of_another_optimizer_is_refused(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=8)
    adamw, muon = (Optimizer(problem.load().model, config(optimizer=name)) for name in ("adamw", "muon"))
    for optimizer in (adamw, muon):
        for parameter in optimizer.parameters.values():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(1.0)
    for one, other in ((adamw, muon), (muon, adamw)):
        with pytest.raises(CheckpointError, match=r"does not fit the parameter encoder\.layers"):
            one.set_arrays(other.arrays())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns(make_problem: Callable[..., Any], precision: str) -> None:
    problem = make_problem(rows=160)
    result = problem.train(problem.load().model, epochs=5, schedule="cosine", optimizer="muon", precision=precision)
    assert result.best_metrics["accuracy"] > 0.85


def test_frozen_layers_are_left_to_nobody(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=20)
    model = problem.load().model
    before = model.arrays()
    problem.train(model, frozen_layers=2, optimizer="muon", validate=False)
    for name, values in model.arrays().items():
        assert np.array_equal(values, before[name]) == (".layers." in name or ".embeddings." in name), name
