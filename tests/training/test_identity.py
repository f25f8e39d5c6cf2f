"""What a resumed run must have in common with the run that was begun, and what it may change."""

import signal
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks import TextClassifier
from bertworks.checkpoints.checksums import write_checksums
from bertworks.checkpoints.files import read_json, write_json
from bertworks.errors import CheckpointError, Interrupted, SettingsError
from bertworks.nn.machine import MachineChoice
from bertworks.training import TrainingConfig
from bertworks.training.checkpoints import Checkpoints
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder
from bertworks.training.state import _YOUNGER_SETTINGS, STATE, WITHOUT_EFFECT, TrainingState, identity

Fit = Callable[..., TextClassifier]


class StopAt(Progress):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupted(tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> Fit:
    """A run that was stopped at its second step; the fixture is a function that resumes it, with changes."""
    texts, labels = reviews(48)
    validation = reviews(20, seed=1)
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 12, "learning_rate": 0.01, "precision": "float32", "log_steps": 1}

    def fit(texts: list[str] = texts, labels: list[str] = labels, validation: Any = validation, **changes: Any) -> TextClassifier:
        classifier = TextClassifier(**{"model": tiny_bert, "output": tmp_path / "run", "progress": False, **settings, **changes})
        return classifier.fit(texts, labels, validation=validation, resume=True)

    with pytest.raises(Interrupted, match=r"stopped at step 2 of 4 and saved; go on with: fit\(…, resume=True\) with output='.*run'$"):
        fit(progress=StopAt(2))
    return fit


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 2.0),
        ("batch_size", 6),
        ("learning_rate", 0.02),
        ("optimizer", "muon"),
        ("average", 0.5),
        ("schedule", "cosine"),
        ("weight_decay", 0.1),
        ("adam_beta2", 0.98),
        ("max_gradient_norm", 2.0),
        ("layer_decay", 0.9),
        ("frozen_layers", 1),
        ("dropout", 0.2),
        ("patience", 2),
        ("evaluations_per_epoch", 2),
        ("seed", 1),
        ("token_budget", 8192),
        ("precision", "bfloat16"),
        ("label_smoothing", 0.1),
        ("max_tokens", 32),
        ("overflow", "truncate"),
        ("class_weights", "balanced"),
    ],
)
def test_other_settings_are_refused_by_name(interrupted: Fit, setting: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"cannot be resumed with other settings or data: .*\b{setting} was .*, is "):
        interrupted(**{setting: value})


def test_other_material_is_refused_by_name(interrupted: Fit, reviews: Callable[..., Any], make_bert: Callable[..., Path]) -> None:
    texts, labels = reviews(48)
    swapped = ["bad" if labels[0] == "good" else "good", *labels[1:]]
    for changes, named in (
        ({"texts": [*texts[:-1], "another story"]}, "training data was"),
        ({"labels": swapped}, "training data was"),
        ({"texts": texts[:-1], "labels": labels[:-1]}, "training data was"),
        ({"labels": [label.upper() for label in labels], "validation": None}, "task.labels was"),
        ({"validation": reviews(20, seed=2)}, "validation data was"),
        ({"validation": None}, "validation data was '[0-9a-f]{16}', is None"),
        ({"model": make_bert(hidden_dropout_prob=0.3)}, "model was"),
    ):
        with pytest.raises(CheckpointError, match=named):
            interrupted(**changes)


def test_a_run_that_is_older_than_a_setting_goes_on_without_it(interrupted: Fit, tmp_path: Path) -> None:
    (stored,) = (tmp_path / "run" / "checkpoints").iterdir()
    told = read_json(stored / STATE)
    for name in ("optimizer", "average", "adam_beta2", "processes"):
        del told["identity"][name]
    write_json(stored / STATE, told)
    write_checksums(stored)
    with pytest.raises(CheckpointError, match=r"average was 0\.0, is 0\.5"):
        interrupted(average=0.5)
    assert interrupted().result_.state.step == 4


def test_a_new_setting_says_what_it_was_before_there_was_it() -> None:
    """Runs were begun with these settings; one that is added since is to be named in `_YOUNGER_SETTINGS`, or they cannot go on."""
    first = {
        *("epochs", "batch_size", "learning_rate", "schedule", "warmup", "decay", "weight_decay", "max_gradient_norm", "layer_decay"),
        *("frozen_layers", "reinitialized_layers", "dropout", "patience", "evaluations_per_epoch", "seed", "token_budget", "precision"),
        *("device", "threads", *WITHOUT_EFFECT),
    }
    assert {field.name for field in fields(TrainingConfig)} == first | (_YOUNGER_SETTINGS.keys() - {"processes"})


