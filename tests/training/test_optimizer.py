"""AdamW by parameter names: equal to PyTorch's, with groups that say what decays and how fast it learns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bertworks.errors import CheckpointError, SettingsError
from bertworks.nn.model import Model
from bertworks.spec import HeadSpec
from bertworks.training import TrainingConfig
from bertworks.training.optimizer import Optimizer, depth_of, rate_of
from tests.nn import small

FACTORS = [0.0, 0.5, 1.0, 0.7, 0.1]


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 0.01, "epochs": 1, **settings})


@pytest.fixture
def model(make_problem: Callable[..., Any]) -> Model:
    return make_problem(rows=8).load().model  # type: ignore[no-any-return]


def give_gradients(model: Model, seed: int) -> None:
    """Random gradients, the same for models alike."""
    draws = np.random.default_rng(seed)
    for _, parameter in sorted(model.named_parameters()):
        values = torch.from_numpy(draws.standard_normal(parameter.shape).astype(np.float32))
        if parameter.requires_grad:
            parameter.grad = values


def exempt(name: str) -> bool:
    """Written down by name, not by what the optimizer looks at."""
    return name.endswith("bias") or "norm" in name


@pytest.mark.parametrize(("decay", "beta2"), [(0.0, 0.999), (0.1, 0.95)])
def test_it_equals_adamw_of_pytorch(make_problem: Callable[..., Any], decay: float, beta2: float) -> None:
    problem = make_problem(rows=8)
    ours, theirs = problem.load().model, problem.load().model
    optimizer = Optimizer(ours, config(weight_decay=decay, adam_beta2=beta2))
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in theirs.named_parameters() if not exempt(name)], "weight_decay": decay},
        {"params": [p for name, p in theirs.named_parameters() if exempt(name)], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, beta2), eps=1e-8, foreach=False, fused=False)
    for number, factor in enumerate(FACTORS):
        give_gradients(ours, number)
        give_gradients(theirs, number)
        optimizer.step(factor)
        for group in reference.param_groups:
            group["lr"] = 0.01 * factor
        reference.step()
    for name, values in ours.arrays().items():
        np.testing.assert_allclose(values, theirs.arrays()[name], atol=1e-6, err_msg=name)
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_biases_and_norms_do_not_decay(model: Model) -> None:
    before = model.arrays()
    optimizer = Optimizer(model, config(weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(1.0)
    for name, values in model.arrays().items():
        shrunk = before[name] * np.float32(1 - 0.01 * 0.5)
        np.testing.assert_allclose(values, before[name] if exempt(name) else shrunk, rtol=1e-6, err_msg=name)
    assert {name for name in before if exempt(name)} >= {"encoder.embeddings.norm.weight", "heads.labels.output.bias"}


def test_the_first_update_corrects_the_bias_of_the_moments(model: Model) -> None:
    before = model.arrays()
    optimizer = Optimizer(model, config(weight_decay=0.0))
    give_gradients(model, 0)
    optimizer.step(1.0)
    change = np.abs(model.arrays()["encoder.pooler.dense.weight"] - before["encoder.pooler.dense.weight"])
    np.testing.assert_allclose(change, 0.01, rtol=1e-3)  # without the correction it would be 3 times as much


def test_layers_below_learn_slower(model: Model) -> None:
    assert rate_of("heads.labels.output.weight", model, 0.5) == 1.0
    assert rate_of("encoder.pooler.dense.weight", model, 0.5) == 1.0
    assert rate_of("encoder.layers.1.attention.qkv.weight", model, 0.5) == 1.0
    assert rate_of("encoder.layers.0.feed_forward_norm.bias", model, 0.5) == 0.5
    assert rate_of("encoder.embeddings.token.weight", model, 0.5) == 0.25
    before = model.arrays()
    optimizer = Optimizer(model, config(weight_decay=0.0, layer_decay=0.5))
    give_gradients(model, 0)
    optimizer.step(1.0)
    for name, values in model.arrays().items():
        # The first update of Adam is the learning rate, whatever the gradient.
        expected = 0.01 * 0.5 ** (2 - min(2, depth_of(name, model)))
        assert np.median(np.abs(values - before[name])) == pytest.approx(expected, rel=1e-3), name


def test_transitions_learn_at_a_rate_of_their_own() -> None:
    model = Model(small.encoder(), {"tags": HeadSpec("tokens", 3, transitions=True)})
    model.initialize(0)
    names = {f"heads.tags.transitions.{name}" for name in ("bias", "first_bias", "last_bias")}
    for rate, wanted in ((1e-4, 0.01), (0.02, 0.02)):
        optimizer = Optimizer(model, config(learning_rate=rate, weight_decay=0.1, layer_decay=0.9))
        before = model.arrays()
        assert not any(before[name].any() for name in names)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(1.0)
        for name, values in model.arrays().items():
            if name in names:  # the first step of AdamW is as long as the rate, and nothing decays
                np.testing.assert_allclose(values, before[name] - wanted, rtol=1e-4)
            else:
                assert abs(values - before[name]).max() < 1.3 * rate
        model.set_arrays(before)


@pytest.mark.parametrize(("frozen", "prefixes"), [(1, ("embeddings", "layers.0")), (2, ("embeddings", "layers.0", "layers.1"))])
def test_frozen_layers_keep_their_bits(make_problem: Callable[..., Any], frozen: int, prefixes: tuple[str, ...]) -> None:
    problem = make_problem(rows=20)
    model = problem.load().model
    before = model.arrays()
    problem.train(model, frozen_layers=frozen, validate=False)
    for name, values in model.arrays().items():
        kept = name.startswith(tuple(f"encoder.{prefix}." for prefix in prefixes))
        assert np.array_equal(values, before[name]) == kept, name


def test_more_frozen_layers_than_there_are_is_an_error(model: Model) -> None:
    with pytest.raises(SettingsError, match="frozen_layers is 3, but the model has 2 layers"):
        Optimizer(model, config(frozen_layers=3))


def test_a_model_that_was_frozen_can_be_trained_whole_again(model: Model) -> None:
    assert len(Optimizer(model, config(frozen_layers=2)).parameters) == 4
    assert len(Optimizer(model, config()).parameters) == len(model.arrays())


@pytest.mark.parametrize("max_norm", [0.5, 1e6, 0.0])
def test_clipping_equals_that_of_pytorch(make_problem: Callable[..., Any], max_norm: float) -> None:
    problem = make_problem(rows=8)
    ours, theirs = problem.load().model, problem.load().model
    optimizer = Optimizer(ours, config())
    give_gradients(ours, 3)
    give_gradients(theirs, 3)
    norm = optimizer.clip(max_norm)
    if max_norm:
        assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)), rel=1e-6)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=0)


def test_its_state_goes_through_arrays_bit_by_bit(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(rows=8)
    whole, parted = problem.load().model, problem.load().model
    optimizers = [Optimizer(model, config()) for model in (whole, parted)]
    assert optimizers[0].arrays() == {}
    for number in range(4):
        for model, optimizer in zip((whole, parted), optimizers, strict=True):
            give_gradients(model, number)
            optimizer.step(1.0)
        state = optimizers[1].arrays()
        optimizers[1] = Optimizer(parted, config())
        optimizers[1].set_arrays(state)
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(values, parted.arrays()[name], err_msg=name)


def test_the_state_of_another_shape_is_refused(model: Model) -> None:
    optimizer = Optimizer(model, config())
    give_gradients(model, 0)
    optimizer.step(1.0)
    state = optimizer.arrays()
    state["heads.labels.output.bias:exp_avg"] = np.zeros(7, dtype=np.float32)
    with pytest.raises(CheckpointError, match=r"does not fit the parameter heads\.labels\.output\.bias"):
        Optimizer(model, config()).set_arrays(state)
