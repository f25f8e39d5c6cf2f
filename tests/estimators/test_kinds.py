"""Which task a verb is about, and what becomes of options that a task does not have."""

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import SettingsError
from bertworks.estimators.verbs import kinds
from bertworks.estimators.workflows import evaluate, train


def test_every_task_has_verbs_with_the_options_of_the_others() -> None:
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


def test_another_task_is_advised_only_where_it_can_be_chosen() -> None:
    entities = kinds.named("entities")
    with pytest.raises(SettingsError, match=r"no option 'zzz'.*or choose another task \(--task"):
        entities.call("train", {"zzz": 1}, {"task": None, "zzz": None})
    for verb in ("evaluate", "predict", "explain"):
        with pytest.raises(SettingsError, match=r"no option 'zzz' for the task 'entities'\. Leave it out$"):
            entities.call(verb, {"zzz": 1}, {"zzz": None})
    with pytest.raises(SettingsError, match=r"one of the task 'entities'$"):
        kinds._check_known("evaluate", kinds.CLASSIFICATION, signature(evaluate), {"scheme": "IOB2"})


def test_what_is_given_is_passed_on_though_it_is_usual_elsewhere() -> None:
    """The command line and `dispatched` pass on what differs from their own defaults; so these must mean the same to every task, or
    nothing (None)."""
    from bertworks.cli.train import train as command

    verbs = {verb: import_module(f"bertworks.estimators.verbs.{verb}") for verb in ("train", "evaluate", "predict", "inspect", "explain")}
    for kind in (kind for kind in kinds.KINDS if kind.module):
        for verb, usual in verbs.items():
            own, others = signature(getattr(usual, verb)).parameters, kind.options(verb)
            odd = [name for name in others if name in own and others[name].default != own[name].default]  # type: ignore[call-overload, index]
            assert odd == (["mistakes"] if (verb, kind.name) == ("evaluate", "embeddings") else []), "which has none to show"
    for kind in kinds.KINDS:
        asked, own = signature(command).parameters, signature(kind.training.estimator.__init__).parameters
        odd = [name for name in own if name in asked and asked[name].default not in (None, own[name].default)]
        assert not odd, (kind.name, odd)


def test_the_tasks_of_models_are_known() -> None:
    from bertworks.tasks import TASKS

    assert all(kinds.of_task(stored).stored == stored for stored in (*TASKS, "few_shot"))
    with pytest.raises(SettingsError, match="another task \\(sorting letters\\)"):
        kinds.of_task("sorting_letters")


def test_a_folder_that_is_no_model_keeps_its_own_error(tmp_path: Path) -> None:
    from bertworks.errors import CheckpointError

    (tmp_path / "config.toml").write_text("[data]\n")
    with pytest.raises(CheckpointError, match="not finished"):
        evaluate(tmp_path, [{"text": "a", "label": "b"}])