def test_what_has_no_effect_may_change(interrupted: Fit, tmp_path: Path) -> None:
    resumed = interrupted(checkpoint_minutes=1.0, checkpoint_steps=1, log_steps=3)
    assert resumed.result_.state.step == 4
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_the_identity_holds_every_setting_that_has_an_effect() -> None:
    machine = MachineChoice("cpu", "float32", 64, 1, {"device": "asked"})
    config = TrainingConfig().resolved(100, 32)
    names = set(identity(config, machine, {"data": "x"}))
    assert names == (set(config.to_dict()) - set(WITHOUT_EFFECT)) | {"data", "processes"}
    assert identity(config, replace(machine, reasons={}), {}) == identity(config, machine, {})
    assert identity(config, replace(machine, threads=2), {}) != identity(config, machine, {})


def test_a_run_that_exists_is_not_begun_again(interrupted: Fit, tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="already holds a run: resume it"):
        TextClassifier(tiny_bert, output=tmp_path / "run", progress=False).fit(*reviews(20))


def test_a_run_without_a_checkpoint_begins_anew_with_the_settings_that_are_given(
    tiny_bert: Path, reviews: Callable[..., Any], tmp_path: Path
) -> None:
    RunFolder.create(tmp_path / "run", {"training": {"epochs": 9}})
    (tmp_path / "run" / "log.jsonl").write_text('{"kind": "train", "step": 1}\n{"kind": "tra')
    TextClassifier(tiny_bert, output=tmp_path / "run", progress=False, epochs=0.5, precision="float32").fit(*reviews(20), resume=True)
    assert "epochs = 0.5" in (tmp_path / "run" / "config.toml").read_text()
    assert (tmp_path / "run" / "log.jsonl").read_text().count('"step": 1,') == 1


def test_resume_needs_a_folder(tiny_bert: Path, reviews: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="resume needs the run's folder"):
        TextClassifier(tiny_bert, progress=False).fit(*reviews(20), resume=True)


def test_a_run_that_was_stopped_early_does_not_go_on(make_problem: Callable[..., Any], recorder: Any, tmp_path: Path) -> None:
    problem = make_problem()
    settings = {"epochs": 9, "patience": 1, "learning_rate": 1e-9, "material": {}}
    run = RunFolder.create(tmp_path / "run", {})
    first = problem.load().model
    stopped = problem.train(first, run=run, **settings)
    assert stopped.state.step == 10  # two epochs: the first is the best, the second gains nothing
    assert stopped.steps == 45
    log = (tmp_path / "run" / "log.jsonl").read_text()
    again = problem.load(seed=9).model
    result = problem.train(again, run=RunFolder(tmp_path / "run"), progress=recorder, **settings)
    assert result.state == stopped.state
    assert result.best_metrics == stopped.best_metrics
    assert recorder.reports == []
    assert recorder.evaluations == []
    assert (tmp_path / "run" / "log.jsonl").read_text() == log
    for name, values in first.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])


def test_the_optimizer_of_another_model_is_refused(
    make_problem: Callable[..., Any], make_bert: Callable[..., Path], tmp_path: Path
) -> None:
    problem = make_problem()
    problem.train(problem.load().model, run=RunFolder.create(tmp_path / "run", {}), frozen_layers=1, material={})
    stored = tmp_path / "run" / "checkpoints" / "step-00000005"
    text = (stored / "state.json").read_text().replace('"frozen_layers": 1', '"frozen_layers": 0')
    (stored / "state.json").write_text(text)
    write_checksums(stored)
    with pytest.raises(CheckpointError, match=r"optimizer state does not fit the parameter encoder\.embeddings"):
        problem.train(problem.load().model, run=RunFolder(tmp_path / "run"), material={})


def test_checkpoints_without_a_run_keep_the_best_in_memory(make_problem: Callable[..., Any]) -> None:
    problem = make_problem()
    model, state = problem.load().model, TrainingState(step=3)
    checkpoints = Checkpoints(None, TrainingConfig().resolved(10, 32), {})
    metrics = problem.task.metrics()
    metrics.update(np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert checkpoints.evaluated(state, model, metrics)
    best = model.arrays()
    model.initialize(seed=4)
    state.step = 4
    checkpoints.restore_best(model, state)
    for name, values in best.items():
        np.testing.assert_array_equal(model.arrays()[name], values)
