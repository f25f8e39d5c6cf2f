"""The settings of a training: all problems at once, the nearest names, and what is chosen for the data."""

from dataclasses import fields
from typing import Any

import pytest

from bertworks.errors import SettingsError
from bertworks.training import TrainingConfig


def test_all_problems_are_told_at_once() -> None:
    wrong: dict[str, Any] = {
        "epochs": 0,
        "batch_size": 2.5,
        "learning_rate": -1e-5,
        "schedule": "linaer",
        "warmup": 1.0,
        "weight_decay": -1,
        "layer_decay": 0,
        "frozen_layers": -1,
        "patience": 0,
        "precision": "bf16",
        "token_budget": "many",
        "seed": 1.5,
    }
    with pytest.raises(SettingsError) as caught:
        TrainingConfig(**wrong)
    problems = str(caught.value).split("; ")
    for name in wrong:
        assert any(problem.startswith(f"{name} must ") for problem in problems), name
    assert "schedule must be one of linear, cosine, warmup_stable_decay, constant, not 'linaer'. Did you mean 'linear'?" in problems


@pytest.mark.parametrize("name", [f.name for f in fields(TrainingConfig) if f.name != "device"])
@pytest.mark.parametrize("value", ["nonsense", -3, True, float("nan"), float("inf")])
def test_no_setting_takes_nonsense(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} must "):
        TrainingConfig(**{name: value})


def test_an_unknown_key_gets_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'learing_rate'\. Did you mean 'learning_rate'\?; unknown setting 'xyz'\."):
        TrainingConfig.from_dict({"learing_rate": 1e-4, "xyz": 1})


def test_it_goes_through_a_dictionary() -> None:
    config = TrainingConfig(epochs=2, learning_rate=1e-4, patience=3)
    assert TrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("rows", "hidden", "epochs", "rate"), [(100, 384, 20, 1e-4), (1000, 768, 12, 3e-5), (5000, 512, 3, 1e-4), (10**6, 1024, 3, 3e-5)]
)
def test_what_is_left_open_is_chosen_for_the_data_and_the_model(rows: int, hidden: int, epochs: float, rate: float) -> None:
    resolved = TrainingConfig().resolved(rows, hidden)
    assert (resolved.epochs, resolved.learning_rate) == (epochs, rate)


def test_what_is_given_is_kept() -> None:
    config = TrainingConfig(epochs=0.5, learning_rate=0.2)
    assert config.resolved(7, 32) == config


def test_every_setting_explains_itself() -> None:
    import ast
    import inspect

    (definition,) = ast.parse(inspect.getsource(TrainingConfig)).body
    assert isinstance(definition, ast.ClassDef)
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign):
            assert isinstance(following, ast.Expr), ast.unparse(statement)
            assert isinstance(following.value, ast.Constant), ast.unparse(statement)
