"""Which task a verb is about, and what becomes of options that a task does not have."""

from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import SettingsError
from bertworks.estimators.verbs import kinds
from bertworks.estimators.workflows import evaluate, train


def test_every_task_has_verbs_with_the_options_of_the_others() -> None:
    from importlib import import_module

    for kind in kinds.KINDS:
        if kind.module:
            module = import_module(kind.module)
            assert any(hasattr(module, verb) for verb in ("train", "evaluate", "predict", "inspect", "explain"))
        name, _, function = kind.recognises.partition(":")
        assert not name or not getattr(import_module(name), function)([{"text": "a", "label": "b"}])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"data": [{"text": "a", "label": "b"}]}, "classification"),
        ({"data": [{"words": ["a"], "tags": ["O"]}]}, "entities"),
        ({"data": [{"words": ["a"], "tags": ["O"]}], "task": "classification"}, "classification"),
        ({}, "classification"),
    ],
)
def test_the_task_is_named_or_told_by_the_data(given: dict[str, Any], name: str) -> None:
    assert kinds.of_data(given).name == name


def test_the_task_of_a_run_is_told_by_its_settings(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[entities]\nscheme = 'IOB2'\n")
    assert kinds.of_training({"resume": tmp_path}).name == "entities"
    assert kinds.of_training({"resume": tmp_path / "none"}).name == "classification"
    with pytest.raises(SettingsError, match="leave out task"):
        train(resume=tmp_path, task="entities")


def test_an_option_of_another_task_is_refused_by_name() -> None:
    rows = [{"words": ["a"], "tags": ["B-X"]}]
    with pytest.raises(SettingsError, match="no option 'pair' for the task 'entities'"):
        train(rows, pair="x")
    with pytest.raises(SettingsError, match=r"no option 'shceme' for the task 'entities'\. Did you mean 'scheme'"):
        train(rows, shceme="IOB1")


def test_models_of_other_tasks_are_told_so(tiny_bert: Path, tmp_path: Path) -> None:
    from bertworks.estimators.verbs.kinds import of_task

    with pytest.raises(SettingsError, match="another task \\(masked lm\\)"):
        of_task("masked_lm")


def test_a_folder_that_is_no_model_keeps_its_own_error(tmp_path: Path) -> None:
    from bertworks.errors import CheckpointError

    (tmp_path / "config.toml").write_text("[data]\n")
    with pytest.raises(CheckpointError, match="not finished"):
        evaluate(tmp_path, [{"text": "a", "label": "b"}])
